//! Watches over all of a tenant's namespaces.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bulkhead_attack::wire::Request;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, PATIENCE};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "watches::a_client_that_reconnects_sees_what_an_administrator_sees",
        reconnecting,
    ),
    ("watches::begin_with_the_state_that_is_asked_for", beginning),
    ("watches::end_when_a_namespace_comes", moving),
];

const CONFIGS: &str = "/api/v1/configmaps";
/// Changes that are made while clients watch.
const CHANGES: usize = 240;

fn furnished<'a>(bed: &'a Bed, name: &str) -> anyhow::Result<(Guest<'a>, Vec<String>)> {
    let guest = Guest::arrive(bed, name, &json!({}))?;
    let mut namespaces = vec![guest.namespace.clone()];
    for suffix in ["b", "c", "d"] {
        let namespace = format!("{name}-{suffix}");
        guest.make_namespace(&namespace)?;
        namespaces.push(namespace);
    }
    Ok((guest, namespaces))
}

/// One event: what happened, to what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen(u64, &'static str, String);

fn seen(event: WatchEvent<ConfigMap>) -> anyhow::Result<Option<Seen>> {
    let (what, object) = match event {
        WatchEvent::Added(object) => ("added", object),
        WatchEvent::Modified(object) => ("modified", object),
        WatchEvent::Deleted(object) => ("deleted", object),
        WatchEvent::Bookmark(_) => return Ok(None),
        WatchEvent::Error(status) => bail!("{} {}", status.code, status.message),
    };
    let metadata = object.metadata;
    let version = metadata.resource_version.unwrap_or_default().parse()?;
    let name = format!(
        "{}/{}",
        metadata.namespace.unwrap_or_default(),
        metadata.name.unwrap_or_default()
    );
    Ok(Some(Seen(version, what, name)))
}

