//! The scheduler is what obeys taints and selectors. Whoever goes round it obeys neither.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use super::is_of_daemon_set;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "node-name-set",
    guide: Section::Nodes,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a pod that names its node or its own scheduler goes round the taints and selectors that keep it where it belongs",
    remedy: "remove it, and select nodes by `nodeSelector`; schedulers that the tenant may name stand in its `spec.nodes.allowedSchedulers`",
    page: include_str!("node_name_set.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"(variables.spec.?nodeName.orValue('') == ''
        || variables.old.?nodeName.orValue('') == variables.spec.nodeName)
        && (variables.spec.?schedulerName.orValue('') in ['', 'default-scheduler']
        || variables.old.?schedulerName.orValue('') == variables.spec.schedulerName
        || variables.rules.find('"allowedSchedulers":[^\\]]*').contains('"' + variables.spec.schedulerName + '"'))
        && ((!variables.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms
        .orValue([]).exists(t, t.?matchFields.orValue([]).size() > 0)
        && !variables.spec.?affinity.?nodeAffinity.?preferredDuringSchedulingIgnoredDuringExecution
        .orValue([]).exists(t, t.?preference.?matchFields.orValue([]).size() > 0))
        || variables.old.?affinity.?nodeAffinity == variables.spec.?affinity.?nodeAffinity
        || (variables.daemon
        && variables.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.size() == 1
        && variables.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms
        .all(t, t.?matchExpressions.orValue([]).size() == 0 && t.matchFields.size() == 1
        && t.matchFields.all(f, f.key == 'metadata.name' && f.operator == 'In' && f.values.size() == 1))
        && !variables.spec.?affinity.?nodeAffinity.?preferredDuringSchedulingIgnoredDuringExecution
        .orValue([]).exists(t, t.?preference.?matchFields.orValue([]).size() > 0)))"#,
    ),
    mend: Mend::ByHand,
};

/// Kubernetes' own scheduler; the API server fills it in.
const DEFAULT_SCHEDULER: &str = "default-scheduler";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let (spec, old) = (pod.spec(), context.old_pod_spec());
    // A pod that runs has the node that the scheduler gave it.
    let kept = |field: &str| old.is_some_and(|old| old.get(field) == spec.get(field));
    if let Some(name) = spec.get("nodeName")
        && name.as_str() != Some("")
        && !kept("nodeName")
    {
        findings.add(pod.path("spec.nodeName"), is(name));
    }
    if let Some(name) = spec.get("schedulerName")
        && !is_allowed(name, context)
        && !kept("schedulerName")
    {
        findings.add(pod.path("spec.schedulerName"), is(name));
    }
    fields_of_nodes(pod, context, findings);
}

fn is_allowed(scheduler: &Json<'_>, context: &Context<'_>) -> bool {
    let allowed = &context.rules.nodes.allowed_schedulers;
    scheduler
        .as_str()
        .is_some_and(|name| ["", DEFAULT_SCHEDULER].contains(&name) || allowed.contains(name))
}

/// `matchFields` picks a node by its name. The DaemonSet controller does, one pod for each node.
fn fields_of_nodes(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let affinity = |spec: Fields<'_>| -> Vec<(bool, usize, bool)> {
        let affinity = spec.at("affinity").at("nodeAffinity");
        let terms = |list: &[Json<'_>], required: bool| {
            let named = list.iter().enumerate().map(|(index, term)| {
                let term = Fields::of(Some(term));
                let term = if required {
                    term
                } else {
                    term.at("preference")
                };
                (required, index, !term.list("matchFields").is_empty())
            });
            named.collect::<Vec<_>>()
        };
        let required = affinity.at(REQUIRED).list("nodeSelectorTerms");
        [
            terms(required, true),
            terms(affinity.list(PREFERRED), false),
        ]
        .concat()
    };
    let fields = affinity(pod.spec());
    if fields.iter().all(|(.., named)| !named) {
        return;
    }
    let old = context.old_pod_spec();
    let unchanged = old.is_some_and(|old| {
        old.at("affinity").get("nodeAffinity") == pod.spec().at("affinity").get("nodeAffinity")
    });
    if unchanged || (is_of_daemon_set(pod, context) && is_daemon_sets_own(pod)) {
        return;
    }
    for (required, index, _) in fields.into_iter().filter(|(.., named)| *named) {
        let path = pod.path("spec.affinity.nodeAffinity");
        let path = if required {
            path.then(REQUIRED).then("nodeSelectorTerms").index(index)
        } else {
            path.then(PREFERRED).index(index).then("preference")
        };
        findings.add(path.then("matchFields"), "picks a node by its name");
    }
}

/// Exactly what the DaemonSet controller writes: one term, one field, one name.
fn is_daemon_sets_own(pod: &Pod<'_>) -> bool {
    let affinity = pod.spec().at("affinity").at("nodeAffinity");
    let preferred = affinity.list(PREFERRED).iter();
    let mut preferences = preferred.map(|it| Fields::of(Some(it)).at("preference"));
    let [term] = affinity.at(REQUIRED).list("nodeSelectorTerms") else {
        return false;
    };
    let term = Fields::of(Some(term));
    let [field] = term.list("matchFields") else {
        return false;
    };
    let field = Fields::of(Some(field));
    term.list("matchExpressions").is_empty()
        && field.str("key") == Some("metadata.name")
        && field.str("operator") == Some("In")
        && field.list("values").len() == 1
        && preferences.all(|preference| preference.list("matchFields").is_empty())
}
