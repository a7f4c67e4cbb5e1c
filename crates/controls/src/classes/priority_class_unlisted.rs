//! Whose pods go when a node is full is decided by priority, and so it is a currency.

use bulkhead_model::view::Pod;
use serde_json::json;

use super::unlisted;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "priority-class-unlisted",
    guide: Section::Since,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a pod of higher priority has others' pods evicted to make room, the platform's among them",
    remedy: "remove `priorityClassName`, or name a class of the tenant's `spec.priorityClasses`",
    page: include_str!("priority_class_unlisted.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

const FIELD: &str = "priorityClassName";
/// Classes of this prefix are Kubernetes' own: above everything, in any namespace.
const SYSTEM: &str = "system-";

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let Some(value) = pod.spec().get(FIELD) else {
        return;
    };
    if context
        .old_pod_spec()
        .is_some_and(|old| old.get(FIELD) == Some(value))
    {
        return;
    }
    let (name, classes) = (value.as_str(), &context.rules.priority_classes);
    let permitted = name.is_some_and(|name| {
        name.is_empty()
            || classes.lists(name)
            || (!name.starts_with(SYSTEM) && classes.permits(name))
    });
    if !permitted {
        let detail = unlisted(name.unwrap_or_default(), classes);
        findings.add(pod.path("spec").then(FIELD), detail);
    }
}

/// The API server has written down already what it computed for a pod without a class, and would
/// refuse the pod for the difference.
fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    let Some(class) = &context.rules.priority_classes.default else {
        return;
    };
    if !fills.is_whole() || pod.spec().get(FIELD).is_some() {
        return;
    }
    fills.set(pod.path("spec").then(FIELD), json!(class));
    fills.compute_anew(pod.path("spec.priority"), json!(0));
    fills.compute_anew(
        pod.path("spec.preemptionPolicy"),
        json!("PreemptLowerPriority"),
    );
}
