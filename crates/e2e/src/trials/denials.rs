//! What people are told.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use bulkhead_attack::{evil_containers, evil_pods};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::refused;
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("denials::name_control_path_why_and_mend", words),
    ("denials::are_the_same_at_both_doors", both_doors),
    ("denials::name_every_control_at_once", several),
    (
        "denials::come_from_the_webhook_alone_where_pod_security_admission_is_off",
        alone,
    ),
];

const PRIVILEGED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: e2e-privileged}
spec:
  containers:
  - name: main
    image: registry.example/app:1
    securityContext: {privileged: true}
";

fn words(bed: &Bed) -> anyhow::Result<()> {
    bed.kubectl_with(&["apply", "-f", "-"], PRIVILEGED)?.bad(&[
        "Forbidden",
        "privileged-container",
        "spec.containers[0].securityContext.privileged",
        "why:",
        "mend:",
        "bulkhead explain",
    ])
}

/// A Deployment, of which Pod Security Admission only warns.
fn deployment(name: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"e2e": name}},
            "template": {"metadata": {"labels": {"e2e": name}}, "spec": pod},
        },
    })
}

fn both_doors(bed: &Bed) -> anyhow::Result<()> {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", bed.own());
    for (control, pod) in evil_pods() {
        let object = deployment("e2e-denied", &pod);
        let early = bed.tenant(&Request::post(path.as_str(), &object))?;
        refused(&early, 403, &[control, "why:", "mend:"])?;
        // An administrator's object in a tenant's namespace is judged like any other.
        let late = bed.admin(&Request::post(path.as_str(), &object))?;
        refused(
            &late,
            403,
            &[
                "admission webhook \"mend.bulkhead.dev\" denied the request",
                control,
            ],
        )?;
        let body = |message: String| {
            message
                .split_once("refused by")
                .map(|(_, rest)| rest.to_owned())
        };
        ensure!(
            body(early.message()).is_some() && body(early.message()) == body(late.message()),
            "{control}: the gateway says {}, the webhook {}",
            early.message(),
            late.message()
        );
    }
    Ok(())
}

fn several(bed: &Bed) -> anyhow::Result<()> {
    let pod = json!({
        "hostNetwork": true, "hostPID": true,
        "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        "containers": [{"name": "main", "image": "x", "securityContext": {"runAsUser": 0}}],
    });
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", bed.own());
    let response = bed.tenant(&Request::post(path, &deployment("e2e-several", &pod)))?;
    refused(
        &response,
        403,
        &[
            "host-network",
            "host-pid",
            "host-path-volume",
            "runs-as-root",
            "spec.template.spec.hostNetwork",
        ],
    )
}

/// A tenant with capabilities that Pod Security Admission's levels do not know has it at
/// `privileged`: what refuses there is ours.
pub(super) fn without_pod_security() -> Value {
    json!({"podSecurity": {"allowedCapabilities": ["SYS_NICE"]}})
}

/// Makes the pod that bad containers try to join.
pub(super) fn host(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    let pod = json!({"metadata": {"name": "e2e-host"}, "spec": bulkhead_attack::good_pod()});
    bed.do_as_admin(&Request::post(pods, &pod)).map(drop)
}

/// The webhook of this name refuses every bad pod and every bad container that joins a pod.
pub(super) fn refuses(bed: &Bed, guest: &Guest<'_>, webhook: &str) -> anyhow::Result<()> {
    let denied = format!("admission webhook \"{webhook}.bulkhead.dev\" denied");
    let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    // A pod of another system has none of the fields that would make it safe.
    let windows = json!({
        "os": {"name": "windows"}, "hostNetwork": true,
        "securityContext": {"windowsOptions": {"hostProcess": true, "runAsUserName": "NT AUTHORITY\\SYSTEM"}},
        "containers": [{"name": "main", "image": "x"}],
    });
    for (control, pod) in evil_pods().into_iter().chain([("host-process", windows)]) {
        // Between the phases the API server drops the fields of features that are off.
        if webhook == "judge" && pod.pointer("/volumes/0/image").is_some() {
            continue;
        }
        let object = json!({"metadata": {"name": "e2e-evil"}, "spec": pod});
        let response = bed.admin(&Request::post(pods.as_str(), &object))?;
        refused(&response, 403, &[denied.as_str(), control])?;
    }
    for (control, container) in evil_containers("evil") {
        let response = bed.admin(&joining(guest, container))?;
        // Between the phases the API server validates: what it takes in no container needs no rule.
        if webhook == "judge" && response.status == 422 {
            continue;
        }
        refused(&response, 403, &[denied.as_str(), control])?;
    }
    Ok(())
}

/// A container joins a pod which runs already.
fn joining(guest: &Guest<'_>, container: Value) -> Request {
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    let target = format!(
        "/api/v1/namespaces/{}/pods/e2e-host/ephemeralcontainers",
        guest.namespace
    );
    Request::patch(target, "application/strategic-merge-patch+json", &patch)
}

/// The control speaks, not Pod Security Admission, which stands between the two phases.
fn alone(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-lone", &without_pod_security())?;
    host(bed, &guest)?;
    refuses(bed, &guest, "mend")?;
    // A plain one is mended and joins.
    let plain = json!({"name": "plain", "image": "registry.example/shell:1"});
    let response = guest.send(&joining(&guest, plain))?;
    let joined = crate::client::succeeded(&response)?;
    let escalation =
        joined.pointer("/spec/ephemeralContainers/0/securityContext/allowPrivilegeEscalation");
    ensure!(escalation == Some(&Value::Bool(false)), "{joined}");
    let path = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    // What the tenant is allowed, it may.
    let mut pod = bulkhead_attack::good_pod();
    if let Some(added) = pod.pointer_mut("/containers/0/securityContext/capabilities") {
        *added = json!({"drop": ["ALL"], "add": ["SYS_NICE"]});
    }
    let object = json!({"metadata": {"name": "e2e-nice"}, "spec": pod});
    let response = guest.send(&Request::post(path.as_str(), &object))?;
    ensure!(response.is_success(), "{}", response.message());
    guest.leave()
}
