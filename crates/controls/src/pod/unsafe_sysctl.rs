//! Some settings of the kernel are the pod's own. The others are the node's.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "unsafe-sysctl",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "a sysctl that is not on the list changes the kernel for every pod of the node",
    remedy: "remove it from `securityContext.sysctls`, or ask the platform to set it on the nodes",
    page: include_str!("unsafe_sysctl.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.context.?sysctls.orValue([]).all(s, s.?name.orValue('') in [
        'kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range',
        'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.ping_group_range',
        'net.ipv4.tcp_syncookies', 'net.ipv4.ip_local_reserved_ports', 'net.ipv4.tcp_fin_timeout',
        'net.ipv4.tcp_keepalive_intvl', 'net.ipv4.tcp_keepalive_probes',
        'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'])"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let sysctls = pod.security_context().list("sysctls");
    for (index, sysctl) in sysctls.iter().enumerate() {
        let name = Fields::of(Some(sysctl)).get("name");
        let written = name.and_then(Json::as_str);
        // Literally: the kubelet takes `net/ipv4/…` too, and so is more than one spelling refused.
        if !written.is_some_and(|name| context.rules.standards.allow_sysctl(name)) {
            let path = pod.path("spec.securityContext.sysctls").index(index);
            let detail = name.map_or_else(
                || "is unset".to_owned(),
                |name| format!("sets {}", shown(name)),
            );
            findings.add(path.then("name"), detail);
        }
    }
}
