//! What a tenant may do works, with the real kubectl through the gateway.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::Value;

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("work::kubectl_lists_own_namespaces_only", own_namespaces),
    (
        "work::kubectl_creates_a_namespace_and_works_in_it_at_once",
        new_namespace,
    ),
    (
        "work::kubectl_creates_no_namespace_outside_the_prefix",
        other_namespace,
    ),
    ("work::kubectl_finds_nothing_of_another_tenant", not_found),
    ("work::kubectl_applies", apply),
    ("work::kubectl_applies_server_side", apply_server_side),
    ("work::kubectl_prints_tables", tables),
    ("work::kubectl_says_what_one_may_do", can_i),
    ("work::kubectl_scales_restarts_and_waits", rollout),
    ("work::kubectl_explains_kinds", explain),
    ("work::kubectl_deletes", delete),
    ("work::kubectl_asks_for_logs", logs),
];

fn own_namespaces(bed: &Bed) -> anyhow::Result<()> {
    let out = bed.kubectl(&["get", "namespaces", "-o", "name"])?.good()?;
    let prefix = format!("namespace/{}-", bed.field.attacker.tenant);
    ensure!(
        out.contains(&format!("namespace/{}\n", bed.own())),
        "the own one is missing: {out}"
    );
    ensure!(
        out.lines().all(|line| line.starts_with(&prefix)),
        "others' are there: {out}"
    );
    // A selector of the client's narrows the list, and cannot widen it.
    let selector = format!("bulkhead.dev/tenant={}", bed.field.victim.tenant);
    let out = bed
        .kubectl(&["get", "namespaces", "-o", "name", "-l", &selector])?
        .good()?;
    ensure!(out.is_empty(), "the victim's are there: {out}");
    Ok(())
}

fn new_namespace(bed: &Bed) -> anyhow::Result<()> {
    let name = format!("{}-dev", bed.field.attacker.tenant);
    bed.kubectl(&["create", "namespace", &name])?.good()?;
    // Without waiting: the gateway answers once the namespace is open.
    bed.kubectl(&[
        "-n",
        &name,
        "create",
        "deployment",
        "web",
        "--image=nginxinc/nginx-unprivileged:1.29",
    ])?
    .good()?;
    let pods = format!("/api/v1/namespaces/{name}/pods?labelSelector=app%3Dweb");
    let pod = eventually("the deployment's pod runs", || {
        let list = bed.do_as_tenant(&Request::get(pods.as_str()))?;
        Ok(list
            .pointer("/items/0")
            .filter(|pod| text(pod, "/status/phase") == "Running")
            .cloned())
    })?;
    is_mended(&pod)?;
    ensure!(
        !text(&pod, "/spec/nodeName").is_empty(),
        "it was not scheduled"
    );
    bed.kubectl(&["delete", "namespace", &name, "--wait=false"])?
        .good()?;
    eventually("the namespace is gone", || {
        let response = bed.tenant(&Request::get(format!("/api/v1/namespaces/{name}")))?;
        Ok((response.status == 404).then_some(()))
    })
}

/// The safe values that nobody has asked for.
pub(super) fn is_mended(pod: &Value) -> anyhow::Result<()> {
    let container = |rest: &str| pod.pointer(&format!("/spec/containers/0/securityContext/{rest}"));
    let either = |rest: &str| {
        pod.pointer(&format!("/spec/securityContext/{rest}"))
            .or_else(|| container(rest))
    };
    ensure!(
        container("allowPrivilegeEscalation") == Some(&Value::Bool(false)),
        "{pod}"
    );
    ensure!(
        container("capabilities/drop/0").and_then(Value::as_str) == Some("ALL"),
        "{pod}"
    );
    ensure!(either("runAsNonRoot") == Some(&Value::Bool(true)), "{pod}");
    ensure!(
        either("seccompProfile/type").and_then(Value::as_str) == Some("RuntimeDefault"),
        "{pod}"
    );
    Ok(())
}

fn other_namespace(bed: &Bed) -> anyhow::Result<()> {
    let prefix = format!("`{}-`", bed.field.attacker.tenant);
    bed.kubectl(&["create", "namespace", "other"])?.bad(&[
        "forbidden",
        "foreign-namespace",
        &prefix,
    ])?;
    let there = bed.admin(&Request::get("/api/v1/namespaces/other"))?;
    ensure!(there.status == 404, "it was created");
    Ok(())
}

