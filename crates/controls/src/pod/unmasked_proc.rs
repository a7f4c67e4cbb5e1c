//! Runtimes hide what in `/proc` belongs to the node. A pod may ask them not to.

use bulkhead_model::view::Pod;

use super::is_excused_by_user_namespace;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;
use bulkhead_model::Profile;

pub(crate) const CONTROL: Control = Control {
    name: "unmasked-proc",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "without the masks a container writes the node's kernel settings and reads its memory map",
    remedy: "remove `procMount`, or set it to `Default`",
    page: include_str!("unmasked_proc.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.containers.all(c, c.?securityContext.?procMount.orValue('Default') == 'Default')"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let baseline = context.rules.profile == Profile::Baseline;
    if baseline && is_excused_by_user_namespace(pod, context) {
        return;
    }
    for container in pod.containers() {
        let mount = container.security_context().get("procMount");
        if let Some(mount) = mount.filter(|mount| mount.as_str() != Some("Default")) {
            findings.add(container.path("securityContext.procMount"), is(mount));
        }
    }
}
