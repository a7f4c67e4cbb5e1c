//! The runtime is the wall. A tenant that needs a better one must not come without it.

use bulkhead_model::view::Pod;
use serde_json::json;

use super::unlisted;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "missing-runtime-class",
    guide: Section::Since,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "the runtime class says what stands between the tenant's processes and the node",
    remedy: "set `runtimeClassName` to a class of the tenant's `spec.podSecurity.runtimeClasses`, or remove it where none is required",
    page: include_str!("missing_runtime_class.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

const FIELD: &str = "runtimeClassName";

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let rules = &context.rules.runtime_classes;
    let written = pod.spec().get(FIELD);
    if context
        .old_pod_spec()
        .is_some_and(|old| old.get(FIELD) == written)
    {
        return;
    }
    let path = || pod.path("spec").then(FIELD);
    match written {
        None if rules.required => findings.add(
            path(),
            format!(
                "is unset; the tenant's pods must name one: {}",
                rules.classes
            ),
        ),
        None => {}
        Some(value) => {
            let name = value.as_str().unwrap_or_default();
            if !rules.classes.permits(name) {
                findings.add(path(), unlisted(name, &rules.classes));
            }
        }
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if let Some(class) = &context.rules.runtime_classes.classes.default
        && fills.is_whole()
    {
        fills.set(pod.path("spec").then(FIELD), json!(class));
    }
}
