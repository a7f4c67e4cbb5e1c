//! Pods repel and attract each other. Across tenants that is a weapon, and an oracle.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, labels};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "cross-namespace-affinity",
    guide: Section::Since,
    severity: Severity::Medium,
    profiles: Profiles::Every,
    why: "a pod that is placed by others' pods drives them from nodes, moves in beside them, and learns where they run",
    remedy: "remove it, or name the tenant in `namespaceSelector.matchLabels` under `bulkhead.dev/tenant`",
    page: include_str!("cross_namespace_affinity.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"['podAffinity', 'podAntiAffinity'].all(k,
        (variables.old.?affinity[?k].hasValue() && variables.old.?affinity[?k] == variables.spec.?affinity[?k])
        || (variables.spec.?affinity[?k].?requiredDuringSchedulingIgnoredDuringExecution.orValue([])
        + variables.spec.?affinity[?k].?preferredDuringSchedulingIgnoredDuringExecution.orValue([])
        .map(w, w.podAffinityTerm)).all(t,
        t.?namespaces.orValue([]).all(n, n == request.namespace)
        && (!has(t.namespaceSelector) || t.namespaceSelector.?matchLabels[?'bulkhead.dev/tenant'].orValue('') == variables.tenant)))"#,
    ),
    mend: Mend::ByHand,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = pod.spec().at("affinity").at(kind);
        let old = context.old_pod_spec();
        if old
            .is_some_and(|old| old.at("affinity").get(kind) == pod.spec().at("affinity").get(kind))
        {
            continue;
        }
        let path = || pod.path("spec.affinity").then(kind);
        for (index, term) in affinity.list(REQUIRED).iter().enumerate() {
            let path = || path().then(REQUIRED).index(index);
            check_term(Fields::of(Some(term)), path, context, findings);
        }
        for (index, weighted) in affinity.list(PREFERRED).iter().enumerate() {
            let path = || path().then(PREFERRED).index(index).then("podAffinityTerm");
            let term = Fields::of(Some(weighted)).at("podAffinityTerm");
            check_term(term, path, context, findings);
        }
    }
}

/// A term looks into its pod's own namespace, those that it lists, and those that it selects.
fn check_term(
    term: Fields<'_>,
    path: impl Fn() -> FieldPath,
    context: &Context<'_>,
    findings: &mut Findings,
) {
    for (index, namespace) in term.list("namespaces").iter().enumerate() {
        if namespace.as_str() != Some(context.namespace) {
            findings.add(path().then("namespaces").index(index), is(namespace));
        }
    }
    let Some(selector) = term.get("namespaceSelector") else {
        return;
    };
    // Only administrators write this label, so it selects the tenant's namespaces and no others.
    let named = term
        .at("namespaceSelector")
        .at("matchLabels")
        .str(labels::TENANT);
    if named != Some(context.rules.tenant.as_str()) {
        findings.add(
            path().then("namespaceSelector"),
            format!("{}, which selects namespaces of others", is(selector)),
        );
    }
}
