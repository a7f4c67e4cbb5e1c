//! What people and API servers read.

use bulkhead_controls::{
    Carriers, Endpoint, Language, WebhookClient, by_name, denial, docs, explain,
    webhook_configurations,
};
use insta::assert_snapshot;
use serde_json::json;

use crate::admission::{admit, create, pod, strict};

fn refused(object: serde_json::Value) -> String {
    denial(&admit(create(object), &strict()).unwrap())
}

#[test]
fn a_denial_of_one_control() {
    assert_snapshot!(refused(pod(json!({
        "hostNetwork": true,
        "containers": [{"name": "c"}],
    }))));
}

#[test]
fn a_denial_of_several_controls_names_them_all() {
    assert_snapshot!(refused(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {
            "hostPID": true,
            "containers": [
                {"name": "a", "securityContext": {
                    "privileged": true, "runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN"]},
                }},
                {"name": "b", "ports": (1..=6).map(|p| json!({"hostPort": p})).collect::<Vec<_>>()},
            ],
            "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
        }}}}},
    })));
}

#[test]
fn a_denial_stays_short_whatever_a_manifest_holds() {
    let text = refused(pod(json!({"containers": [], "volumes": [
        {"name": "v", "x".repeat(100_000): {}},
    ]})));
    assert!(text.len() <= 4096, "{}", text.len());
    assert!(text.contains("why:  a volume of this kind"), "{text}");
    assert!(
        text.ends_with("bulkhead explain unsafe-volume-type"),
        "{text}"
    );
    assert_eq!(denial(&[]), "");
}

#[test]
fn a_page_on_a_terminal() {
    let control = by_name("host-ipc").unwrap();
    assert_snapshot!("explain_english", explain(control, Language::English));
    let mended = by_name("privilege-escalation").unwrap();
    assert_snapshot!("explain_mended", explain(mended, Language::English));
    assert_snapshot!("explain_chinese", explain(control, Language::Chinese));
}

#[test]
fn the_documents() {
    let docs = docs();
    assert_snapshot!("docs_index", docs["README.md"]);
    assert_snapshot!("docs_page", docs["host-ipc.md"]);
}

#[test]
fn the_webhook_configurations() {
    let url = WebhookClient {
        endpoint: Endpoint::Url("https://127.0.0.1:9443/".into()),
        ca_bundle_pem: "PEM".into(),
    };
    let text =
        serde_json::to_string_pretty(&webhook_configurations(Carriers::BUILT_IN, &url)).unwrap();
    assert_snapshot!("webhooks", text);
    let service = WebhookClient {
        endpoint: Endpoint::Service {
            namespace: "bulkhead-system".into(),
            name: "webhook".into(),
            port: 443,
        },
        ..url
    };
    let client =
        &webhook_configurations(Carriers::BUILT_IN, &service)[0]["webhooks"][0]["clientConfig"];
    assert_eq!(
        client,
        &json!({
            "caBundle": "UEVN",
            "service": {"namespace": "bulkhead-system", "name": "webhook", "port": 443, "path": "/mutate"},
        })
    );
}