/// What a client sees that hangs up after some events, and goes on from the last one. States that it
/// had to list anew are in the second list: from where, to where.
async fn watch(
    api: &Api<ConfigMap>,
    mut from: u64,
    until: impl Fn(&[Seen]) -> bool,
    mut patience: impl FnMut() -> usize,
) -> anyhow::Result<(Vec<Seen>, Vec<(u64, u64)>)> {
    let (mut all, mut listed) = (Vec::new(), Vec::new());
    let parameters = WatchParams::default();
    loop {
        let mut stream = api.watch(&parameters, &from.to_string()).await?.boxed();
        let most = patience();
        let mut got = 0;
        while got < most {
            if until(&all) {
                return Ok((all, listed));
            }
            let next = tokio::time::timeout(PATIENCE, stream.next()).await;
            let Some(event) = next.context("no event")? else {
                break;
            };
            match seen(event?) {
                Ok(Some(event)) => {
                    from = event.0;
                    all.push(event);
                    got += 1;
                }
                Ok(None) => {}
                Err(error) if error.to_string().starts_with("410") => {
                    let list = api.list(&ListParams::default()).await?;
                    let now = list.metadata.resource_version.unwrap_or_default().parse()?;
                    listed.push((from, now));
                    from = now;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Changes things in all namespaces, now here, now there; the last makes `end`.
async fn change(api: impl Fn(usize) -> Api<ConfigMap>) -> anyhow::Result<()> {
    let make =
        |name: &str| serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": name}}));
    for n in 0..CHANGES {
        let (api, name) = (api(n * 7 % 4), format!("item-{}", n / 12));
        let post = kube::api::PostParams::default();
        match n % 3 {
            0 => drop(api.create(&post, &make(&format!("{name}-{n}"))?).await?),
            1 => {
                let patch = json!({"data": {"n": n.to_string()}});
                let parameters = kube::api::PatchParams::default();
                let patch = kube::api::Patch::Merge(&patch);
                drop(api.patch("lasting", &parameters, &patch).await?);
            }
            _ => {
                let passing = format!("passing-{n}");
                api.create(&post, &make(&passing)?).await?;
                drop(
                    api.delete(&passing, &kube::api::DeleteParams::default())
                        .await?,
                );
            }
        }
    }
    api(0)
        .create(&kube::api::PostParams::default(), &make("end")?)
        .await?;
    Ok(())
}

fn reconnecting(bed: &Bed) -> anyhow::Result<()> {
    let (guest, namespaces) = furnished(bed, "e2e-watch")?;
    let person = bed.kube_with(&bed.scratch().join("e2e-watch.kubeconfig"))?;
    let admin = bed.kube_admin()?;
    for namespace in &namespaces {
        let object = json!({"metadata": {"name": "lasting"}});
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        bed.do_as_admin(&Request::post(path, &object))?;
    }
    let list = succeeded(&guest.send(&Request::get(CONFIGS))?)?;
    let from: u64 = text(&list, "/metadata/resourceVersion").parse()?;
    let of = |n: usize| {
        let namespace = namespaces.get(n).map_or("", String::as_str);
        Api::<ConfigMap>::namespaced(admin.clone(), namespace)
    };
    let ended = |all: &[Seen]| {
        all.iter()
            .any(|Seen(_, _, name)| name.ends_with("-app/end"))
    };
    let own =
        |Seen(_, _, name): &Seen| namespaces.iter().any(|n| name.split('/').next() == Some(n));
    let mut state = 11_usize;
    let random = move || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
        1 + (state >> 8) % 12
    };
    let mine = |all: &[Seen]| ended(all);
    let theirs = |all: &[Seen]| {
        all.iter()
            .any(|event| own(event) && event.2.ends_with("-app/end"))
    };
    let (all, everybody) = (Api::all(person), Api::all(admin.clone()));
    let (seen, truth) = bed.wait(async {
        let watched = watch(&all, from, mine, random);
        let truth = watch(&everybody, from, theirs, || usize::MAX);
        let ((), watched, truth) = futures::try_join!(change(of), watched, truth)?;
        Ok::<_, anyhow::Error>((watched, truth.0))
    })?;
    let (seen, listed) = seen;
    let expected: Vec<Seen> = truth.into_iter().filter(own).collect();
    ensure!(expected.len() > CHANGES, "{} events only", expected.len());
    ensure!(seen.is_sorted_by_key(|event| event.0), "out of order");
    // What happened while the client listed anew is in the list.
    let told: Vec<Seen> = expected
        .into_iter()
        .filter(|event| {
            !listed
                .iter()
                .any(|(from, to)| (from + 1..=*to).contains(&event.0))
        })
        .collect();
    ensure!(listed.len() < 5, "{} times told to list anew", listed.len());
    ensure!(
        seen == told,
        "{} events instead of {}: first difference {:?}",
        seen.len(),
        told.len(),
        seen.iter().zip(&told).find(|(a, b)| a != b)
    );
    guest.leave()
}

/// The events of a watch that ends by itself.
fn events(response: &bulkhead_attack::wire::Response) -> anyhow::Result<Vec<Value>> {
    ensure!(
        response.is_success(),
        "{} {}",
        response.status,
        response.message()
    );
    let text = response.text();
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn beginning(bed: &Bed) -> anyhow::Result<()> {
    let (guest, _) = furnished(bed, "e2e-begin")?;
    let list = succeeded(&guest.send(&Request::get("/api/v1/serviceaccounts"))?)?;
    let expected = list
        .get("items")
        .and_then(Value::as_array)
        .context("no items")?;
    let watch = |query: &str, accept: &str| {
        let target = format!("/api/v1/serviceaccounts?watch=true&timeoutSeconds=2&{query}");
        guest.send(&Request::get(target).header("Accept", accept))
    };
    let json = "application/json";
    for query in [
        "",
        "resourceVersion=0",
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    ] {
        let events = events(&watch(query, json)?)?;
        let added: Vec<Value> = events
            .iter()
            .filter(|event| text(event, "/type") == "ADDED")
            .filter_map(|event| event.get("object").cloned())
            .map(|mut object| {
                let kind = object.as_object_mut().and_then(|o| o.remove("kind"));
                object.as_object_mut().map(|o| o.remove("apiVersion"));
                if kind.as_ref().and_then(Value::as_str) == Some("ServiceAccount") {
                    object
                } else {
                    Value::Null
                }
            })
            .collect();
        ensure!(&added == expected, "{query}: {added:?}");
        let ends = events.iter().filter(|event| {
            text(
                event,
                "/object/metadata/annotations/k8s.io~1initial-events-end",
            ) == "true"
        });
        ensure!(
            ends.count() == usize::from(query.contains("send")),
            "{query}: {events:?}"
        );
    }
    // The server's own bookmark before the end of a watch comes through, once for all.
    let version = text(&list, "/metadata/resourceVersion");
    let bookmarked = format!("resourceVersion={version}&allowWatchBookmarks=true");
    let marks = events(&watch(&bookmarked, json)?)?;
    ensure!(
        marks.iter().all(|event| text(event, "/type") == "BOOKMARK"),
        "{marks:?}"
    );
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let rows = events(&watch("", table)?)?;
    ensure!(
        rows.len() == expected.len() && rows.iter().all(|row| text(row, "/object/kind") == "Table"),
        "{rows:?}"
    );
    for (query, status) in [
        ("sendInitialEvents=true", 422),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
        ("resourceVersion=x", 400),
    ] {
        refused(&watch(query, json)?, status, &[])?;
    }
    // Too old is told by an event, as the API server does.
    let old = events(&watch("resourceVersion=1", json)?)?;
    ensure!(
        old.len() == 1 && old.iter().all(|e| text(e, "/object/reason") == "Expired"),
        "{old:?}"
    );
    // Who may watch it nowhere is told so at once.
    let nowhere = guest.send(&Request::get("/apis/unheard.example/v1/things?watch=true"))?;
    refused(&nowhere, 403, &["cannot watch resource \"things\""])?;
    // kubectl lists, and watches from there.
    let person = bed.scratch().join("e2e-begin.kubeconfig");
    let person = person.to_string_lossy();
    let out = bed.kubectl(&[
        "--kubeconfig",
        &person,
        "get",
        "serviceaccounts",
        "-A",
        "-w",
        "--request-timeout=3s",
    ])?;
    ensure!(
        out.out.starts_with("NAMESPACE ") && out.out.lines().count() == expected.len() + 1,
        "{out:?}"
    );
    guest.leave()
}

fn moving(bed: &Bed) -> anyhow::Result<()> {
    let (guest, _) = furnished(bed, "e2e-move")?;
    let list = succeeded(&guest.send(&Request::get(CONFIGS))?)?;
    let version = text(&list, "/metadata/resourceVersion").to_owned();
    let target = format!("{CONFIGS}?watch=true&timeoutSeconds=30&resourceVersion={version}");
    let request = Request::get(target);
    let expired = |response| {
        let events = events(&response)?;
        let last = events.last().context("no event")?;
        ensure!(
            text(last, "/type") == "ERROR" && text(last, "/object/reason") == "Expired",
            "{events:?}"
        );
        Ok::<_, anyhow::Error>(())
    };
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-move-e"}});
    let make = Request::post("/api/v1/namespaces", &namespace);
    let (watched, made) = bed.wait(async {
        let making = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            guest.client.send(&make).await
        };
        futures::join!(guest.client.send(&request), making)
    });
    succeeded(&made?)?;
    expired(watched?)?;
    // What the client knows is of the namespaces before: from there it cannot go on.
    expired(guest.send(&request)?)?;
    // From a list of all of them it can.
    let list = succeeded(&guest.send(&Request::get(CONFIGS))?)?;
    let version = text(&list, "/metadata/resourceVersion");
    let again = guest.send(&Request::get(format!(
        "{CONFIGS}?watch=true&timeoutSeconds=1&resourceVersion={version}"
    )))?;
    ensure!(
        again.is_success() && !again.text().contains("ERROR"),
        "{}",
        again.text()
    );
    guest.leave()
}
