//! Whoever sees processes reads their environment and their files. A pod of a tenant sees only
//! those of each container by itself.

use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-pid",
    guide: Section::Appendix,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "whoever sees processes reads their environment, their files and their memory",
    remedy: "remove the field, or set it to `false`; debug one container with `kubectl debug --target`",
    page: include_str!("host_pid.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"!variables.spec.?hostPID.orValue(false)
        && !variables.spec.?shareProcessNamespace.orValue(false)"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for (field, path) in [
        ("hostPID", "spec.hostPID"),
        ("shareProcessNamespace", "spec.shareProcessNamespace"),
    ] {
        let beyond = field == "shareProcessNamespace";
        if pod.spec().flag(field) && (context.is_strict() || !beyond) {
            findings.add(
                pod.path(path),
                pod.spec().get(field).map(is).unwrap_or_default(),
            );
        }
    }
}
