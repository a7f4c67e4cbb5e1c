//! A label on nodes keeps a tenant's pods together only if every pod asks for it.

use bulkhead_model::view::Pod;
use bulkhead_model::{NodeSelector, Placement};
use serde_json::json;

use super::{NODE_SELECTOR, NOTHING_IS_ADDED, is_bound, is_daemon_set};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "missing-node-selector",
    guide: Section::Nodes,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a pod that does not ask for its tenant's nodes lands on anybody's",
    remedy: "leave the labels out and let Bulkhead add them, or give them the tenant's values; in a DaemonSet, write them down",
    page: include_str!("missing_node_selector.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

fn labelled<'a>(context: &Context<'a>) -> Option<&'a NodeSelector> {
    match &context.rules.nodes.placement {
        Placement::Labelled(selector) => Some(selector),
        Placement::Shared | Placement::Dedicated(_) => None,
    }
}

/// Terms of an affinity are alternatives, so one bad term escapes; a node selector is a must.
fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let Some(selector) = labelled(context).filter(|_| !is_bound(context)) else {
        return;
    };
    let hint = if is_daemon_set(pod, context) {
        NOTHING_IS_ADDED
    } else {
        ""
    };
    let written = pod.spec().at("nodeSelector");
    for (key, value) in selector.labels() {
        let path = pod.path(NODE_SELECTOR);
        match written.get(key) {
            Some(found) if found.as_str() == Some(value) => {}
            Some(found) => findings.add(path.key(key), is(found)),
            None => findings.add(path, format!("lacks `{key}: {value}`{hint}")),
        }
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    let Some(selector) = labelled(context) else {
        return;
    };
    if fills.is_whole() && !is_daemon_set(pod, context) {
        for (key, value) in selector.labels() {
            fills.set(pod.path(NODE_SELECTOR).key(key), json!(value));
        }
    }
}
