//! A Service with an address of its choice draws what the whole cluster sends to that address.
//! Tenants get what stays inside: a cluster IP, or none.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::exposure::is_host;
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
    cel: Some(
        r#"(object.spec.?type.orValue('ClusterIP') == 'ClusterIP'
        || (object.spec.type == 'NodePort' && variables.rules.contains('"nodePort":true'))
        || (object.spec.type == 'LoadBalancer' && variables.rules.contains('"loadBalancer":true'))
        || (object.spec.type == 'ExternalName' && variables.rules.contains('"externalName":true')))
        && object.spec.?externalIPs.orValue([]).size() == 0
        && (object.spec.?loadBalancerSourceRanges.orValue([]).size() == 0
        || (object.spec.?type.orValue('') == 'LoadBalancer' && variables.rules.contains('"loadBalancer":true')))
        && (object.spec.?externalName.orValue('') == ''
        || (object.spec.?type.orValue('') == 'ExternalName' && variables.rules.contains('"externalName":true')
        && object.spec.externalName.matches('^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)+[.]*$')
        && !object.spec.externalName.matches('(?i)[.](local|svc|internal|localhost|cluster|pod|[0-9]+)[.]*$')))
        && object.spec.?loadBalancerClass.orValue('') == ''
        && object.spec.?loadBalancerIP.orValue('') == ''
        && (variables.rules.contains('"nodePort":true') || (object.spec.?healthCheckNodePort.orValue(0) == 0
        && !object.spec.?allocateLoadBalancerNodePorts.orValue(false)
        && object.spec.?ports.orValue([]).all(p, p.?nodePort.orValue(0) == 0)))
        && !('service.beta.kubernetes.io/load-balancer-source-ranges' in object.metadata.?annotations.orValue({}))"#,
    ),
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

pub(crate) const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

fn check(service: &Service<'_>, context: &Context<'_>, findings: &mut Findings) {
    let spec = service.spec();
    let may = context.rules.exposure.services;
    let kind = spec.str("type");
    let allowed = match kind {
        None if spec.get("type").is_none() => true,
        Some("ClusterIP") => true,
        Some("NodePort") => may.node_port,
        Some("LoadBalancer") => may.load_balancer,
        Some("ExternalName") => may.external_name,
        _ => false,
    };
    if let Some(kind) = spec.get("type").filter(|_| !allowed) {
        findings.add(service.path("type"), is(kind));
    }
    let balances = may.load_balancer && kind == Some("LoadBalancer");
    for (field, nothing) in OUTSIDE {
        let permitted = match field {
            "externalName" => {
                may.external_name && kind == Some("ExternalName") && is_outside(spec.str(field))
            }
            "healthCheckNodePort" => may.node_port,
            // They only narrow whom the balancer listens to.
            "loadBalancerSourceRanges" => balances,
            _ => false,
        };
        if let Some(value) = spec
            .get(field)
            .filter(|value| !permitted && !nothing.is(value))
        {
            findings.add(service.path(field), is(value));
        }
    }
    node_ports(service, balances, findings, may.node_port);
    if let Some(ranges) = service.metadata().at("annotations").get(SOURCE_RANGES) {
        findings.add(
            FieldPath::of("metadata.annotations").key(SOURCE_RANGES),
            format!("is {}", shown(ranges)),
        );
    }
}

fn node_ports(service: &Service<'_>, balances: bool, findings: &mut Findings, allowed: bool) {
    if allowed {
        return;
    }
    let spec = service.spec();
    let field = "allocateLoadBalancerNodePorts";
    if spec.flag(field) {
        let detail = spec.get(field).map(is).unwrap_or_default();
        findings.add(service.path(field), detail);
    } else if balances && spec.get(field).is_none() {
        let detail = "is not set, which opens a port on every node: expected `false`";
        findings.add(service.path(field), detail);
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
}

/// Whether this is a name of the internet: no address, and none of the cluster's own names.
fn is_outside(name: Option<&str>) -> bool {
    let Some(name) = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) else {
        return false;
    };
    let top = name.rsplit('.').next().unwrap_or_default();
    name.contains('.')
        && !matches!(
            top,
            "local" | "svc" | "internal" | "localhost" | "cluster" | "pod"
        )
        && !top.bytes().all(|b| b.is_ascii_digit())
        && is_host(&name)
}
