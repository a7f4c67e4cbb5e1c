//! What the gateway reads in a request, and what the API server reads in the one that was rebuilt from
//! it: the two audit logs have the same id for it, and must say the same. Targets are made by chance
//! from pieces of honest and of hostile ones; a seed that failed is printed and can be given by
//! `BULKHEAD_E2E_SEED`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use fastrand::Rng;
use serde_json::{Value, json};

use super::dry_runs::seed;
use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[(
    "readings::the_api_server_reads_what_the_gateway_read",
    agree,
)];

/// How many requests are made. Every fifth gets through.
const REQUESTS: usize = 500;

fn agree(bed: &Bed) -> anyhow::Result<()> {
    let seed = seed()?.unwrap_or_else(|| fastrand::u64(..));
    let guest = Guest::arrive(bed, "e2e-readings", &json!({}))?;
    let mark = bed.audit_mark()?;
    let log = bed.layout.log("gateway");
    let before = std::fs::metadata(&log)?.len();
    let sent = send(bed, &guest, &mut Rng::with_seed(seed))?;
    let ours = eventually("the gateway has written all its lines", || {
        let ours = lines(&log, before, &sent)?;
        ensure!(ours.len() == sent.len(), "{} of {}", ours.len(), sent.len());
        Ok(Some(ours))
    })?;
    let mut theirs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in bed.all_since(mark)? {
        theirs
            .entry(text(&event, "/auditID").to_owned())
            .or_default()
            .push(event);
    }
    let mut forwarded = 0;
    for (id, what) in &sent {
        let line = ours.get(id).context("no line")?;
        let events = theirs.get(id).map(Vec::as_slice).unwrap_or_default();
        compare(&guest, line, events)
            .with_context(|| format!("seed {seed}: {what}\n{line}\n{events:?}"))?;
        forwarded += usize::from(!events.is_empty());
    }
    ensure!(
        forwarded > 30,
        "only {forwarded} of {REQUESTS} requests came through, which shows little"
    );
    guest.leave()
}

/// Sends the requests. Returns what was asked, by the id in both logs.
fn send(bed: &Bed, guest: &Guest<'_>, rng: &mut Rng) -> anyhow::Result<BTreeMap<String, String>> {
    let mut sent = BTreeMap::new();
    for _ in 0..REQUESTS {
        let method = method(rng);
        let target = target(rng, method, &guest.namespace, bed.theirs());
        let what = format!("{method} {target}");
        let mut request = Request::new(method, target);
        if ["POST", "PUT"].contains(&method) {
            let object = json!({"metadata": {"name": "x"}});
            request = request.body("application/json", object.to_string());
        } else if method == "PATCH" {
            request = request.body("application/merge-patch+json", "{}");
        }
        let response = bed.wait(guest.client.send_again(&request))?;
        // What is no HTTP does not get as far as the gateway's log.
        if let Some(id) = response.header("audit-id") {
            sent.insert(id.to_owned(), what);
        }
    }
    Ok(sent)
}

fn method(rng: &mut Rng) -> &'static str {
    const METHODS: [&str; 9] = [
        "GET", "GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
    ];
    rng.choice(METHODS).unwrap_or("GET")
}

