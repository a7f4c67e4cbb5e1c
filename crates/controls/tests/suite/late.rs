//! What only the phase of validation can tell: who writes on a pod that runs.

use std::collections::BTreeSet;

use bulkhead_controls::{Facts, ObjectKey, judge, mend, needed};
use bulkhead_model::AdmissionRequest;
use serde_json::{Value, json};

use crate::admission::{create, strict, update};

fn pod(annotations: Value, resources: Value) -> Value {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "annotations": annotations},
        "spec": {"containers": [{"name": "c", "image": "registry.example/app:1", "resources": resources}]},
    });
    let mended = mend(&create(object.clone()), &strict(), Facts::NONE);
    mended.map_or(object, Value::from)
}

fn limits() -> Value {
    json!({"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}})
}

fn controls(request: &AdmissionRequest<'_>, facts: &Facts) -> BTreeSet<&'static str> {
    let findings = judge(request, &strict(), facts).unwrap();
    findings.iter().map(|finding| finding.control).collect()
}

#[test]
fn what_a_network_plugin_writes_down_no_tenant_writes() {
    let key = "k8s.ovn.org/pod-networks";
    let (bare, marked) = (
        pod(json!({}), limits()),
        pod(json!({key: "theirs"}), limits()),
    );
    let namespace = |name: &str, tenant: Option<&str>| {
        let labels = tenant.map_or(
            json!({}),
            |tenant| json!({"bulkhead.dev/tenant": tenant, "bulkhead.dev/tenant-uid": "u"}),
        );
        (
            ObjectKey::namespace(name),
            json!({"metadata": {"name": name, "labels": labels}}),
        )
    };
    let mut facts = Facts::default();
    for (key, object) in [
        namespace("kube-system", None),
        namespace("acme-prod", Some("acme")),
        namespace("globex", Some("globex")),
    ] {
        facts.learn(key, Some(object.into()));
    }
    facts.fail(ObjectKey::namespace("unread"));
    for (user, refused) in [
        ("bulkhead:tenant:acme:admin", true),
        ("system:serviceaccount:acme-dev:default", true),
        ("system:serviceaccount:acme-prod:default", true),
        ("system:serviceaccount:globex:default", true),
        ("system:serviceaccount:unread:default", true),
        ("system:serviceaccount:never-heard-of:default", true),
        ("system:serviceaccount:kube-system:ovnkube", false),
        ("eks:vpc-resource-controller", false),
        ("system:node:worker-1", false),
    ] {
        for (old, new) in [(&bare, &marked), (&marked, &bare)] {
            let mut request = update(old.clone(), new.clone(), None);
            request.user_info.username = user.into();
            let found = controls(&request, &facts).contains("network-annotation-forged");
            assert_eq!(found, refused, "{user}");
        }
        // What stays is nobody's doing; what is made has nothing to say yet, whoever makes it.
        for (mut request, refused) in [
            (update(marked.clone(), marked.clone(), None), false),
            (create(marked.clone()), true),
        ] {
            request.user_info.username = user.into();
            let found = controls(&request, &facts).contains("network-annotation-forged");
            assert_eq!(found, refused, "{user}");
        }
    }
    let mut request = update(bare, marked, None);
    for (user, wanted) in [
        (
            "system:serviceaccount:elsewhere:x",
            vec![ObjectKey::namespace("elsewhere")],
        ),
        ("system:serviceaccount:acme-dev:x", vec![]),
        ("bulkhead:tenant:acme:admin", vec![]),
    ] {
        request.user_info.username = user.into();
        assert_eq!(
            needed(&request, &strict(), &Facts::default()),
            wanted,
            "{user}"
        );
    }
}
