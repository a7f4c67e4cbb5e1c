//! Kinds of the cluster's own, which a configuration names.

use bulkhead_controls::{
    Carriers, Endpoint, Facts, Unjudged, WebhookClient, webhook_configurations,
};
use bulkhead_model::AdmissionRequest;
use serde_json::{Value, json};

use crate::admission::strict;

fn carriers() -> Carriers {
    let named = [
        "trainings.example.com/Training=.spec.driver.template",
        "trainings.example.com/Training=.spec.workers[*].template",
    ];
    Carriers::with(named.map(|text| text.parse().unwrap())).unwrap()
}

fn training(operation: &str, object: Value) -> AdmissionRequest<'static> {
    serde_json::from_value(json!({
        "uid": "1", "operation": operation, "namespace": "acme-dev",
        "kind": {"group": "example.com", "version": "v1beta3", "kind": "Training"},
        "resource": {"group": "example.com", "version": "v1beta3", "resource": "trainings"},
        "object": object, "oldObject": null,
    }))
    .unwrap()
}

fn template(spec: Value) -> Value {
    json!({"template": {"metadata": {"labels": {"app": "x"}}, "spec": spec}})
}

fn good() -> Value {
    template(json!({"containers": [{"name": "main", "image": "registry.example/app:1"}]}))
}

fn found(object: Value) -> Result<Vec<String>, Unjudged> {
    let findings = carriers().judge(&training("CREATE", object), &strict(), Facts::NONE)?;
    Ok(findings
        .iter()
        .map(|it| format!("{}: {}", it.control, it.path))
        .collect())
}

#[test]
fn every_template_is_judged_and_a_finding_says_where_it_stands() {
    let object = json!({"spec": {
        "driver": good(),
        "workers": {"small": good(), "large": template(json!({
            "hostNetwork": true,
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "e", "ephemeral": {
                "volumeClaimTemplate": {"spec": {"volumeName": "pv-1"}}}}],
            "containers": [{"name": "main", "image": "registry.example/app:1", "securityContext": {"privileged": true}}],
        }))},
    }});
    let found = found(object).unwrap();
    for expected in [
        "privileged-container: spec.workers.large.template.spec.containers[0].securityContext.privileged",
        "host-path-volume: spec.workers.large.template.spec.volumes[0].hostPath",
        "host-network: spec.workers.large.template.spec.hostNetwork",
        "volume-preclaimed: spec.workers.large.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec.volumeName",
    ] {
        assert!(
            found.iter().any(|it| it == expected),
            "{expected}: {found:#?}"
        );
    }
    assert!(
        found.iter().all(|it| it.contains(": spec.workers.large.")),
        "{found:#?}"
    );
}

#[test]
fn what_is_right_passes_and_so_does_what_has_no_template() {
    for object in [
        json!({"spec": {"driver": good(), "workers": [good(), good()]}}),
        json!({"spec": {"driver": {"workloadRef": {"name": "x"}}}}),
        json!({"spec": {}}),
        json!({}),
    ] {
        assert_eq!(found(object.clone()), Ok(vec![]), "{object}");
    }
}

/// A list that is an object to the rules, and something else to the kind's controller, hides a pod.
#[test]
fn what_has_another_shape_is_refused() {
    for (object, path) in [
        (json!({"spec": {"workers": "x"}}), "spec.workers"),
        (json!({"spec": {"driver": []}}), "spec.driver"),
        (
            json!({"spec": {"workers": [{"template": []}]}}),
            "spec.workers[0].template",
        ),
        (
            json!({"spec": {"workers": [good(), template(json!({"containers": {}}))]}}),
            "spec.workers[1].template.spec.containers",
        ),
    ] {
        match found(object.clone()) {
            Err(Unjudged::Malformed { path: at, .. }) => assert_eq!(at.to_string(), path),
            other => panic!("{object}: {other:?}"),
        }
    }
}

/// Where nobody has named the kind it is refused: a flag that one process lacks lets nothing in.
#[test]
fn a_kind_that_nobody_names_is_not_let_in() {
    let request = training("CREATE", json!({"spec": {"driver": good()}}));
    let judged = bulkhead_controls::judge(&request, &strict(), Facts::NONE);
    assert!(
        matches!(judged, Err(Unjudged::UnknownKind { .. })),
        "{judged:?}"
    );
}

#[test]
fn templates_stay_as_they_are_and_their_kind_is_brought_to_the_judge() {
    let request = training("CREATE", json!({"spec": {"driver": good()}}));
    assert_eq!(carriers().mend(&request, &strict(), Facts::NONE), None);
    let client = WebhookClient {
        endpoint: Endpoint::Url("https://127.0.0.1:1".into()),
        ca_bundle_pem: String::new(),
    };
    let all = webhook_configurations(&carriers(), &client);
    let rules = |pointer: &str| {
        all.iter()
            .find_map(|it| it.pointer(pointer))
            .cloned()
            .unwrap()
    };
    let judge = &all[1]["webhooks"][0];
    let wanted = json!({
        "apiGroups": ["example.com"], "apiVersions": ["*"], "resources": ["trainings"],
        "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
    });
    assert!(
        judge["rules"].as_array().unwrap().contains(&wanted),
        "{judge:#}"
    );
    assert!(
        !rules("/webhooks/0/rules")
            .as_array()
            .unwrap()
            .contains(&wanted)
    );
    let rego = all[2].to_string();
    assert!(rego.contains("'example.com/trainings'"), "{rego}");
}
