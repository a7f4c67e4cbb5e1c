//! What a translation loses, and why.

use super::LeftOut;
use super::standards::{Level, Standing};
use crate::policy::PodSecurityPolicy;
use crate::rules::{APPARMOR_DEFAULT, Groups, Rules, SECCOMP_DEFAULT, Users};

/// Everything that `rules`, the policy as it is carried over, does not have of it.
pub(super) fn left_out(
    policy: &PodSecurityPolicy,
    rules: &Rules,
    standing: &Standing,
) -> Vec<LeftOut> {
    let mut all = Vec::new();
    let mut say = |what: String, why: &str| {
        all.push(LeftOut {
            what,
            why: why.to_owned(),
        });
    };
    say(
        "who may `use` it".to_owned(),
        "a ValidatingAdmissionPolicy is bound to namespaces, not to people and ServiceAccounts: label the namespaces whose pods it was for",
    );
    say(
        "the choice among several policies".to_owned(),
        "all that is bound to a namespace must admit a pod, where one policy of many was enough: pods that need another policy need a namespace of their own",
    );
    say(
        "the annotation `kubernetes.io/psp`, and the audit annotations".to_owned(),
        "nothing chooses a policy any more; refusals name it",
    );
    for (what, must) in sets(rules) {
        say(format!("setting {what} where it is unset"), &refused(must));
    }
    for (what, why) in defaults(policy) {
        say(what, why);
    }
    if !rules.seccomp.any {
        say(
            "seccomp profiles in the annotations of pods".to_owned(),
            "no runtime reads them since Kubernetes 1.27: the field `seccompProfile` alone counts",
        );
    }
    if standing.tenant == Level::Privileged {
        say(
            "a Tenant's profile other than `Privileged`".to_owned(),
            "the policy allows what `Baseline` refuses, and only a Tenant of tier `Silo` may have the profile `Privileged`: narrow the policy, or give the tenant a cluster",
        );
    }
    all
}

fn refused(must: &str) -> String {
    format!(
        "a ValidatingAdmissionPolicy sets nothing: pods must {must} themselves, and are refused if they do not"
    )
}

/// What the policy sets because it asks for it.
fn sets(rules: &Rules) -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    let group = |rule: &Groups| rule.default();
    if let Some(id) = group(&rules.supplemental_groups) {
        all.push((format!("`supplementalGroups` to {id}"), "name a group"));
    }
    if let Some(id) = group(&rules.fs_group) {
        all.push((format!("`fsGroup` to {id}"), "name a group"));
    }
    if let Some(id) = group(&rules.run_as_group) {
        all.push((format!("`runAsGroup` to {id}"), "name a group"));
    }
    match &rules.users {
        Users::Any => {}
        Users::NonRoot => all.push(("`runAsNonRoot` to true".to_owned(), "say it")),
        Users::Within(id, _) => all.push((format!("`runAsUser` to {id}"), "name a user")),
    }
    if rules.se_linux.is_some() {
        all.push(("`seLinuxOptions`".to_owned(), "name the label"));
    }
    if !rules.required_drop.is_empty() {
        let names = rules.required_drop.join(", ");
        all.push((format!("`capabilities.drop` to {names}"), "drop them"));
    }
    if rules.spec.read_only_root_filesystem {
        all.push(("`readOnlyRootFilesystem` to true".to_owned(), "say it"));
    }
    if !rules.escalation {
        all.push(("`allowPrivilegeEscalation` to false".to_owned(), "say it"));
    }
    all
}

/// What the policy sets and does not ask for.
fn defaults(policy: &PodSecurityPolicy) -> Vec<(String, &'static str)> {
    let spec = &policy.spec;
    let mut all = Vec::new();
    if let Some(added) = spec
        .default_add_capabilities
        .as_ref()
        .filter(|list| !list.is_empty())
    {
        all.push((
            format!("adding the capabilities {} to every container", added.join(", ")),
            "a ValidatingAdmissionPolicy sets nothing: containers that need them add them, which stays allowed",
        ));
    }
    if let Some(default) = spec.default_allow_privilege_escalation {
        all.push((
            format!("setting `allowPrivilegeEscalation` to {default} where it is unset"),
            "a ValidatingAdmissionPolicy sets nothing: unset means true to Kubernetes",
        ));
    }
    for (key, field) in [
        (SECCOMP_DEFAULT, "seccompProfile"),
        (APPARMOR_DEFAULT, "appArmorProfile"),
    ] {
        if let Some(profile) = policy.annotations.get(key).filter(|one| !one.is_empty()) {
            all.push((
                format!("setting `{field}` to {profile} where it is unset"),
                "a ValidatingAdmissionPolicy sets nothing: pods without a profile are refused where the policy lists profiles, and else run without one",
            ));
        }
    }
    let default = spec
        .runtime_class
        .as_ref()
        .and_then(|classes| classes.default.as_ref());
    if let Some(default) = default {
        all.push((
            format!("setting `runtimeClassName` to {default} where it is unset"),
            "a ValidatingAdmissionPolicy sets nothing; a Tenant does: `runtimeClasses.default`",
        ));
    }
    all
}
