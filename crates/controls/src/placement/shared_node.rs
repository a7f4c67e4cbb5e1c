//! Two tenants on one node are one escape from a container away from each other.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{Placement, labels};
use serde_json::json;

use super::{NODE_SELECTOR, NOTHING_IS_ADDED, TOLERATIONS, is_bound, is_daemon_set};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "shared-node",
    guide: Section::Nodes,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "whoever gets out of a container has the whole node, and with it everybody's pods that run there",
    remedy: "leave the label out and let Bulkhead add it, or give it the tenant's name; in a DaemonSet, write label and toleration down",
    page: include_str!("shared_node.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

const EFFECTS: [&str; 2] = ["NoSchedule", "NoExecute"];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    if !matches!(context.rules.nodes.placement, Placement::Dedicated(_)) || is_bound(context) {
        return;
    }
    let tenant = context.rules.tenant.as_str();
    let hint = if is_daemon_set(pod, context) {
        NOTHING_IS_ADDED
    } else {
        ""
    };
    let path = pod.path(NODE_SELECTOR);
    match pod.spec().at("nodeSelector").get(labels::NODE_TENANT) {
        Some(value) if value.as_str() == Some(tenant) => {}
        Some(value) => findings.add(path.key(labels::NODE_TENANT), is(value)),
        None => findings.add(
            path,
            format!("lacks `{}: {tenant}`{hint}", labels::NODE_TENANT),
        ),
    }
    if !tolerates_own(pod, tenant) {
        findings.add(
            pod.path(TOLERATIONS),
            format!(
                "lacks the key `{}` with the value `{tenant}`{hint}",
                labels::NODE_TAINT
            ),
        );
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if !matches!(context.rules.nodes.placement, Placement::Dedicated(_))
        || !fills.is_whole()
        || is_daemon_set(pod, context)
    {
        return;
    }
    let tenant = context.rules.tenant.as_str();
    fills.set(
        pod.path(NODE_SELECTOR).key(labels::NODE_TENANT),
        json!(tenant),
    );
    if !tolerates_own(pod, tenant) {
        fills.append(
            pod.path(TOLERATIONS),
            json!({"key": labels::NODE_TAINT, "operator": "Equal", "value": tenant}),
        );
    }
}

/// Whether the pod tolerates both taints of its tenant's nodes.
fn tolerates_own(pod: &Pod<'_>, tenant: &str) -> bool {
    EFFECTS.into_iter().all(|effect| {
        pod.spec().list("tolerations").iter().any(|toleration| {
            let toleration = Fields::of(Some(toleration));
            super::foreign_toleration::is_own(toleration, tenant)
                && toleration
                    .str("effect")
                    .is_none_or(|written| written.is_empty() || written == effect)
        })
    })
}
