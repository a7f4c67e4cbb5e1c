//! A taint is how a node says whom it is for. Who tolerates it does not ask.

use bulkhead_model::Json;
use bulkhead_model::labels;
use bulkhead_model::view::{Fields, Pod};

use super::{TOLERATIONS, is_of_daemon_set};
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "foreign-toleration",
    guide: Section::Nodes,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "a pod that tolerates others' taints runs on nodes of other tenants or of the platform",
    remedy: "remove it; a taint of the platform that the tenant may tolerate stands in its `spec.nodes.allowedTolerations`",
    page: include_str!("foreign_toleration.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') == 'tenantID'
        ? t.?operator.orValue('') in ['', 'Equal']
        && t.?value.orValue('') == variables.tenant
        : t.?key.orValue('') != '' && (t.key in ['node.kubernetes.io/not-ready',
        'node.kubernetes.io/unreachable', 'node.kubernetes.io/memory-pressure']
        || (t.key in ['node.kubernetes.io/disk-pressure', 'node.kubernetes.io/pid-pressure',
        'node.kubernetes.io/unschedulable', 'node.kubernetes.io/network-unavailable']
        && (variables.daemon || t in variables.old.?tolerations.orValue([])))
        || variables.rules.find('"allowedTolerations":[^\\]]*').contains('"' + t.key + '"')))"#,
    ),
    mend: Mend::ByHand,
};

/// What the API server itself adds to every pod.
const OF_EVERY_POD: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
];
/// What the DaemonSet controller adds to the pods that it makes.
const OF_DAEMON_SETS: [&str; 4] = [
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/network-unavailable",
];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for (index, value) in pod.spec().list("tolerations").iter().enumerate() {
        let toleration = Fields::of(Some(value));
        let path = || pod.path(TOLERATIONS).index(index);
        let key = match toleration.get("key") {
            Some(key) if !key.is_string() => {
                findings.add(path().then("key"), is(key));
                continue;
            }
            _ => toleration.str("key").unwrap_or_default(),
        };
        match key {
            "" => findings.add(path(), "has no key, so it tolerates every taint"),
            labels::NODE_TAINT if is_own(toleration, context.rules.tenant.as_str()) => {}
            labels::NODE_TAINT => findings.add(
                path(),
                format!(
                    "is {}, which tolerates nodes of other tenants",
                    shown(value)
                ),
            ),
            key if OF_EVERY_POD.contains(&key) => {}
            key if OF_DAEMON_SETS.contains(&key)
                && (is_of_daemon_set(pod, context) || was_there(value, context)) => {}
            key if context
                .rules
                .nodes
                .allowed_tolerations
                .iter()
                .any(|allowed| allowed.as_str() == key) => {}
            key => findings.add(
                path().then("key"),
                format!("is `{key}`, a taint that the tenant may not tolerate"),
            ),
        }
    }
}

/// Whether a toleration is for the taint of the tenant's own nodes and no other. `Exists` needs
/// no value, and numbers are compared by `Gt` and `Lt`: only equality is exact.
pub(super) fn is_own(toleration: Fields<'_>, tenant: &str) -> bool {
    toleration.str("key") == Some(labels::NODE_TAINT)
        && toleration.str("value") == Some(tenant)
        && matches!(
            toleration.get("operator").map(Json::as_str),
            None | Some(Some("" | "Equal"))
        )
}

/// Whether the pod had this toleration before. Its controller has put it there.
fn was_there(toleration: &Json<'_>, context: &Context<'_>) -> bool {
    context
        .old_pod_spec()
        .is_some_and(|spec| spec.list("tolerations").contains(toleration))
}
