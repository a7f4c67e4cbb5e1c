//! The kubelet makes the calls of probes and handlers, from its node, to whatever host they name.

use bulkhead_model::FieldPath;
use bulkhead_model::view::{Container, Fields, Pod};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "probe-host",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::High,
    profiles: Profiles::Baseline(34),
    why: "the kubelet calls that host from the node, past every network policy",
    remedy: "remove `host`: probes and lifecycle handlers call the pod's own address then",
    page: include_str!("probe_host.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.containers.all(c, [?c.?livenessProbe, ?c.?readinessProbe, ?c.?startupProbe,
        ?c.?lifecycle.?postStart, ?c.?lifecycle.?preStop].all(h,
        h.?httpGet.?host.orValue('') == '' && h.?tcpSocket.?host.orValue('') == ''))"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    for container in pod.containers() {
        // Whatever is called a probe is one, today's three and tomorrow's.
        for (key, probe) in container.fields().iter() {
            if key.ends_with("Probe") {
                let path = || container.path("").key(key);
                handlers(Fields::of(Some(probe)), path, findings);
            }
        }
        lifecycle(container, findings);
    }
}

fn lifecycle(container: Container<'_>, findings: &mut Findings) {
    for (key, handler) in container.fields().at("lifecycle").iter() {
        let path = || container.path("lifecycle").key(key);
        handlers(Fields::of(Some(handler)), path, findings);
    }
}

/// `httpGet`, `tcpSocket`, and any other way to call that has a host.
fn handlers(handler: Fields<'_>, path: impl Fn() -> FieldPath, findings: &mut Findings) {
    for (key, call) in handler.iter() {
        if let Some(host) = Fields::of(Some(call)).get("host")
            && host.as_str() != Some("")
        {
            findings.add(path().key(key).then("host"), is(host));
        }
    }
}
