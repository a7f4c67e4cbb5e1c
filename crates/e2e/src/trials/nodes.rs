//! Nodes of tenants' own, on simulated nodes: whose pods land where, who has to leave, and every
//! way around.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that lacks a key reads as null, and what is written to is made here"
)]

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Request, Response};
use bulkhead_attack::{Account, good_pod};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("nodes::a_tenant_has_its_nodes_to_itself", dedicated),
    (
        "nodes::a_node_that_registers_anew_is_marked_before_pods_land",
        registers_anew,
    ),
    ("nodes::every_way_around_is_refused_by_name", ways_around),
    (
        "nodes::of_two_that_select_one_node_the_ledger_decides",
        contested,
    ),
    (
        "nodes::budgets_are_respected_and_a_node_is_given_back",
        given_back,
    ),
    ("nodes::the_label_alone_never_suffices", label_alone),
    ("nodes::labelled_pods_stay_on_labelled_nodes", labelled),
    ("nodes::class_lists_hold_and_defaults_are_given", classes),
];

const LABEL: &str = "node-restriction.kubernetes.io/tenant";
const MERGE: &str = "application/merge-patch+json";

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

/// A simulated node, as a kubelet would register it.
fn register(bed: &Bed, name: &str, labels: &Value) -> anyhow::Result<()> {
    let mut all = json!({"type": "kwok", "kubernetes.io/hostname": name});
    if let (Value::Object(all), Value::Object(labels)) = (&mut all, labels) {
        all.extend(labels.clone());
    }
    let node = json!({"metadata": {"name": name, "labels": all}, "status": {
        "capacity": {"cpu": "8", "memory": "32Gi", "pods": "100"},
        "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "100"}}});
    bed.do_as_admin(&Request::post("/api/v1/nodes", &node))
        .map(drop)
}

fn remove(bed: &Bed, name: &str) -> anyhow::Result<()> {
    bed.do_as_admin(&Request::delete(node_path(name))).map(drop)
}

/// Whose a node is by its label and each of its taints; empty if it is nobody's.
fn marks(bed: &Bed, name: &str) -> anyhow::Result<Vec<String>> {
    let node = bed.do_as_admin(&Request::get(node_path(name)))?;
    let mut marks = Vec::new();
    if let Some(label) = node["metadata"]["labels"][LABEL].as_str() {
        marks.push(format!("label {label}"));
    }
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    for taint in taints.filter(|taint| taint["key"] == "tenantID") {
        marks.push(format!(
            "{} {}",
            text(taint, "/effect"),
            text(taint, "/value")
        ));
    }
    marks.sort();
    Ok(marks)
}

fn closed_for(tenant: &str) -> Vec<String> {
    ["NoExecute", "NoSchedule", "label"]
        .map(|mark| format!("{mark} {tenant}"))
        .to_vec()
}

fn until_closed(bed: &Bed, node: &str, tenant: &str) -> anyhow::Result<()> {
    eventually("the node is the tenant's alone", || {
        Ok((marks(bed, node)? == closed_for(tenant)).then_some(()))
    })
}

/// The condition `NodesReady` of a tenant: status, reason, message.
fn nodes_ready(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<String> {
    let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
    let conditions = tenant["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let said = conditions
        .filter(|it| it["type"] == "NodesReady")
        .map(|it| {
            format!(
                "{} {}: {}",
                text(it, "/status"),
                text(it, "/reason"),
                text(it, "/message")
            )
        })
        .next();
    said.context("no condition NodesReady")
}

fn until_ready(bed: &Bed, guest: &Guest<'_>, expect: &str) -> anyhow::Result<()> {
    eventually(expect, || {
        let said = nodes_ready(bed, guest)?;
        ensure!(said.starts_with(expect), "{said}");
        Ok(Some(()))
    })
}

fn dedicated_to(pool: &str) -> Value {
    json!({"nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"e2e/pool": pool}}}})
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// A pod that breaks no rule, with more in its spec.
fn pod(name: &str, more: &Value) -> Value {
    let mut spec = good_pod();
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more.clone());
    }
    json!({"metadata": {"name": name, "labels": {"e2e": name}}, "spec": spec})
}

/// The node that a pod runs on, once it does.
fn lands(bed: &Bed, namespace: &str, name: &str) -> anyhow::Result<String> {
    eventually("the pod runs", || {
        let pod = bed.do_as_admin(&Request::get(format!("{}/{name}", pods(namespace))))?;
        let running = text(&pod, "/status/phase") == "Running";
        Ok(running.then(|| text(&pod, "/spec/nodeName").to_owned()))
    })
}

/// How many pods that have not ended run on a node outside of a namespace.
fn others_on(bed: &Bed, node: &str, namespace: &str) -> anyhow::Result<Vec<String>> {
    let list = bed.do_as_admin(&Request::get(format!(
        "/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"
    )))?;
    let items = list["items"].as_array().into_iter().flatten();
    Ok(items
        .filter(|pod| text(pod, "/metadata/namespace") != namespace)
        .map(|pod| {
            format!(
                "{}/{}",
                text(pod, "/metadata/namespace"),
                text(pod, "/metadata/name")
            )
        })
        .collect())
}

/// A workload of the platform's, with so many pods that some would land on any node, pinned to one.
fn deployment(name: &str, replicas: u32, node: &str) -> Value {
    let labels = json!({"e2e": name});
    let mut spec = good_pod();
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    json!({"metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": spec}}})
}

fn running(bed: &Bed, namespace: &str, label: &str) -> anyhow::Result<usize> {
    let path = format!("{}?labelSelector=e2e%3D{label}", pods(namespace));
    let list = bed.do_as_admin(&Request::get(path))?;
    let items = list["items"].as_array().into_iter().flatten();
    Ok(items
        .filter(|pod| text(pod, "/status/phase") == "Running")
        .count())
}

fn dedicated(bed: &Bed) -> anyhow::Result<()> {
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    register(bed, "e2e-own-1", &json!({"e2e/pool": "own"}))?;
    // The platform's pods are there first.
    bed.do_as_admin(&Request::post(
        deployments,
        &deployment("e2e-platform", 3, "e2e-own-1"),
    ))?;
    eventually("the platform's pods run", || {
        Ok((running(bed, "default", "e2e-platform")? == 3).then_some(()))
    })?;
    let guest = Guest::arrive(bed, "e2e-own", &dedicated_to("own"))?;
    until_closed(bed, "e2e-own-1", "e2e-own")?;
    until_ready(bed, &guest, "True Dedicated: 1 node is the tenant's alone")?;
    ensure!(others_on(bed, "e2e-own-1", &guest.namespace)?.is_empty());
    // They are made anew, wait, and never land.
    eventually("the platform's pods wait", || {
        let path = format!("{}?labelSelector=e2e%3De2e-platform", pods("default"));
        let list = bed.do_as_admin(&Request::get(path))?;
        let waiting = list["items"].as_array().into_iter().flatten();
        let waiting = waiting
            .filter(|pod| text(pod, "/status/phase") == "Pending")
            .count();
        Ok((waiting == 3).then_some(()))
    })?;
    for index in 0..4 {
        let name = format!("mine-{index}");
        succeeded(&guest.send(&Request::post(
            pods(&guest.namespace),
            &pod(&name, &json!({})),
        ))?)?;
        ensure!(lands(bed, &guest.namespace, &name)? == "e2e-own-1");
    }
    ensure!(others_on(bed, "e2e-own-1", &guest.namespace)?.is_empty());
    // Another node joins the claim.
    register(bed, "e2e-own-2", &json!({"e2e/pool": "own"}))?;
    until_ready(
        bed,
        &guest,
        "True Dedicated: 2 nodes are the tenant's alone",
    )?;
    bed.do_as_admin(&Request::delete(format!("{deployments}/e2e-platform")))?;
    guest.leave()?;
    for node in ["e2e-own-1", "e2e-own-2"] {
        eventually("the node is nobody's", || {
            Ok(marks(bed, node)?.is_empty().then_some(()))
        })?;
        remove(bed, node)?;
    }
    Ok(())
}

fn registers_anew(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-anew", &dedicated_to("anew"))?;
    until_ready(bed, &guest, "False NoNodes")?;
    // A pod that waits for the tenant's nodes lands the moment one is there.
    succeeded(&guest.send(&Request::post(
        pods(&guest.namespace),
        &pod("waits", &json!({})),
    ))?)?;
    for _ in 0..3 {
        register(bed, "e2e-anew-1", &json!({"e2e/pool": "anew"}))?;
        ensure!(lands(bed, &guest.namespace, "waits")? == "e2e-anew-1");
        let marks = marks(bed, "e2e-anew-1")?;
        ensure!(
            marks.contains(&"NoSchedule e2e-anew".to_owned()),
            "{marks:?}"
        );
        until_closed(bed, "e2e-anew-1", "e2e-anew")?;
        remove(bed, "e2e-anew-1")?;
        let path = format!("{}/waits?gracePeriodSeconds=0", pods(&guest.namespace));
        bed.admin(&Request::delete(path))?;
        eventually("the pod is gone", || {
            let again = Request::post(pods(&guest.namespace), &pod("waits", &json!({})));
            Ok(guest.send(&again)?.is_success().then_some(()))
        })?;
    }
    guest.leave()
}

/// As the guest through the gateway, and as an account of the tenant's straight at the API server:
/// the first tenant's account cannot, so the administrator stands for it there.
fn both_doors(bed: &Bed, guest: &Guest<'_>, request: &Request) -> anyhow::Result<[Response; 2]> {
    Ok([guest.send(request)?, bed.admin(request)?])
}

fn ways_around(bed: &Bed) -> anyhow::Result<()> {
    register(bed, "e2e-around-1", &json!({"e2e/pool": "around"}))?;
    let guest = Guest::arrive(bed, "e2e-around", &dedicated_to("around"))?;
    until_closed(bed, "e2e-around-1", "e2e-around")?;
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]}}});
    for (index, (spec, control)) in [
        (json!({"nodeSelector": {LABEL: "globex"}}), "shared-node"),
        (json!({"nodeSelector": {LABEL: ""}}), "shared-node"),
        (json!({"nodeName": "node-1"}), "node-name-set"),
        (json!({"schedulerName": "mine"}), "node-name-set"),
        (json!({"affinity": affinity}), "node-name-set"),
        (
            json!({"tolerations": [{"operator": "Exists"}]}),
            "foreign-toleration",
        ),
        (
            json!({"tolerations": [{"key": "tenantID", "operator": "Exists"}]}),
            "foreign-toleration",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = Request::post(pods(&guest.namespace), &pod(&format!("bad-{index}"), &spec));
        for response in both_doors(bed, &guest, &bad)? {
            refused(&response, 403, &[control]).with_context(|| spec.to_string())?;
        }
    }
    // A DaemonSet that does not say where it runs would leave a pod waiting for each other node.
    let daemons = format!("/apis/apps/v1/namespaces/{}/daemonsets", guest.namespace);
    let labels = json!({"e2e": "agent"});
    let mut set = json!({"metadata": {"name": "agent"}, "spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": good_pod()}}});
    for response in both_doors(bed, &guest, &Request::post(daemons.as_str(), &set))? {
        refused(&response, 403, &["shared-node", "the template must say it"])?;
    }
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({LABEL: "e2e-around"});
    set["spec"]["template"]["spec"]["tolerations"] =
        json!([{"key": "tenantID", "value": "e2e-around"}]);
    succeeded(&guest.send(&Request::post(daemons.as_str(), &set))?)?;
    eventually("the DaemonSet's pod runs", || {
        Ok((running(bed, &guest.namespace, "agent")? == 1).then_some(()))
    })?;
    gates(bed, &guest)?;
    // Bindings are the scheduler's alone.
    succeeded(&guest.send(&Request::post(
        pods(&guest.namespace),
        &pod(
            "gated-for-binding",
            &json!({"schedulingGates": [{"name": "e2e.example/wait"}]}),
        ),
    ))?)?;
    let binding = json!({"metadata": {"name": "gated-for-binding"}, "target": {"kind": "Node", "name": "node-1"}});
    let path = format!("{}/gated-for-binding/binding", pods(&guest.namespace));
    refused(
        &guest.send(&Request::post(path, &binding))?,
        403,
        &["status-write"],
    )?;
    guest.leave()?;
    eventually("the node is nobody's", || {
        Ok(marks(bed, "e2e-around-1")?.is_empty().then_some(()))
    })?;
    remove(bed, "e2e-around-1")
}

