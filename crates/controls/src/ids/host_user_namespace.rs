//! In a user namespace of its own a pod's users are nobody on the node, even if one gets out.

use bulkhead_model::view::Pod;
use bulkhead_model::{Json, PodField, UserNamespaces};

use super::{HOST_USERS, in_user_namespace};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::pod::runs_on_linux;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-user-namespace",
    guide: Section::NonRoot,
    severity: Severity::High,
    profiles: Profiles::Confined,
    why: "a pod without a user namespace of its own has the node's users, and keeps them if it gets out",
    remedy: "set `hostUsers: false`, or leave it unset",
    page: include_str!("host_user_namespace.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let rules = &context.rules.ids;
    if rules.user_namespaces != UserNamespaces::Required || !runs_on_linux(pod) {
        return;
    }
    let path = pod.path("spec").then(HOST_USERS);
    if !rules.serves(PodField::HostUsers) {
        return findings.add(
            path,
            "cannot be `false`: this cluster does not serve it, and the tenant requires it",
        );
    }
    match pod.spec().get(HOST_USERS) {
        Some(Json::Bool(false)) => {}
        Some(value) => findings.add(path, is(value)),
        None => findings.add(path, "is unset, which means `true`"),
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if in_user_namespace(pod, context.rules, fills.is_whole()) {
        fills.set_in_pod(pod, "spec.hostUsers", Json::Bool(false));
    }
}
