//! What people read, as they read it.

use serde_json::{Value, json};

use super::describe::describe;
use super::list_text;

/// The text without its colours, as `anstream` prints it into a pipe.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn tenant() -> Value {
    json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "acme", "uid": "0f3c-1", "generation": 3, "creationTimestamp": "2026-11-01T08:00:00Z"},
        "spec": {
            "cordoned": false,
            "members": [
                {"kind": "Group", "name": "acme-admins", "role": "Admin"},
                {"kind": "User", "name": "alice@acme.example", "role": "Developer"},
            ],
            "nodes": {"placement": "Dedicated"},
        },
        "status": {
            "observedGeneration": 3,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Isolated",
                "message": "2 namespaces are isolated", "lastTransitionTime": "2026-11-01T08:00:03Z",
            }],
            "namespaces": [{"name": "acme-app", "isolated": true}, {"name": "acme-dev", "isolated": true}],
            "usage": {
                "pods": {"used": "12", "hard": "20"},
                "requests.cpu": {"used": "2", "hard": "2"},
                "requests.memory": {"used": "6710886400", "hard": "17179869184"},
                "gp3.storageclass.storage.k8s.io/requests.storage": {"used": "53687091200", "hard": "107374182400"},
                "services.loadbalancers": {"hard": "2"},
            },
            "ranges": {"uid": {"first": 1_000_010_000, "last": 1_000_019_999}},
            "nodes": {"claimed": 2, "ready": 2},
        },
    })
}

fn namespace(name: &str, uid: &str, isolated: &str) -> Value {
    json!({"metadata": {
        "name": name,
        "labels": {"bulkhead.dev/tenant": "acme", "bulkhead.dev/tenant-uid": uid},
        "annotations": {"bulkhead.dev/isolated": isolated},
    }})
}

#[test]
fn a_tenant_that_is_well() {
    let namespaces = [
        namespace("acme-app", "0f3c-1", "0f3c-1"),
        namespace("acme-dev", "0f3c-1", "0f3c-1"),
    ];
    insta::assert_snapshot!(plain(&describe(&tenant(), &namespaces)));
}

#[test]
fn a_tenant_in_trouble_says_why_and_the_mend() {
    let mut tenant = tenant();
    tenant["spec"]["cordoned"] = json!(true);
    tenant["status"] = json!({
        "observedGeneration": 2,
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "NamespacesIncomplete",
             "message": "not all is in place in these: acme-app", "lastTransitionTime": "2026-11-01T08:00:03Z"},
            {"type": "Cordoned", "status": "False", "reason": "Cordoning",
             "message": "not yet cordoned: acme-app", "lastTransitionTime": "2026-11-02T08:00:03Z"},
        ],
        "namespaces": [
            {"name": "acme-app", "isolated": true, "message": "cannot apply RoleBinding `acme-app/x`:\nnot found"},
            {"name": "acme-old", "isolated": false, "message": "not adopted"},
        ],
    });
    let namespaces = [
        namespace("acme-app", "0f3c-1", "0f3c-1"),
        namespace("acme-old", "0f3c-0", "0f3c-0"),
    ];
    insta::assert_snapshot!(plain(&describe(&tenant, &namespaces)));
}

#[test]
fn a_tenant_that_nobody_has_looked_at() {
    let tenant = json!({"metadata": {"name": "acme", "uid": "u"}, "spec": {}});
    let text = plain(&describe(&tenant, &[]));
    assert!(
        text.contains("the controller has not looked at it\n     mend: "),
        "{text}"
    );
    assert!(text.contains("nobody outside may act for it"), "{text}");
}

#[test]
fn control_codes_from_the_cluster_stay_there() {
    let mut tenant = tenant();
    tenant["status"]["conditions"][0]["message"] = json!("a\u{1b}[31mb\nc");
    tenant["spec"]["members"][0]["name"] = json!("x\u{1b}]0;y");
    for text in [describe(&tenant, &[]), list_text(&[tenant])] {
        assert!(!plain(&text).contains('\u{1b}'), "{text:?}");
        assert!(
            !text.contains("\u{1b}]0;") && !text.contains("a\u{1b}[31mb"),
            "{text:?}"
        );
    }
}

#[test]
fn the_list_of_tenants() {
    let mut other = tenant();
    other["metadata"]["name"] = json!("globex-with-a-long-name");
    other["spec"]["cordoned"] = json!(true);
    other["status"] = json!({});
    insta::assert_snapshot!(plain(&list_text(&[tenant(), other])), @r"
    NAME                     READY    REASON       NAMESPACES  CORDONED  CREATED
    acme                     True     Isolated     2           no        2026-11-01T08:00:00Z
    globex-with-a-long-name  Unknown  NotObserved  0           yes       2026-11-01T08:00:00Z
    ");
    assert_eq!(list_text(&[]), "no tenants\n");
}

#[test]
fn the_report_of_a_deletion() {
    use super::delete::{Left, report};
    let left = Left {
        name: "acme".to_owned(),
        had: 3,
        volumes: vec![
            (
                "pv-1".to_owned(),
                "Retain".to_owned(),
                Some("Released".to_owned()),
            ),
            ("pv-2".to_owned(), "Delete".to_owned(), None),
        ],
        entries: vec!["LedgerEntry ids-7".to_owned()],
        ..Left::default()
    };
    insta::assert_snapshot!(report(&left), @r"
    `acme` is gone
      namespaces left           none (it had 3)
      rights left               none
      credentials that work     none: the gateway acts as no user of it, its ServiceAccounts are gone
      ledger entries at rest    LedgerEntry ids-7
      volume                    pv-1 is Released and stays with its data (Retain): delete it by hand
      volume                    pv-2 is gone
    ");
    let reachable = Left {
        shards: vec!["ClusterRole bulkhead-forwarder-3".to_owned()],
        ..left
    };
    assert!(report(&reachable).contains("its users are still in ClusterRole bulkhead-forwarder-3"));
}

#[test]
fn the_tenant_that_flags_ask_for_is_one() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: super::create::Arguments,
    }
    let line = [
        "x",
        "acme",
        "--admin",
        "alice",
        "--admin-group",
        "ops",
        "--viewer",
        "bob",
        "--prefix",
        "acme-x-",
    ];
    let mut tenant = Cli::try_parse_from(line).unwrap().arguments.tenant();
    tenant["metadata"]["uid"] = json!("u");
    let parsed = bulkhead_api::parse_tenant(&tenant).unwrap();
    assert_eq!(parsed.prefix.as_str(), "acme-x-");
    let roles: Vec<String> = parsed
        .members
        .iter()
        .map(|m| m.role.name().to_string())
        .collect();
    assert_eq!(roles, ["admin", "viewer", "admin"]);
}
