//! What is wrong with a policy by itself.

use super::AuditRule;
use crate::complaints::complaints;
use crate::policy::PodSecurityPolicy;
use crate::rules::{APPARMOR_ALLOWED, Profiles, Rules, SECCOMP_ALLOWED, SECCOMP_DEFAULT};
use crate::translate::{Level, level_of};

/// Says everything. `rules` are none if no pod can be held to the policy.
pub(super) fn lint(
    policy: &PodSecurityPolicy,
    rules: Option<&Rules>,
    say: &mut dyn FnMut(AuditRule, String),
) {
    for error in complaints(policy) {
        say(
            AuditRule::Contradictory,
            format!("Kubernetes refuses such a policy: {error}"),
        );
    }
    match rules {
        Some(rules) => {
            contradictions(policy, rules, say);
            seccomp(policy, &rules.seccomp, say);
            app_armor(policy, rules, say);
        }
        None => {
            let reasons = Rules::of(policy).err().unwrap_or_default().join("; ");
            say(
                AuditRule::Contradictory,
                format!("no pod can be held to it, and Kubernetes passes it over: {reasons}"),
            );
        }
    }
}

fn contradictions(
    policy: &PodSecurityPolicy,
    rules: &Rules,
    say: &mut dyn FnMut(AuditRule, String),
) {
    let spec = &policy.spec;
    let mut wrong = |message: &str| say(AuditRule::Contradictory, message.to_owned());
    if spec.volumes.is_empty() {
        wrong(
            "`volumes` is empty, which allows none: a pod with its ServiceAccount's token is refused; list `secret` or `projected` at least",
        );
    }
    for (set, kind, field) in [
        (
            !spec.allowed_host_paths.is_empty(),
            "hostPath",
            "allowedHostPaths",
        ),
        (
            !spec.allowed_flex_volumes.is_empty(),
            "flexVolume",
            "allowedFlexVolumes",
        ),
        (
            !spec.allowed_csi_drivers.is_empty(),
            "csi",
            "allowedCSIDrivers",
        ),
    ] {
        if set && !rules.may_mount(kind) {
            wrong(&format!(
                "`{field}` has no effect: `volumes` does not allow `{kind}`"
            ));
        }
    }
    if spec.privileged && !rules.escalation {
        wrong(
            "`privileged: true` has no effect: with `allowPrivilegeEscalation: false` Kubernetes refuses every container that is privileged",
        );
    }
    let prefixed = |list: &[String]| {
        list.iter()
            .any(|one| one.starts_with("CAP_") || one.as_str() == "all")
    };
    if prefixed(&rules.required_drop) {
        wrong(
            "`requiredDropCapabilities` are compared as they are written: Kubernetes calls them `NET_ADMIN` and `ALL`, and containers would have to drop what is no capability",
        );
    }
}

/// Whether names have spaces around them, which belong to the names.
fn spaced(policy: &PodSecurityPolicy, key: &str) -> bool {
    let names = policy.annotations.get(key);
    names.is_some_and(|names| names.split(',').any(|name| name.trim() != name))
}

fn seccomp(policy: &PodSecurityPolicy, rule: &Profiles, say: &mut dyn FnMut(AuditRule, String)) {
    let mut odd = |message: String| say(AuditRule::SeccompSurprise, message);
    let default = rule.default.as_str();
    if spaced(policy, SECCOMP_ALLOWED) || spaced(policy, SECCOMP_DEFAULT) {
        odd("a space in the list of seccomp profiles belongs to the profile's name, which no pod can have: take it out".to_owned());
    }
    if rule.any {
        if default.is_empty() {
            odd("`*` allows every seccomp profile and none at all: pods that name none run unconfined; add a default of `runtime/default`".to_owned());
        }
        return;
    }
    if rule.allowed.is_empty() {
        odd(if default.is_empty() {
            format!(
                "without the annotation `{SECCOMP_ALLOWED}` no pod may name a seccomp profile, not even `RuntimeDefault`: all run unconfined"
            )
        } else {
            format!(
                "it sets the seccomp profile `{default}` and allows none, so that it refuses every pod: add the annotation `{SECCOMP_ALLOWED}`"
            )
        });
        return;
    }
    if default.is_empty() {
        odd("pods that name no seccomp profile are refused, because the list has no default: add one, or name profiles in all pods".to_owned());
    } else if !rule.allowed.contains(default) {
        odd(format!(
            "it sets the seccomp profile `{default}` and does not allow it: every pod that names none is refused"
        ));
    }
    if rule.allowed.contains("unconfined") {
        odd("it allows the seccomp profile `unconfined`: any pod may go without".to_owned());
    }
}

fn app_armor(policy: &PodSecurityPolicy, rules: &Rules, say: &mut dyn FnMut(AuditRule, String)) {
    let rule = &rules.app_armor;
    let mut odd = |message: String| say(AuditRule::AppArmorSurprise, message);
    let default = rule.default.as_str();
    if spaced(policy, APPARMOR_ALLOWED) {
        odd("a space in the list of AppArmor profiles belongs to the profile's name, which no container can have: take it out".to_owned());
    }
    if rule.written.is_none() {
        if !default.is_empty() {
            odd(format!(
                "it sets the AppArmor profile `{default}` and allows any, `unconfined` too: add the annotation `{APPARMOR_ALLOWED}`"
            ));
        } else if level_of(rules) > Level::Privileged {
            odd(format!(
                "without the annotation `{APPARMOR_ALLOWED}` containers may choose the AppArmor profile `unconfined`, where seccomp's list allows nothing if it is not there"
            ));
        }
        return;
    }
    if default.is_empty() {
        odd("containers that name no AppArmor profile are refused, because the list has no default: add one".to_owned());
    } else if !rule.allowed.contains(default) {
        odd(format!(
            "it sets the AppArmor profile `{default}` and does not allow it: every container that names none is refused"
        ));
    }
    if rule.allowed.contains("unconfined") {
        odd("it allows the AppArmor profile `unconfined`: any container may go without".to_owned());
    }
}
