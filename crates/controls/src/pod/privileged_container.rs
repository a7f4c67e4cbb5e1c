//! A privileged container is root on its node with every wall taken down.

use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "privileged-container",
    guide: Section::ContainerPrivileges,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "a privileged container is root on its node, and reaches every tenant there",
    remedy: "remove the field, or set it to `false`",
    page: include_str!("privileged_container.md"),
    rule: Rule::Pod(check),
    cel: Some(r#"variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"#),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    for container in pod.containers() {
        let context = container.security_context();
        if context.flag("privileged") {
            findings.add(
                container.path("securityContext.privileged"),
                context.get("privileged").map(is).unwrap_or_default(),
            );
        }
    }
}
