//! Whoever chooses a process's SELinux label chooses whose files and processes it may touch.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, Profile, SelinuxLevel, TenantRules};

use super::{SELINUX, selinux};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::pod::runs_on_linux;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "selinux-label-chosen",
    guide: Section::Selinux,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "a pod that chooses its SELinux label joins another's, or the host's with `spc_t`",
    remedy: "remove `seLinuxOptions` from the pod and all its containers",
    page: include_str!("selinux_label_chosen.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    if !runs_on_linux(pod) {
        return;
    }
    let rules = context.rules.ids.selinux;
    if let Some(options) = selinux(pod.security_context()) {
        let path = || pod.path("spec.securityContext").then(SELINUX);
        others(options, context.rules, path, findings);
        if let Some(level) = options.get("level") {
            let path = path().then("level");
            match rules {
                SelinuxLevel::PerTenant(pair) if level.as_str() == Some(&pair.to_string()) => {}
                SelinuxLevel::Runtime if is_standard(context.rules) => {}
                _ => findings.add(path, is(level)),
            }
        }
    }
    for container in pod.containers() {
        let Some(options) = selinux(container.security_context()) else {
            continue;
        };
        let path = || container.path("securityContext").then(SELINUX);
        others(options, context.rules, path, findings);
        match options.get("level") {
            Some(_) if rules == SelinuxLevel::Runtime && is_standard(context.rules) => {}
            Some(level) => findings.add(path().then("level"), is(level)),
            // The struct replaces the pod's as a whole, the stamped level with it.
            None if rules != SelinuxLevel::Runtime => findings.add(
                path(),
                "replaces the pod's, and the level that is stamped there is lost",
            ),
            None => {}
        }
    }
}

/// Whether the tenant is held to Kubernetes' standards, which let anybody choose a level.
fn is_standard(rules: &TenantRules) -> bool {
    rules.profile != Profile::Strict
}

/// Everything but the level.
fn others(
    options: Fields<'_>,
    rules: &TenantRules,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    for (field, value) in options.iter().filter(|(field, _)| *field != "level") {
        // The API server reads an empty text as unset.
        let unset = value.as_str() == Some("");
        let standard = is_standard(rules)
            && field == "type"
            && value
                .as_str()
                .is_some_and(|kind| rules.standards.allow_selinux_type(kind));
        if !unset && !standard {
            findings.add(path().key(field), is(value));
        }
    }
}
