//! A HostProcess container of Windows is a process of its node.

use bulkhead_model::FieldPath;
use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-process",
    guide: Section::ContainerPrivileges,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "a HostProcess container runs on its Windows node itself, outside of every container",
    remedy: "remove `hostProcess`, or set it to `false`, in the pod and in every container",
    page: include_str!("host_process.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"!variables.context.?windowsOptions.?hostProcess.orValue(false)
        && variables.containers.all(c, !c.?securityContext.?windowsOptions.?hostProcess.orValue(false))"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    // Kubernetes merges the two field by field, so each counts by itself.
    host_process(
        pod.security_context(),
        || pod.path("spec.securityContext"),
        findings,
    );
    for container in pod.containers() {
        host_process(
            container.security_context(),
            || container.path("securityContext"),
            findings,
        );
    }
}

fn host_process(own: Fields<'_>, path: impl Fn() -> FieldPath, findings: &mut Findings) {
    let windows = own.at("windowsOptions");
    if windows.flag("hostProcess") {
        let detail = windows.get("hostProcess").map(is).unwrap_or_default();
        findings.add(path().then("windowsOptions.hostProcess"), detail);
    }
}
