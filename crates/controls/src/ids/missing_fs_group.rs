//! Without a group of their own, files that the kubelet writes for a pod are root's, and whoever
//! is not root reads them only if everybody may.

use bulkhead_model::view::Pod;
use serde_json::json;

use super::ids;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::pod::runs_on_linux;
use crate::profiles::Profiles;

const FIELD: &str = "fsGroup";

pub(crate) const CONTROL: Control = Control {
    name: "missing-fs-group",
    guide: Section::NonRoot,
    severity: Severity::Medium,
    profiles: Profiles::Strict,
    why: "without it, Secrets and tokens in volumes are root's, and are read by everybody or by root alone",
    remedy: "set `fsGroup` in the pod's `securityContext` to a group of the tenant's range",
    page: include_str!("missing_fs_group.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

/// Volumes that hold what only the pod should read.
const SECRET: [&str; 2] = ["secret", "projected"];

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    if !runs_on_linux(pod) || pod.security_context().get(FIELD).is_some() {
        return;
    }
    let secret = pod
        .volumes()
        .any(|volume| volume.sources().any(|source| SECRET.contains(&source)));
    if secret {
        findings.add(
            pod.path("spec.securityContext").then(FIELD),
            "is unset, though volumes hold Secrets or tokens",
        );
    }
}

/// Every pod gets the group: which volumes a pod has is not all that decides who owns its files.
fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if let Some(ids) = ids(pod, context.rules, fills.is_whole()) {
        fills.set_for_pod(pod, FIELD, json!(ids.stamp));
    }
}
