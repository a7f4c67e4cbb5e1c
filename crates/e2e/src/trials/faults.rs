//! What goes wrong beside the controller, or against it: it comes out at the same in the end.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use super::leaders::CONTROLLER;
use super::life::settled;
use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;
use crate::guest::{Guest, uid};

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "faults::a_tenant_that_changes_all_the_time_ends_as_it_was_left",
        storm,
    ),
    (
        "faults::an_administrators_conflicting_edits_are_mended",
        conflicts,
    ),
    (
        "faults::namespaces_deleted_while_being_made_safe_leave_nothing",
        fleeting,
    ),
    (
        "faults::an_api_server_that_starts_again_is_no_end_of_anything",
        api_server,
    ),
    (
        "faults::an_etcd_that_starts_again_is_no_end_of_anything",
        etcd,
    ),
];

const MERGE: &str = "application/merge-patch+json";

fn rules(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<Value> {
    let namespace = bed.do_as_admin(&Request::get(format!(
        "/api/v1/namespaces/{}",
        guest.namespace
    )))?;
    let rules = text(&namespace, "/metadata/annotations/bulkhead.dev~1rules");
    Ok(serde_json::from_str(rules)?)
}

/// Three seconds of changes, as fast as they are taken.
fn storm(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-storm", &json!({}))?;
    let mark = bed.audit_mark()?;
    let start = Instant::now();
    let mut changes = 0_u32;
    while changes < 300 {
        let capability = if changes.is_multiple_of(2) {
            "CHOWN"
        } else {
            "KILL"
        };
        let patch = json!({"spec": {"podSecurity": {"allowedCapabilities": [capability]}}});
        bed.do_as_admin(&Request::patch(guest.path(), MERGE, &patch))?;
        changes += 1;
    }
    let took = start.elapsed();
    let patch = json!({"spec": {"podSecurity": {"allowedCapabilities": ["NET_BIND_SERVICE"]}}});
    bed.do_as_admin(&Request::patch(guest.path(), MERGE, &patch))?;
    settled(bed, &guest.path())?;
    eventually("the namespace has the last rules", || {
        let last = json!(["NET_BIND_SERVICE"]);
        Ok((rules(bed, &guest)?.get("allowedCapabilities") == Some(&last)).then_some(()))
    })?;
    // It follows, it does not lag behind with a write for each change.
    std::thread::sleep(Duration::from_secs(1));
    let writes = bed.writes_since(mark, CONTROLLER)?.len();
    ensure!(
        writes < 2 * changes as usize + 50,
        "{writes} writes for {changes} changes in {took:?}"
    );
    let quiet = bed.audit_mark()?;
    std::thread::sleep(Duration::from_secs(2));
    let left = bed.writes_since(quiet, CONTROLLER)?;
    ensure!(left.is_empty(), "still at work: {left:?}");
    guest.leave()
}

/// Somebody undoes it again and again, by other means each time.
fn conflicts(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-conflicts", &json!({}))?;
    let ns = format!("/api/v1/namespaces/{}", guest.namespace);
    let binding = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/bulkhead-viewer",
        guest.namespace
    );
    let policy = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/bulkhead-isolation",
        guest.namespace
    );
    for _ in 0..10 {
        bed.admin(&Request::delete(binding.as_str()))?;
        let subject = json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]});
        bed.admin(&Request::patch(binding.as_str(), MERGE, &subject))?;
        let open = json!({"spec": {"ingress": [{}]}});
        bed.admin(&Request::patch(policy.as_str(), MERGE, &open))?;
        let level = json!({"metadata": {
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
            "annotations": {"bulkhead.dev/rules": "{}", "bulkhead.dev/cordoned": "true"}}});
        bed.admin(&Request::patch(ns.as_str(), MERGE, &level))?;
    }
    eventually("everything is as it should be", || {
        let namespace = bed.do_as_admin(&Request::get(ns.as_str()))?;
        let level = text(
            &namespace,
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
        );
        let cordoned = namespace.pointer("/metadata/annotations/bulkhead.dev~1cordoned");
        let isolated = text(&namespace, "/metadata/annotations/bulkhead.dev~1isolated");
        let policy = bed.do_as_admin(&Request::get(policy.as_str()))?;
        let open = policy.pointer("/spec/ingress/0") == Some(&json!({}));
        let binding = bed
            .do_as_admin(&Request::get(binding.as_str()))?
            .to_string();
        let right = level == "restricted"
            && cordoned.is_none()
            && isolated == uid(bed, &guest.name)?
            && !open
            && !binding.contains("system:authenticated")
            && rules(bed, &guest)?.get("tenant") == Some(&json!(guest.name));
        Ok(right.then_some(()))
    })?;
    settled(bed, &guest.path())?;
    guest.leave()
}

fn fleeting(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-fleeting", &json!({}))?;
    for number in 0..20 {
        let name = format!("{}-{number}", guest.name);
        guest.make_namespace(&name)?;
        // At another moment of its making each time.
        std::thread::sleep(Duration::from_millis(3 * number));
        bed.do_as_admin(&Request::delete(format!("/api/v1/namespaces/{name}")))?;
    }
    eventually("they are gone, and the tenant is well", || {
        let selector = super::of_tenant(&guest.name);
        let left = bed.do_as_admin(&Request::get(format!(
            "/api/v1/namespaces?labelSelector={selector}"
        )))?;
        let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
        let listed = tenant
            .pointer("/status/namespaces")
            .and_then(Value::as_array);
        let well = text(&tenant, "/status/conditions/0/status") == "True";
        Ok((crate::client::names(&left) == [guest.namespace.clone()]
            && well
            && listed.is_some_and(|listed| listed.len() == 1))
        .then_some(()))
    })?;
    guest.leave()
}

fn api_server(bed: &Bed) -> anyhow::Result<()> {
    survives(bed, "kube-apiserver", "e2e-api")
}

fn etcd(bed: &Bed) -> anyhow::Result<()> {
    survives(bed, "etcd", "e2e-etcd")
}

/// A process under the controller is killed while a namespace is being made safe, and starts again:
/// what was begun is finished, and what is changed from then on is heard.
fn survives(bed: &Bed, process: &str, name: &str) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, name, &json!({}))?;
    guest.make_namespace(&format!("{name}-begun"))?;
    bed.kill(process)?;
    std::thread::sleep(Duration::from_secs(6));
    bed.start(process)?;
    if process == "etcd" {
        bed.start_is_over("kube-apiserver")?;
    }
    eventually("what was begun is finished", || {
        let namespace =
            bed.do_as_admin(&Request::get(format!("/api/v1/namespaces/{name}-begun")))?;
        let isolated = text(&namespace, "/metadata/annotations/bulkhead.dev~1isolated");
        Ok((isolated == uid(bed, name)?).then_some(()))
    })?;
    let patch = json!({"spec": {"podSecurity": {"allowedCapabilities": ["CHOWN"]}}});
    eventually("a change is taken", || {
        bed.do_as_admin(&Request::patch(guest.path(), MERGE, &patch))
            .map(Some)
    })?;
    eventually("a change is heard", || {
        Ok(
            (rules(bed, &guest)?.get("allowedCapabilities") == Some(&json!(["CHOWN"])))
                .then_some(()),
        )
    })?;
    settled(bed, &guest.path())?;
    guest.leave()
}