fn not_found(bed: &Bed) -> anyhow::Result<()> {
    let theirs = bed.theirs();
    for arguments in [
        &["get", "pods", "-n", theirs][..],
        &["get", "namespace", theirs],
        &["get", "secret", "attack-victim", "-n", theirs, "-o", "yaml"],
        &["logs", "attack-victim", "-n", theirs],
        &["delete", "pod", "attack-victim", "-n", theirs],
        &[
            "scale",
            "deployment/attack-victim",
            "--replicas=3",
            "-n",
            theirs,
        ],
    ] {
        bed.kubectl(arguments)?.bad(&["NotFound", "not found"])?;
    }
    // What does not exist at all is told in the same words.
    let absent = format!("{theirs}-absent");
    let ours = bed
        .kubectl(&["get", "pods", "-n", theirs])?
        .err
        .replace(theirs, "N");
    let none = bed
        .kubectl(&["get", "pods", "-n", &absent])?
        .err
        .replace(&absent, "N");
    ensure!(ours == none, "`{ours}` tells more than `{none}`");
    Ok(())
}

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
data: {greeting: hello}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: main
        image: registry.example/app:1
";

fn apply(bed: &Bed) -> anyhow::Result<()> {
    let manifest = MANIFEST.replace("NAME", "e2e-applied");
    bed.kubectl_with(&["apply", "-f", "-"], &manifest)?.good()?;
    let again = bed.kubectl_with(&["apply", "-f", "-"], &manifest)?.good()?;
    ensure!(again.matches("unchanged").count() == 3, "{again}");
    let changed = manifest.replace("hello", "hi");
    let changed = bed.kubectl_with(&["apply", "-f", "-"], &changed)?.good()?;
    ensure!(
        changed.contains("configmap/e2e-applied configured"),
        "{changed}"
    );
    bed.kubectl_with(&["delete", "-f", "-", "--wait=false"], &manifest)?
        .good()
        .map(drop)
}

fn apply_server_side(bed: &Bed) -> anyhow::Result<()> {
    let manifest = MANIFEST.replace("NAME", "e2e-server-side");
    let apply = ["apply", "--server-side", "--field-manager=e2e", "-f", "-"];
    let out = bed.kubectl_with(&apply, &manifest)?.good()?;
    ensure!(out.matches("serverside-applied").count() == 3, "{out}");
    let path = format!(
        "/api/v1/namespaces/{}/configmaps/e2e-server-side",
        bed.own()
    );
    let object = bed.do_as_tenant(&Request::get(path))?;
    ensure!(
        text(&object, "/metadata/managedFields/0/manager") == "e2e",
        "{object}"
    );
    bed.kubectl_with(&["delete", "-f", "-", "--wait=false"], &manifest)?
        .good()
        .map(drop)
}

fn tables(bed: &Bed) -> anyhow::Result<()> {
    let out = bed.kubectl(&["get", "deployments", "-o", "wide"])?.good()?;
    ensure!(
        out.starts_with("NAME ") && out.contains("READY") && out.contains("UP-TO-DATE"),
        "{out}"
    );
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let pods =
        Request::get(format!("/api/v1/namespaces/{}/pods", bed.own())).header("Accept", accept);
    let table = bed.do_as_tenant(&pods)?;
    ensure!(text(&table, "/kind") == "Table", "{table}");
    Ok(())
}

