//! No pod that fills its node's disk or memory until the kubelet evicts everybody's.

use bulkhead_model::quantity::nanos;
use bulkhead_model::view::Pod;
use serde_json::json;

use super::no_resource_limit::unlimited;
use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "node-exhaustion",
    guide: Section::Since,
    severity: Severity::High,
    profiles: Profiles::Confined,
    why: "a node whose disk or memory is full evicts the pods of every tenant on it",
    remedy: "set the container's `resources.limits.ephemeral-storage`, and `sizeLimit` of `emptyDir` volumes in memory, above zero",
    page: include_str!("node_exhaustion.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

/// What a volume in memory gets whose author has not said how large it may grow: what container
/// runtimes give `/dev/shm`, for which such volumes mostly stand.
const SIZE: &str = "64Mi";

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    unlimited(pod, "ephemeral-storage", context, findings);
    // Volumes never change, so only a pod that is made can be mended.
    if context.old_pod_spec().is_some() {
        return;
    }
    for volume in pod.volumes() {
        let empty = volume.fields().at("emptyDir");
        if empty.str("medium") != Some("Memory") {
            continue;
        }
        let path = || volume.path("emptyDir.sizeLimit");
        match empty.get("sizeLimit") {
            None => findings.add(path(), "is unset, and the volume is in memory"),
            Some(size) => {
                let amount = nanos(&serde_json::Value::from(size));
                if amount.is_none_or(|amount| amount == 0) {
                    findings.add(path(), format!("is {}, which limits nothing", shown(size)));
                }
            }
        }
    }
}

fn fill(pod: &Pod<'_>, _: &Context<'_>, fills: &mut Fills<'_>) {
    if !fills.is_whole() {
        return;
    }
    for volume in pod.volumes() {
        if volume.fields().at("emptyDir").str("medium") == Some("Memory") {
            fills.set(volume.path("emptyDir.sizeLimit"), json!(SIZE));
        }
    }
}
