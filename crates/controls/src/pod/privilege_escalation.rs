//! A process that may gain privileges becomes root by the first setuid program that it finds.

use bulkhead_model::Json;
use bulkhead_model::view::{Container, Pod};

use super::{NOT_LINUX, OS, System, system};
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

const FIELD: &str = "allowPrivilegeEscalation";
const PATH: &str = "securityContext.allowPrivilegeEscalation";

pub(crate) const CONTROL: Control = Control {
    name: "privilege-escalation",
    guide: Section::ContainerPrivileges,
    severity: Severity::High,
    profiles: Profiles::Restricted(8),
    why: "a process that may gain privileges becomes root through any setuid program",
    remedy: "set `allowPrivilegeEscalation: false` in every container",
    page: include_str!("privilege_escalation.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.linux && variables.containers.all(c,
        !c.?securityContext.?allowPrivilegeEscalation.orValue(true))"#,
    ),
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    match system(pod, context) {
        System::Linux => {}
        System::Foreign => return findings.add(pod.path(OS), NOT_LINUX),
        System::Excused => return,
    }
    for container in pod.containers() {
        match container.security_context().get(FIELD) {
            Some(Json::Bool(false)) => {}
            Some(value) => findings.add(container.path(PATH), is(value)),
            None => findings.add(container.path(PATH), "is unset, which means `true`"),
        }
    }
}

fn fill(pod: &Pod<'_>, _: &Context<'_>, fills: &mut Fills<'_>) {
    for container in fills.containers(pod) {
        if container.security_context().get(FIELD).is_none() && !must_escalate(container) {
            fills.set(container.path(PATH), Json::Bool(false));
        }
    }
}

/// The API server refuses `false` beside these two, in words that hide what is wrong. Other
/// controls refuse them in ours.
fn must_escalate(container: Container<'_>) -> bool {
    let context = container.security_context();
    context.flag("privileged")
        || context
            .at("capabilities")
            .list("add")
            .iter()
            .any(|cap| cap == "CAP_SYS_ADMIN")
}