fn can_i(bed: &Bed) -> anyhow::Result<()> {
    for (arguments, expected) in [
        (&["create", "pods", "-n", bed.own()][..], "yes"),
        (&["delete", "secrets", "-n", bed.own()], "yes"),
        (&["list", "namespaces"], "yes"),
        (&["create", "namespaces"], "yes"),
        (
            &["get", "pods", "--subresource=log", "-n", bed.own()],
            "yes",
        ),
        (&["get", "pods", "-n", bed.theirs()], "no"),
        (
            &[
                "create",
                "rolebindings.rbac.authorization.k8s.io",
                "-n",
                bed.own(),
            ],
            "yes",
        ),
        (&["create", "clusterroles.rbac.authorization.k8s.io"], "no"),
        // There are none of its own, and the list says so.
        (&["list", "nodes"], "yes"),
        (&["delete", "nodes"], "no"),
        (&["get", "storageclasses.storage.k8s.io/attack"], "no"),
        (
            &["get", "pods", "--subresource=proxy", "-n", bed.own()],
            "no",
        ),
        (&["get", "/metrics"], "no"),
        (&["get", "/healthz"], "yes"),
        (&["impersonate", "users"], "no"),
        (&["*", "*"], "no"),
    ] {
        let ran = bed.kubectl(&[&["auth", "can-i"], arguments].concat())?;
        ensure!(
            ran.out.split_whitespace().next() == Some(expected),
            "{arguments:?}: {}{}",
            ran.out,
            ran.err
        );
    }
    let whoami = bed.kubectl(&["auth", "whoami"])?.good()?;
    ensure!(
        whoami.contains(&format!(
            "bulkhead:tenant:{}:admin",
            bed.field.attacker.tenant
        )),
        "{whoami}"
    );
    Ok(())
}

fn rollout(bed: &Bed) -> anyhow::Result<()> {
    bed.kubectl(&[
        "create",
        "deployment",
        "e2e-rollout",
        "--image=registry.example/app:1",
    ])?
    .good()?;
    bed.kubectl(&["scale", "deployment/e2e-rollout", "--replicas=2"])?
        .good()?;
    bed.kubectl(&[
        "rollout",
        "status",
        "deployment/e2e-rollout",
        "--timeout=60s",
    ])?
    .good()?;
    bed.kubectl(&["rollout", "restart", "deployment/e2e-rollout"])?
        .good()?;
    bed.kubectl(&[
        "wait",
        "--for=condition=Available",
        "deployment/e2e-rollout",
        "--timeout=60s",
    ])?
    .good()?;
    bed.kubectl(&["delete", "deployment", "e2e-rollout", "--timeout=60s"])?
        .good()
        .map(drop)
}

fn explain(bed: &Bed) -> anyhow::Result<()> {
    let out = bed
        .kubectl(&["explain", "deployment.spec.replicas"])?
        .good()?;
    ensure!(out.contains("replicas"), "{out}");
    let out = bed.kubectl(&["api-resources", "-o", "name"])?.good()?;
    ensure!(out.contains("deployments.apps"), "{out}");
    Ok(())
}

fn delete(bed: &Bed) -> anyhow::Result<()> {
    for name in ["e2e-deleted-1", "e2e-deleted-2"] {
        bed.kubectl(&["create", "configmap", name, "--from-literal=a=b"])?
            .good()?;
        bed.kubectl(&["label", "configmap", name, "e2e=deleted"])?
            .good()?;
    }
    bed.kubectl(&["delete", "configmap", "e2e-deleted-1"])?
        .good()?;
    bed.kubectl(&["delete", "configmap", "-l", "e2e=deleted"])?
        .good()?;
    let left = bed
        .kubectl(&["get", "configmaps", "-l", "e2e=deleted", "-o", "name"])?
        .good()?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

/// The simulated nodes have no containers: the sandbox's stand-in for their kubelets says so in each
/// log. That it does shows that the request has come through the gateway, RBAC and the API server to
/// the node; what a real container writes needs a real node.
fn logs(bed: &Bed) -> anyhow::Result<()> {
    let list = format!(
        "/api/v1/namespaces/{}/pods?labelSelector=app%3Dweb",
        bed.own()
    );
    let pods = bed.do_as_tenant(&Request::get(list))?;
    let pod = text(&pods, "/items/0/metadata/name");
    let out = bed.kubectl(&["logs", pod])?.good()?;
    ensure!(out.contains("simulated"), "{out}");
    follows(bed, pod)
}

/// `logs -f` gives what there is at once and does not end.
fn follows(bed: &Bed, pod: &str) -> anyhow::Result<()> {
    let target = format!(
        "/api/v1/namespaces/{}/pods/{pod}/log?follow=true",
        bed.own()
    );
    let response = bed.tenant(&Request::get(target))?;
    ensure!(
        response.is_success() && response.text().contains("simulated"),
        "{response:?}"
    );
    Ok(())
}
