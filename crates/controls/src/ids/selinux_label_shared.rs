//! Levels that the runtime draws at random on each node meet again on another: near 850 pods two
//! of them share one as likely as not.

use bulkhead_model::view::Pod;
use bulkhead_model::{SelinuxLevel, view::Fields};
use serde_json::json;

use super::{POD_LEVEL, selinux};
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::pod::runs_on_linux;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "selinux-label-shared",
    guide: Section::Selinux,
    severity: Severity::Medium,
    profiles: Profiles::Confined,
    why: "a level that the runtime draws may be another pod's too, and then neither is kept from the other",
    remedy: "make the pod anew: its level is stamped when it is made",
    page: include_str!("selinux_label_shared.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    if !runs_on_linux(pod) {
        return;
    }
    let due = matches!(context.rules.ids.selinux, SelinuxLevel::PerTenant(_));
    let level =
        selinux(pod.security_context()).and_then(|options: Fields<'_>| options.get("level"));
    if due && level.is_none() {
        findings.add(
            pod.path(POD_LEVEL),
            "is unset, so the runtime draws one that may be another pod's",
        );
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if let SelinuxLevel::PerTenant(pair) = context.rules.ids.selinux {
        fills.set_in_pod(pod, POD_LEVEL, json!(pair));
    }
}
