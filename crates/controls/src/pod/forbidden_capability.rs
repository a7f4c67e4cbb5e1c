//! A capability is a piece of root. A container adds those that its tenant is allowed, no other.

use bulkhead_model::Capability;
use bulkhead_model::Json;
use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "forbidden-capability",
    guide: Section::ContainerPrivileges,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "a capability is a piece of root on the node",
    remedy: "remove it from `capabilities.add`, or have it added to the tenant's allowed ones",
    page: include_str!("forbidden_capability.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for container in pod.containers() {
        let added = container.security_context().at("capabilities").list("add");
        for (index, capability) in added.iter().enumerate() {
            if !is_allowed(capability, context) {
                findings.add(
                    container
                        .path("securityContext.capabilities.add")
                        .index(index),
                    format!("adds {}", shown(capability)),
                );
            }
        }
    }
}

/// Runtimes fold case and strip `CAP_`, so `cap_sys_admin` is on no list that `SYS_ADMIN` is not.
fn is_allowed(capability: &Json<'_>, context: &Context<'_>) -> bool {
    let Some(written) = capability.as_str() else {
        return false;
    };
    let canonical = Capability::canonical(written);
    context
        .rules
        .allowed_capabilities
        .iter()
        .any(|allowed| allowed.as_str() == canonical)
}
