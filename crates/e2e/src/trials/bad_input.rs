//! Broken input at the webhook's own door: a clear refusal each, nothing admitted, and it goes on
//! serving.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Client, Request};
use bulkhead_sandbox::pki::AuthorityName;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::succeeded;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "bad_input::the_webhook_refuses_what_is_no_review",
        no_review,
    ),
    (
        "bad_input::the_webhook_denies_what_it_does_not_know",
        unknown,
    ),
    ("bad_input::the_webhook_has_three_paths", paths),
];

fn webhook(bed: &Bed) -> anyhow::Result<Client> {
    let authorities = std::fs::read(AuthorityName::Servers.certificate(&bed.layout.pki()))?;
    Ok(Client::anonymous(
        bed.state.webhook.trim_start_matches("https://"),
        &authorities,
    )?)
}

fn review(namespace: &str, kind: &str, resource: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "00000000-0000-0000-0000-000000000001", "operation": "CREATE", "namespace": namespace,
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": resource},
            "userInfo": {"username": "somebody"}, "object": object,
        },
    })
}

/// A pod as it comes to be judged: with what the webhook has added to it.
fn good(bed: &Bed) -> anyhow::Result<Value> {
    let pod = json!({"metadata": {"name": "x"}, "spec": bulkhead_attack::good_pod()});
    let pods = format!("/api/v1/namespaces/{}/pods?dryRun=All", bed.own());
    let mended = bed.do_as_admin(&Request::post(pods, &pod))?;
    Ok(review(bed.own(), "Pod", "pods", &mended))
}

/// Posts to `/validate`.
fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/validate").body("application/json", body)
}

fn no_review(bed: &Bed) -> anyhow::Result<()> {
    let client = webhook(bed)?;
    let whole = good(bed)?.to_string();
    let cut = whole.get(..whole.len() - 9).unwrap_or_default();
    let large = "x".repeat(9 << 20);
    let good = good(bed)?;
    let alter = |pointer: &str, value: Value| {
        let mut review = good.clone();
        if let Some(place) = review.pointer_mut(pointer) {
            *place = value;
        }
        review.to_string()
    };
    for (what, request, status) in [
        ("no JSON", post("not json"), 400),
        ("nothing", post(""), 400),
        ("cut off", post(cut), 400),
        ("another kind", post(alter("/kind", json!("Pod"))), 400),
        (
            "another version",
            post(alter("/apiVersion", json!("admission.k8s.io/v1beta1"))),
            400,
        ),
        ("no request", post(alter("/request", Value::Null)), 400),
        (
            "no operation",
            post(alter("/request/operation", json!("PATCH"))),
            400,
        ),
        ("no uid", post(alter("/request/uid", json!(""))), 400),
        (
            "duplicate keys",
            post(whole.replacen("\"request\":", "\"request\":{},\"request\":", 1)),
            400,
        ),
        ("too deep", post("[".repeat(100_000)), 400),
        ("too large", post(large), 413),
        (
            "YAML",
            Request::new("POST", "/validate").body("application/yaml", whole.clone()),
            415,
        ),
        ("GET", Request::get("/validate"), 405),
    ] {
        let response = bed.send(&client, &request).context(what)?;
        ensure!(
            response.status == status,
            "{what}: {} {}",
            response.status,
            response.text()
        );
        ensure!(
            !response.text().contains("\"allowed\":true"),
            "{what}: {}",
            response.text()
        );
    }
    // A body that never comes to its end.
    let raw = format!(
        "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{cut}",
        whole.len()
    );
    ensure!(
        bed.send(&client, &Request::raw(raw))
            .map_or(true, |r| !r.is_success()),
        "a truncated body was answered"
    );
    still_serves(bed, &client)
}

/// It has not fallen over.
fn still_serves(bed: &Bed, client: &Client) -> anyhow::Result<()> {
    let answer = succeeded(&bed.send(client, &post(good(bed)?.to_string()))?)?;
    ensure!(
        answer.pointer("/response/allowed") == Some(&Value::Bool(true)),
        "{answer}"
    );
    Ok(())
}

fn unknown(bed: &Bed) -> anyhow::Result<()> {
    let client = webhook(bed)?;
    let pod = json!({"metadata": {"name": "x"}, "spec": bulkhead_attack::good_pod()});
    for (what, review, says) in [
        (
            "a kind that no rule covers",
            review(bed.own(), "Gadget", "gadgets", &json!({})),
            "no rule covers",
        ),
        (
            "a kind under another resource",
            review(bed.own(), "Pod", "gadgets", &pod),
            "no rule covers",
        ),
        (
            "a pod without spec",
            review(
                bed.own(),
                "Pod",
                "pods",
                &json!({"metadata": {"name": "x"}}),
            ),
            "spec",
        ),
        (
            "a pod of another shape",
            review(
                bed.own(),
                "Pod",
                "pods",
                &json!({"spec": {"containers": {"a": 1}}}),
            ),
            "containers",
        ),
        (
            "no object",
            review(bed.own(), "Pod", "pods", &Value::Null),
            "no object",
        ),
    ] {
        let answer = succeeded(&bed.send(&client, &post(review.to_string()))?).context(what)?;
        ensure!(
            answer.pointer("/response/allowed") == Some(&Value::Bool(false)),
            "{what}: {answer}"
        );
        ensure!(
            answer.to_string().contains(says),
            "{what}: expected `{says}` in {answer}"
        );
    }
    still_serves(bed, &client)
}

fn paths(bed: &Bed) -> anyhow::Result<()> {
    let client = webhook(bed)?;
    for path in [
        "/",
        "/validate/",
        "//validate",
        "/validate%2f",
        "/VALIDATE",
        "/metrics",
    ] {
        let request = Request::new("POST", path).body("application/json", good(bed)?.to_string());
        let response = bed.send(&client, &request)?;
        ensure!(
            response.status == 404,
            "{path}: {} {}",
            response.status,
            response.text()
        );
    }
    Ok(())
}