/// A pod that is held back by a gate may still have its affinity changed.
fn gates(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    let held = pod(
        "gated",
        &json!({"schedulingGates": [{"name": "e2e.example/wait"}]}),
    );
    succeeded(&guest.send(&Request::post(pods(&guest.namespace), &held))?)?;
    let path = format!("{}/gated", pods(&guest.namespace));
    let free = json!({"spec": {"schedulingGates": null, "affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]}}}}});
    let patch = Request::patch(path.as_str(), MERGE, &free);
    for response in both_doors(bed, guest, &patch)? {
        refused(&response, 403, &["node-name-set"])?;
    }
    let free = json!({"spec": {"schedulingGates": null}});
    succeeded(&guest.send(&Request::patch(path, MERGE, &free))?)?;
    ensure!(lands(bed, &guest.namespace, "gated")? == "e2e-around-1");
    Ok(())
}

fn contested(bed: &Bed) -> anyhow::Result<()> {
    let first = Guest::arrive(bed, "e2e-first", &dedicated_to("contested"))?;
    let within = json!({"nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"e2e/pool": "contested", "zone": "a"}}}});
    let refusal = bed.admin(&Request::post("/apis/bulkhead.dev/v1alpha1/tenants",
        &json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "e2e-within"}, "spec": within})))?;
    refused(
        &refusal,
        422,
        &["spec.nodes.selector.matchLabels", "`e2e-first`"],
    )?;
    // Tenants that are made within one second are told apart by their UIDs, so the first comes first.
    register(
        bed,
        "e2e-contested-1",
        &json!({"e2e/pool": "contested", "e2e/disk": "contested"}),
    )?;
    until_closed(bed, "e2e-contested-1", "e2e-first")?;
    until_ready(bed, &first, "True Dedicated")?;
    let crossing = json!({"nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"e2e/disk": "contested"}}}});
    let second = Guest::arrive(bed, "e2e-second", &crossing)?;
    until_ready(bed, &second, "False NodesNotReady")?;
    let tenant = bed.do_as_admin(&Request::get(second.path()))?;
    ensure!(
        text(&tenant, "/status/nodes/0/message") == "claimed by the tenant `e2e-first`",
        "{tenant}"
    );
    // The first does not want it any more: the second has waited for it.
    let patch = json!({"spec": {"nodes": {"placement": "Shared", "selector": null}}});
    bed.do_as_admin(&Request::patch(first.path(), MERGE, &patch))?;
    until_closed(bed, "e2e-contested-1", "e2e-second")?;
    until_ready(bed, &second, "True Dedicated")?;
    first.leave()?;
    second.leave()?;
    eventually("the node is nobody's", || {
        Ok(marks(bed, "e2e-contested-1")?.is_empty().then_some(()))
    })?;
    remove(bed, "e2e-contested-1")
}

fn given_back(bed: &Bed) -> anyhow::Result<()> {
    register(bed, "e2e-back-1", &json!({"e2e/pool": "back"}))?;
    let neighbour = Guest::arrive(bed, "e2e-neighbour", &json!({}))?;
    let deployments = format!(
        "/apis/apps/v1/namespaces/{}/deployments",
        neighbour.namespace
    );
    let budgets = format!(
        "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
        neighbour.namespace
    );
    succeeded(&neighbour.send(&Request::post(
        deployments,
        &deployment("stays", 2, "e2e-back-1"),
    ))?)?;
    eventually("the neighbour's pods run", || {
        Ok((running(bed, &neighbour.namespace, "stays")? == 2).then_some(()))
    })?;
    let budget = json!({"metadata": {"name": "stays"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"e2e": "stays"}}}});
    succeeded(&neighbour.send(&Request::post(budgets.as_str(), &budget))?)?;
    eventually("the budget counts", || {
        let budget = bed.do_as_admin(&Request::get(format!("{budgets}/stays")))?;
        Ok((budget["status"]["currentHealthy"] == 2).then_some(()))
    })?;
    let guest = Guest::arrive(bed, "e2e-back", &dedicated_to("back"))?;
    // Nobody new, and nobody thrown out.
    until_ready(
        bed,
        &guest,
        "False NodesNotReady: not the tenant's alone: e2e-back-1",
    )?;
    eventually("the budget is named", || {
        let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
        let message = text(&tenant, "/status/nodes/0/message").to_owned();
        Ok(message
            .contains("kept by their budgets for now")
            .then_some(()))
    })?;
    ensure!(marks(bed, "e2e-back-1")? == ["NoSchedule e2e-back", "label e2e-back"]);
    ensure!(running(bed, &neighbour.namespace, "stays")? == 2);
    bed.do_as_admin(&Request::delete(format!("{budgets}/stays")))?;
    until_closed(bed, "e2e-back-1", "e2e-back")?;
    // Its own pods leave before the node is anybody's again.
    succeeded(&guest.send(&Request::post(
        pods(&guest.namespace),
        &pod("mine", &json!({})),
    ))?)?;
    ensure!(lands(bed, &guest.namespace, "mine")? == "e2e-back-1");
    let patch = json!({"spec": {"nodes": {"placement": "Shared", "selector": null}}});
    bed.do_as_admin(&Request::patch(guest.path(), MERGE, &patch))?;
    eventually("the node is everybody's again", || {
        Ok(marks(bed, "e2e-back-1")?.is_empty().then_some(()))
    })?;
    let own = bed.admin(&Request::get(format!("{}/mine", pods(&guest.namespace))))?;
    ensure!(own.status == 404, "the pod was evicted: {}", own.status);
    eventually("the neighbour is back", || {
        Ok((running(bed, &neighbour.namespace, "stays")? == 2).then_some(()))
    })?;
    guest.leave()?;
    neighbour.leave()?;
    remove(bed, "e2e-back-1")
}

fn label_alone(bed: &Bed) -> anyhow::Result<()> {
    let node =
        json!({"metadata": {"name": "e2e-lone-1", "labels": {"type": "kwok", LABEL: "acme"}}});
    let words = ["ValidatingAdmissionPolicy", "shared-node"];
    refused(
        &bed.admin(&Request::post("/api/v1/nodes", &node))?,
        403,
        &words,
    )?;
    register(bed, "e2e-lone-1", &json!({"e2e/pool": "lone"}))?;
    let label = json!({"metadata": {"labels": {LABEL: "acme"}}});
    let path = node_path("e2e-lone-1");
    refused(
        &bed.admin(&Request::patch(path.as_str(), MERGE, &label))?,
        403,
        &words,
    )?;
    // A taint that goes while the label stays is the same.
    let guest = Guest::arrive(bed, "e2e-lone", &dedicated_to("lone"))?;
    until_closed(bed, "e2e-lone-1", "e2e-lone")?;
    let bare = json!({"spec": {"taints": null}});
    refused(
        &bed.admin(&Request::patch(path.as_str(), MERGE, &bare))?,
        403,
        &words,
    )?;
    let status = Request::patch(
        format!("{path}/status"),
        MERGE,
        &json!({"metadata": {"labels": {LABEL: "acme"}}}),
    );
    refused(&bed.admin(&status)?, 403, &words)?;
    // Who takes both away finds them there again.
    let both = json!({"metadata": {"labels": {LABEL: null}}, "spec": {"taints": null}});
    succeeded(&bed.admin(&Request::patch(path, MERGE, &both))?)?;
    until_closed(bed, "e2e-lone-1", "e2e-lone")?;
    // No account of a tenant says whose a node is.
    let stolen = bed.account(
        Account::Star,
        &Request::patch(node_path("e2e-lone-1"), MERGE, &label),
    )?;
    refused(&stolen, 403, &["cannot patch resource \"nodes\""])?;
    guest.leave()?;
    eventually("the node is nobody's", || {
        Ok(marks(bed, "e2e-lone-1")?.is_empty().then_some(()))
    })?;
    remove(bed, "e2e-lone-1")
}

fn labelled(bed: &Bed) -> anyhow::Result<()> {
    const KEY: &str = "node-restriction.kubernetes.io/e2e-pool";
    let placed =
        json!({"nodes": {"placement": "Labelled", "selector": {"matchLabels": {KEY: "labelled"}}}});
    register(bed, "e2e-labelled-1", &json!({KEY: "labelled"}))?;
    let guest = Guest::arrive(bed, "e2e-labelled", &placed)?;
    for index in 0..3 {
        let name = format!("mine-{index}");
        succeeded(&guest.send(&Request::post(
            pods(&guest.namespace),
            &pod(&name, &json!({})),
        ))?)?;
        ensure!(lands(bed, &guest.namespace, &name)? == "e2e-labelled-1");
    }
    let elsewhere = pod("bad", &json!({"nodeSelector": {KEY: "other"}}));
    for response in both_doors(
        bed,
        &guest,
        &Request::post(pods(&guest.namespace), &elsewhere),
    )? {
        refused(&response, 403, &["missing-node-selector"])?;
    }
    ensure!(
        marks(bed, "e2e-labelled-1")?.is_empty(),
        "others may run there too"
    );
    guest.leave()?;
    remove(bed, "e2e-labelled-1")
}

fn classes(bed: &Bed) -> anyhow::Result<()> {
    let priority = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let runtime = "/apis/node.k8s.io/v1/runtimeclasses";
    for (name, value, preemption) in [
        ("e2e-plain", 10, "Never"),
        ("e2e-high", 1000, "PreemptLowerPriority"),
    ] {
        bed.do_as_admin(&Request::post(
            priority,
            &json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": preemption}),
        ))?;
    }
    bed.do_as_admin(&Request::post(runtime, &json!({"metadata": {"name": "e2e-kata"}, "handler": "kata", "overhead": {"podFixed": {"memory": "64Mi"}}})))?;
    let guest = Guest::arrive(
        bed,
        "e2e-classes",
        &json!({
            "priorityClasses": {"allowedRegex": "e2e-p.*", "default": "e2e-plain"},
            "podSecurity": {"runtimeClasses": {"default": "e2e-kata", "required": true}},
        }),
    )?;
    let made = succeeded(&guest.send(&Request::post(
        pods(&guest.namespace),
        &pod("mended", &json!({})),
    ))?)?;
    let spec = &made["spec"];
    ensure!(
        spec["priorityClassName"] == "e2e-plain" && spec["priority"] == 10,
        "{spec}"
    );
    ensure!(spec["preemptionPolicy"] == "Never", "{spec}");
    ensure!(
        spec["runtimeClassName"] == "e2e-kata" && spec["overhead"]["memory"] == "64Mi",
        "{spec}"
    );
    for (name, more, control) in [
        (
            "high",
            json!({"priorityClassName": "e2e-high"}),
            "priority-class-unlisted",
        ),
        (
            "system",
            json!({"priorityClassName": "system-node-critical"}),
            "priority-class-unlisted",
        ),
        (
            "runtime",
            json!({"runtimeClassName": "attack-runtime"}),
            "missing-runtime-class",
        ),
    ] {
        let request = Request::post(pods(&guest.namespace), &pod(name, &more));
        for response in both_doors(bed, &guest, &request)? {
            refused(&response, 403, &[control])?;
        }
    }
    let wrong = json!({"spec": {"priorityClasses": {"allowedRegex": "((a{100}){100}){100}"}}});
    let refusal = bed.admin(&Request::patch(guest.path(), MERGE, &wrong))?;
    refused(
        &refusal,
        422,
        &["spec.priorityClasses.allowedRegex", "too large"],
    )?;
    guest.leave()?;
    for path in [
        format!("{priority}/e2e-plain"),
        format!("{priority}/e2e-high"),
        format!("{runtime}/e2e-kata"),
    ] {
        bed.do_as_admin(&Request::delete(path))?;
    }
    Ok(())
}
