//! A user id is the same on every node and every shared volume: two tenants with one id are one
//! user to the kernel.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, Json, PodField};
use serde_json::json;

use super::{Ids, ids};
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::pod::runs_on_linux;
use crate::profiles::Profiles;

const USER: &str = "runAsUser";
const GROUP: &str = "runAsGroup";
const GROUPS: &str = "supplementalGroups";
const POLICY: &str = "supplementalGroupsPolicy";

pub(crate) const CONTROL: Control = Control {
    name: "id-outside-tenant-range",
    guide: Section::NonRoot,
    severity: Severity::High,
    profiles: Profiles::Strict,
    why: "two tenants with one user or group id are one user to the kernel, to volumes and to limits",
    remedy: "leave users and groups unset, or take them from the tenant's range (`status.ranges` of the Tenant)",
    page: include_str!("id_outside_tenant_range.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    // Other systems have no such ids, and the API server refuses them there.
    if !runs_on_linux(pod) {
        return;
    }
    let path = || pod.path("spec.securityContext");
    let Some(ids) = ids(pod, context.rules, false) else {
        // Whoever judges behind us knows the range.
        if context.facts.is_judged_later() {
            return;
        }
        return findings.add(
            path().then(USER),
            "cannot be judged: the tenant has no range of ids yet",
        );
    };
    let whole = pod.security_context();
    each(whole, &[USER, GROUP, "fsGroup"], &ids, path, findings);
    for (index, group) in whole.list(GROUPS).iter().enumerate() {
        if !within(group, &ids) {
            findings.add(path().then(GROUPS).index(index), outside(group, &ids));
        }
    }
    for container in pod.containers() {
        let path = || container.path("securityContext");
        each(
            container.security_context(),
            &[USER, GROUP],
            &ids,
            path,
            findings,
        );
        for field in [USER, GROUP] {
            if container.effective(field).is_none() {
                findings.add(path().then(field), "is unset, so the image decides");
            }
        }
    }
    if context.rules.ids.serves(PodField::SupplementalGroupsPolicy) {
        match whole.get(POLICY) {
            Some(value) if value.as_str() == Some("Strict") => {}
            Some(value) => findings.add(path().then(POLICY), is(value)),
            None => findings.add(
                path().then(POLICY),
                "is unset, so the image's `/etc/group` adds groups",
            ),
        }
    }
}

fn each(
    context: Fields<'_>,
    fields: &[&'static str],
    ids: &Ids,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    for field in fields {
        if let Some(id) = context.get(field).filter(|id| !within(id, ids)) {
            findings.add(path().then(field), outside(id, ids));
        }
    }
}

fn within(id: &Json<'_>, ids: &Ids) -> bool {
    id.as_i64().is_some_and(|id| ids.range.contains(id))
}

fn outside(id: &Json<'_>, ids: &Ids) -> String {
    format!("is {}, outside {} `{}`", shown(id), ids.whose, ids.range)
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    let Some(ids) = ids(pod, context.rules, fills.is_whole()) else {
        return;
    };
    fills.set_for_all(pod, USER, json!(ids.stamp));
    fills.set_for_all(pod, GROUP, json!(ids.stamp));
    fills.set_for_pod(pod, GROUPS, json!([ids.stamp]));
    if context.rules.ids.serves(PodField::SupplementalGroupsPolicy) {
        fills.set_for_pod(pod, POLICY, json!("Strict"));
    }
}
