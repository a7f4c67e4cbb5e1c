//! A pod in the node's IPC namespace shares memory with whatever runs there.

use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-ipc",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "shared memory of the node's processes and of other tenants' pods is readable and writable",
    remedy: "remove `hostIPC`, or set it to `false`",
    page: include_str!("host_ipc.md"),
    rule: Rule::Pod(check),
    cel: Some("!variables.spec.?hostIPC.orValue(false)"),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    if pod.spec().flag("hostIPC") {
        let detail = pod.spec().get("hostIPC").map(is).unwrap_or_default();
        findings.add(pod.path("spec.hostIPC"), detail);
    }
}
