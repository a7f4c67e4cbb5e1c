//! A port of the node is one for all its tenants: whoever takes it, answers on it.

use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-port",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "a port of the node is shared by all its tenants, and skips their network policies",
    remedy: "remove `hostPort` and put a Service before the pod",
    page: include_str!("host_port.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    let host_network = pod.spec().flag("hostNetwork");
    for container in pod.containers() {
        for (index, port) in container.fields().list("ports").iter().enumerate() {
            let port = Fields::of(Some(port)).get("hostPort");
            if let Some(port) = port.filter(|port| port.as_i64() != Some(0)) {
                let detail = if host_network {
                    format!("is {}, which `hostNetwork` sets by itself", shown(port))
                } else {
                    is(port)
                };
                findings.add(
                    container.path("ports").index(index).then("hostPort"),
                    detail,
                );
            }
        }
    }
}
