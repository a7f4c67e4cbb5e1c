//! A pod that joins its node's network sees the node's traffic and its metadata service.

use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-network",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "a pod on the node's network reaches the metadata service, the kubelet and every local port",
    remedy: "remove `hostNetwork`, or set it to `false`",
    page: include_str!("host_network.md"),
    rule: Rule::Pod(check),
    cel: Some("!variables.spec.?hostNetwork.orValue(false)"),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    if pod.spec().flag("hostNetwork") {
        let detail = pod.spec().get("hostNetwork").map(is).unwrap_or_default();
        findings.add(pod.path("spec.hostNetwork"), detail);
    }
}
