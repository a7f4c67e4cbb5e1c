//! Users are shared with the node: root in a container is root outside once it gets out, and
//! root's group reads what root has written.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use super::{is_excused_by_user_namespace, is_root};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

const NON_ROOT: &str = "runAsNonRoot";

pub(crate) const CONTROL: Control = Control {
    name: "runs-as-root",
    guide: Section::NonRoot,
    severity: Severity::High,
    profiles: Profiles::Restricted(0),
    why: "user and group 0 in a container are the node's own",
    remedy: "set `runAsNonRoot: true`, and users and groups above 0",
    page: include_str!("runs_as_root.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.contexts.all(s,
        s.?runAsUser.orValue(1) > 0 && s.?runAsGroup.orValue(1) > 0 && s.?fsGroup.orValue(1) > 0
        && s.?supplementalGroups.orValue([]).all(g, g > 0)
        && s.?runAsNonRoot.orValue(true)
        && !s.?windowsOptions.?runAsUserName.orValue('')
        .matches('(?i)^(.*\\\\)?\\s*(ContainerAdministrator|Administrator|SYSTEM|LocalSystem)\\s*$'))
        && (has(variables.context.runAsNonRoot)
        || variables.containers.all(c, c.?securityContext.?runAsNonRoot.hasValue()))"#,
    ),
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    if is_excused_by_user_namespace(pod, context) {
        return;
    }
    // Kubernetes' standards have looked at users since 1.23, and at groups never.
    let (of_pod, of_container): (&[&'static str], &[&'static str]) = if context.is_strict() {
        (
            &["runAsUser", "runAsGroup", "fsGroup"],
            &["runAsUser", "runAsGroup"],
        )
    } else if context.since(23) {
        (&["runAsUser"], &["runAsUser"])
    } else {
        (&[], &[])
    };
    let whole = pod.security_context();
    let path = || pod.path("spec.securityContext");
    ids(whole, of_pod, path, findings);
    if context.is_strict() {
        for (index, group) in whole.list("supplementalGroups").iter().enumerate() {
            if is_root(group) {
                findings.add(path().then("supplementalGroups").index(index), is(group));
            }
        }
    }
    root_allowed(whole, context, path, findings);
    for container in pod.containers() {
        let own = container.security_context();
        let path = || container.path("securityContext");
        ids(own, of_container, path, findings);
        root_allowed(own, context, path, findings);
        if container.effective(NON_ROOT).is_none() {
            findings.add(path().then(NON_ROOT), "is unset, so the image decides");
        }
    }
}

fn ids(
    context: Fields<'_>,
    fields: &[&'static str],
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    for field in fields {
        if let Some(id) = context.get(field).filter(|id| is_root(id)) {
            findings.add(path().then(field), is(id));
        }
    }
}

/// A security context that allows root in so many words. The pod's counts even where each
/// container overrides it: an ephemeral container of tomorrow would inherit it.
fn root_allowed(
    own: Fields<'_>,
    context: &Context<'_>,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    if let Some(value) = own
        .get(NON_ROOT)
        .filter(|value| **value != Json::Bool(true))
    {
        findings.add(path().then(NON_ROOT), is(value));
    }
    if !context.is_strict() {
        return;
    }
    let user = own.at("windowsOptions").get("runAsUserName");
    if let Some(user) = user.filter(|user| is_windows_root(user)) {
        findings.add(path().then("windowsOptions.runAsUserName"), is(user));
    }
}

/// Windows names users, folds their case, and takes a domain before a backslash.
fn is_windows_root(user: &Json<'_>) -> bool {
    let Some(user) = user.as_str() else {
        return true;
    };
    let name = user.rsplit('\\').next().unwrap_or_default().trim();
    [
        "ContainerAdministrator",
        "Administrator",
        "SYSTEM",
        "LocalSystem",
    ]
    .iter()
    .any(|root| root.eq_ignore_ascii_case(name))
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if !is_excused_by_user_namespace(pod, context) {
        fills.set_for_all(pod, NON_ROOT, Json::Bool(true));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn windows_has_more_than_one_root() {
        for root in [
            "ContainerAdministrator",
            "containeradministrator",
            r"NT AUTHORITY\SYSTEM",
        ] {
            assert!(is_windows_root(&json!(root).into()), "{root}");
        }
        assert!(is_windows_root(&json!(0).into()));
        assert!(!is_windows_root(&json!("ContainerUser").into()));
    }
}