/// A target: often one that is plain, and then spoilt more or less.
fn target(rng: &mut Rng, method: &str, own: &str, theirs: &str) -> String {
    let mut pick = |from: &[&'static str]| rng.choice(from.iter().copied()).unwrap_or_default();
    let root = pick(&[
        "/api/v1",
        "/api/v1",
        "/apis/apps/v1",
        "/apis/rbac.authorization.k8s.io/v1",
        "/apis",
    ]);
    let resource = pick(&[
        "pods",
        "configmaps",
        "secrets",
        "deployments",
        "roles",
        "services",
        "namespaces",
        "serviceaccounts",
        "nodes",
        "events",
    ]);
    let name = pick(&["", "", "/x", "/kube-root-ca.crt", "/default", "/X:y"]);
    let part = pick(&[
        "",
        "",
        "",
        "/status",
        "/scale",
        "/log",
        "/finalize",
        "/token",
    ]);
    let query = pick(&[
        "",
        "",
        "?limit=5",
        "?watch=false",
        "?fieldSelector=metadata.name%3Dx",
        "?labelSelector=a%3Db",
        "?fieldSelector=metadata.namespace%3Dkube-system",
        "?resourceVersion=0",
    ]);
    let namespace = match rng.u8(..8) {
        0 => theirs,
        1 => "kube-system",
        2 => "",
        _ => own,
    };
    let mut path = match rng.u8(..8) {
        0 => format!("{root}/{resource}{name}{part}"),
        1 => format!("/api/v1/namespaces/{namespace}{part}"),
        _ => format!("{root}/namespaces/{namespace}/{resource}{name}{part}"),
    };
    if rng.u8(..3) == 0 {
        spoil(rng, &mut path, theirs);
    }
    // What gets through changes nothing.
    let query = if method == "GET" {
        query
    } else {
        "?dryRun=All"
    };
    format!("{path}{query}")
}

/// Puts something between two characters that some reader somewhere takes for something else.
fn spoil(rng: &mut Rng, path: &mut String, theirs: &str) {
    let hostile = [
        "/", "//", "/..", "/../", "/.", "%2f", "%2F..%2f", "%2e%2e", "%00", ";", ";/", "%3f", "?",
        "&", "#", "%23", "\\", "%5c", ":", "@", "%0a", "%20", "/watch", "/proxy", "%252f",
    ];
    let at = rng.usize(..=path.len());
    let mut what = rng.choice(hostile).unwrap_or_default().to_owned();
    if rng.bool() {
        what = format!("{what}{theirs}");
    }
    // ASCII throughout, so any place is between two characters.
    path.insert_str(at, &what);
}

/// The gateway's last line for each id.
fn lines(
    log: &std::path::Path,
    from: u64,
    ids: &BTreeMap<String, String>,
) -> anyhow::Result<BTreeMap<String, Value>> {
    use std::io::{Read as _, Seek as _};
    let mut file = std::fs::File::open(log)?;
    file.seek(std::io::SeekFrom::Start(from))?;
    let mut written = String::new();
    file.read_to_string(&mut written)?;
    Ok(written
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| text(line, "/stage") == "complete")
        .map(|line| (text(&line, "/auditId").to_owned(), line))
        .filter(|(id, _)| ids.contains_key(id))
        .collect())
}

fn compare(guest: &Guest<'_>, line: &Value, events: &[Value]) -> anyhow::Result<()> {
    for event in events {
        let namespace = text(event, "/objectRef/namespace");
        ensure!(
            namespace.is_empty() || namespace == guest.namespace,
            "another's namespace was asked about"
        );
        if event.get("objectRef").is_none() {
            let path = text(event, "/requestURI").split('?').next();
            ensure!(path == Some(text(line, "/resource")), "another document");
            continue;
        }
        // Beside a list over all namespaces, the gateway reads which those are.
        let by_reader = text(event, "/user/username").ends_with(":gateway-reader");
        if by_reader && text(line, "/resource") != "namespaces" && text(line, "/verb") == "list" {
            let uri = text(event, "/requestURI");
            ensure!(
                uri.starts_with(
                    "/api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant%20in%20%28"
                ),
                "the reader asked for `{uri}`"
            );
            continue;
        }
        for field in ["resource", "subresource"] {
            let (read, meant) = (
                text(event, &format!("/objectRef/{field}")),
                text(line, &format!("/{field}")),
            );
            ensure!(read == meant, "{field}: `{read}`, not `{meant}`");
        }
        let (read, meant) = (text(event, "/objectRef/apiGroup"), text(line, "/group"));
        ensure!(read == meant, "group: `{read}`, not `{meant}`");
        let (read, meant) = (text(event, "/verb"), text(line, "/verb"));
        ensure!(read == meant, "verb: `{read}`, not `{meant}`");
        let (read, meant) = (text(event, "/objectRef/name"), text(line, "/name"));
        // A new object's name is in its body, and a list's one name in its selector.
        let elsewhere = ["create", "list", "watch", "deletecollection"];
        ensure!(
            read == meant || (meant.is_empty() && elsewhere.contains(&text(line, "/verb"))),
            "name: `{read}`, not `{meant}`"
        );
        // The API server takes a Namespace to be inside itself.
        let about_itself = text(line, "/resource") == "namespaces" && namespace == meant;
        let (meant, spread) = (text(line, "/namespace"), BTreeSet::from(["list", "watch"]));
        ensure!(
            namespace == meant
                || about_itself
                || (meant.is_empty() && spread.contains(text(line, "/verb"))),
            "namespace: `{namespace}`, not `{meant}`"
        );
    }
    Ok(())
}
