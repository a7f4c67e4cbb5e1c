//! A capability is a piece of root. A container adds those that its tenant is allowed, no other.

use bulkhead_model::Json;
use bulkhead_model::view::Pod;
use bulkhead_model::{Capability, Profile};

use super::{System, system};
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
    cel: Some(
        r#"variables.containers.all(c, c.?securityContext.?capabilities.?add.orValue([]).all(k,
        k.matches('^[A-Z0-9_]+$') && variables.rules.find('"allowedCapabilities":[^\\]]*').contains('"' + k + '"')))"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let standard = match context.rules.profile {
        Profile::Baseline => &Capability::BASELINE[..],
        Profile::Restricted if !context.since(22) => &Capability::BASELINE,
        Profile::Restricted if matches!(system(pod, context), System::Excused) => return,
        Profile::Restricted => &["NET_BIND_SERVICE"],
        Profile::Strict | Profile::Privileged => &[],
    };
    for container in pod.containers() {
        let added = container.security_context().at("capabilities").list("add");
        for (index, capability) in added.iter().enumerate() {
            let path = || {
                let list = container.path("securityContext.capabilities.add");
                list.index(index)
            };
            match spelling(capability, standard, context) {
                Spelling::Allowed => {}
                Spelling::Forbidden => findings.add(path(), format!("adds {}", shown(capability))),
                Spelling::Odd(canonical) => findings.add(
                    path(),
                    format!(
                        "adds {}, which has to be spelt `{canonical}`",
                        shown(capability)
                    ),
                ),
            }
        }
    }
}

enum Spelling {
    Allowed,
    Forbidden,
    /// Another spelling of one that is allowed.
    Odd(String),
}

/// Runtimes fold case and strip `CAP_`, so `cap_sys_admin` is on no list that `SYS_ADMIN` is not.
/// The other way round a spelling that Kubernetes' own standards do not know is refused.
fn spelling(capability: &Json<'_>, standard: &[&str], context: &Context<'_>) -> Spelling {
    let written = capability.as_str().unwrap_or_default();
    let canonical = Capability::canonical(written);
    let allowed = &context.rules.allowed_capabilities;
    let listed =
        standard.contains(&canonical.as_str()) || allowed.iter().any(|it| it.as_str() == canonical);
    match listed {
        true if written == canonical => Spelling::Allowed,
        true => Spelling::Odd(canonical),
        false => Spelling::Forbidden,
    }
}
