//! A Service with an address of its choice draws what the whole cluster sends to that address.
//! Tenants get what stays inside: a cluster IP, or none.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::Fields;

use super::Service;
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "service-external-ip",
    guide: Section::ExternalAddresses,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "the Service takes over what the whole cluster sends to an address, or opens a port on every node",
    remedy: "use `type: ClusterIP` without addresses or ports of the outside",
    page: include_str!("external_ip.md"),
    rule: Rule::Service(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Fields of the spec that mean the outside whatever the type says: a type can change later, and
/// `externalIPs` outlive the change.
const OUTSIDE: [(&str, Nothing); 6] = [
    ("externalIPs", Nothing::List),
    ("externalName", Nothing::Text),
    ("healthCheckNodePort", Nothing::Zero),
    ("loadBalancerClass", Nothing::Text),
    ("loadBalancerIP", Nothing::Text),
    ("loadBalancerSourceRanges", Nothing::List),
];

/// What the API server reads as unset: a Service that was a load balancer once keeps such fields.
#[derive(Clone, Copy)]
enum Nothing {
    List,
    Text,
    Zero,
}

impl Nothing {
    fn is(self, value: &Json<'_>) -> bool {
        match self {
            Self::List => value.as_array().is_some_and(<[_]>::is_empty),
            Self::Text => value.as_str() == Some(""),
            Self::Zero => value.as_i64() == Some(0),
        }
    }
}

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

fn check(service: &Service<'_>, _: &Context<'_>, findings: &mut Findings) {
    let spec = service.spec();
    if let Some(kind) = spec
        .get("type")
        .filter(|kind| kind.as_str() != Some("ClusterIP"))
    {
        findings.add(service.path("type"), is(kind));
    }
    for (field, nothing) in OUTSIDE {
        if let Some(value) = spec.get(field).filter(|value| !nothing.is(value)) {
            findings.add(service.path(field), is(value));
        }
    }
    if spec.flag("allocateLoadBalancerNodePorts") {
        let detail = spec
            .get("allocateLoadBalancerNodePorts")
            .map(is)
            .unwrap_or_default();
        findings.add(service.path("allocateLoadBalancerNodePorts"), detail);
    }
    for (index, port) in spec.list("ports").iter().enumerate() {
        let port = Fields::of(Some(port)).get("nodePort");
        if let Some(port) = port.filter(|port| !Nothing::Zero.is(port)) {
            findings.add(
                service.path("ports").index(index).then("nodePort"),
                is(port),
            );
        }
    }
    if let Some(ranges) = service.metadata().at("annotations").get(SOURCE_RANGES) {
        findings.add(
            FieldPath::of("metadata.annotations").key(SOURCE_RANGES),
            format!("is {}", shown(ranges)),
        );
    }
}
