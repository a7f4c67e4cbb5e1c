//! What a tenant sees of the cluster's own kinds: its nodes, the classes that its Tenant permits,
//! the kinds that are open to it, and nothing of the rest.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{names, refused, succeeded, text};
use crate::guest::Guest;
use crate::kubectl::run;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("shared::a_tenant_sees_what_it_may_use", seen),
    ("shared::a_watch_ends_when_less_may_be_used", ends),
];

const NODES: &str = "/api/v1/nodes";
const STORAGE: &str = "/apis/storage.k8s.io/v1/storageclasses";
const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn make(bed: &Bed, path: &str, object: &Value) -> anyhow::Result<()> {
    bed.do_as_admin(&Request::post(path, object)).map(drop)
}

fn class(bed: &Bed, name: &str) -> anyhow::Result<()> {
    let class = json!({"metadata": {"name": name}, "provisioner": "e2e.example/disks", "parameters": {"keyId": "the-platforms-key"}});
    make(bed, STORAGE, &class)
}

fn seen(bed: &Bed) -> anyhow::Result<()> {
    let labels =
        json!({"type": "kwok", "kubernetes.io/hostname": "e2e-shared-1", "e2e/pool": "shared"});
    let node = json!({"metadata": {"name": "e2e-shared-1", "labels": labels, "annotations": {"e2e/note": "of-the-platforms"}}});
    make(bed, NODES, &node)?;
    class(bed, "e2e-gold")?;
    class(bed, "e2e-silver")?;
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    // It stays: other trials walk through everything that is served.
    let kind = json!({"metadata": {"name": "sharedthings.e2e.example"}, "spec": {
        "group": "e2e.example", "scope": "Namespaced",
        "names": {"plural": "sharedthings", "kind": "SharedThing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    make(bed, KINDS, &kind)?;
    let spec = json!({
        "nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"e2e/pool": "shared"}}},
        "storageClasses": {"allowed": ["e2e-gold"]},
    });
    let guest = Guest::arrive(bed, "e2e-shared", &spec)?;
    let get =
        |path: &str| -> anyhow::Result<Value> { succeeded(&guest.send(&Request::get(path))?) };
    eventually("the node is the tenant's", || {
        Ok((names(&get(NODES)?) == ["e2e-shared-1"]).then_some(()))
    })?;
    for (path, expected) in [
        (STORAGE, &["e2e-gold"][..]),
        ("/apis/scheduling.k8s.io/v1/priorityclasses", &[]),
        ("/apis/node.k8s.io/v1/runtimeclasses", &[]),
        ("/apis/networking.k8s.io/v1/ingressclasses", &[]),
    ] {
        let got = names(&get(path)?);
        ensure!(got == expected, "{path}: {got:?}");
    }
    let kinds = names(&get(KINDS)?);
    ensure!(
        kinds.contains(&"sharedthings.e2e.example".to_owned())
            && !kinds.iter().any(|name| name.ends_with("bulkhead.dev")),
        "{kinds:?}"
    );
    let node = get(&format!("{NODES}/e2e-shared-1"))?;
    ensure!(
        text(&node, "/metadata/labels/e2e~1pool") == "shared"
            && !node.to_string().contains("of-the-platforms"),
        "{node}"
    );
    let class = get(&format!("{STORAGE}/e2e-gold"))?;
    ensure!(!class.to_string().contains("the-platforms-key"), "{class}");
    for (path, name) in [
        (NODES, "node-0"),
        (STORAGE, "e2e-silver"),
        (KINDS, "tenants.bulkhead.dev"),
    ] {
        let response = guest.send(&Request::get(format!("{path}/{name}")))?;
        refused(&response, 404, &[&format!("\"{name}\" not found")])?;
    }
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let patch = Request::patch(
        format!("{NODES}/e2e-shared-1"),
        "application/merge-patch+json",
        &labels,
    );
    refused(&guest.send(&patch)?, 403, &["are the platform's"])?;
    let watch = format!("{STORAGE}?watch=true&timeoutSeconds=1&resourceVersion=0");
    let events = guest.send(&Request::get(watch))?;
    ensure!(
        events.text().contains("e2e-gold") && !events.text().contains("e2e-silver"),
        "{}",
        events.text()
    );
    // The way people look.
    let kubeconfig = bed.scratch().join("e2e-shared.kubeconfig");
    let kubectl = |arguments: &[&str]| {
        let mut command = bed.kubectl_command(&kubeconfig);
        command.args(arguments);
        run(command, "")
    };
    let shown = kubectl(&["get", "nodes,storageclasses"])?.good()?;
    ensure!(
        shown.contains("e2e-shared-1") && shown.contains("e2e-gold") && shown.lines().count() == 5,
        "{shown}"
    );
    let wide = kubectl(&["get", "nodes", "-o", "wide", "--show-labels"])?.good()?;
    ensure!(
        wide.contains("KERNEL-VERSION") && wide.contains("e2e/pool=shared"),
        "{wide}"
    );
    kubectl(&["describe", "storageclass", "e2e-gold"])?.good()?;
    // It says so, and ends well nevertheless.
    let cordoned = kubectl(&["cordon", "e2e-shared-1"])?;
    ensure!(cordoned.err.contains("are the platform's"), "{cordoned:?}");
    guest.leave()?;
    bed.do_as_admin(&Request::delete(format!("{NODES}/e2e-shared-1")))?;
    Ok(())
}

fn ends(bed: &Bed) -> anyhow::Result<()> {
    class(bed, "e2e-bronze")?;
    let spec = json!({"storageClasses": {"allowed": ["e2e-bronze"]}});
    let guest = Guest::arrive(bed, "e2e-less", &spec)?;
    let watch = Request::get(format!(
        "{STORAGE}?watch=true&timeoutSeconds=120&resourceVersion=0"
    ));
    let watched = std::thread::scope(|scope| {
        let watching = scope.spawn(|| guest.send(&watch));
        // The watch is open before less is permitted.
        std::thread::sleep(Duration::from_millis(500));
        let less = json!({"spec": {"storageClasses": {"allowed": ["e2e-none"]}}});
        bed.do_as_admin(&Request::patch(
            guest.path(),
            "application/merge-patch+json",
            &less,
        ))?;
        watching
            .join()
            .map_err(|_| anyhow::anyhow!("a thread has failed"))?
    })?;
    ensure!(
        watched.status == 200 && !watched.unfinished && watched.text().contains("e2e-bronze"),
        "{} {}",
        watched.status,
        watched.text()
    );
    let list = succeeded(&guest.send(&Request::get(STORAGE))?)?;
    ensure!(names(&list).is_empty(), "{list}");
    guest.leave()
}
