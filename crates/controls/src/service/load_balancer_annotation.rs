//! Load balancers of the cloud are steered by annotations, past everything that the spec says.

use bulkhead_model::FieldPath;

use super::external_ip::SOURCE_RANGES;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "load-balancer-annotation",
    guide: Section::ExternalAddresses,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "such annotations join others' load balancers, open them to the internet, or use the platform's keys and networks",
    remedy: "leave the annotation out; health checks and target types may be set",
    page: include_str!("load_balancer_annotation.md"),
    rule: Rule::Object(check),
    cel: Some(
        "!(request.resource.resource in ['services', 'ingresses']) || object.metadata.?annotations.orValue({}).all(k, !k.matches('^(service[.]beta[.]kubernetes[.]io|alb[.]ingress[.]kubernetes[.]io|io[.]cilium|kube-vip[.]io|lbipam[.]cilium[.]io|metallb[.]io|metallb[.]universe[.]tf|tailscale[.]com|projectcalico[.]org|service[.]cilium[.]io|networking[.]gke[.]io|cloud[.]google[.]com)/') || k in ['cloud.google.com/neg', 'cloud.google.com/neg-status'] || k == 'service.beta.kubernetes.io/load-balancer-source-ranges' || k.matches('^service[.]beta[.]kubernetes[.]io/aws-load-balancer-(healthcheck-[a-z-]+|backend-protocol|nlb-target-type)$') || k.matches('^alb[.]ingress[.]kubernetes[.]io/(healthcheck-[a-z-]+|healthy-threshold-count|unhealthy-threshold-count|success-codes|target-type|backend-protocol|backend-protocol-version|ssl-redirect)$'))",
    ),
    mend: Mend::ByHand,
};

/// What starts so steers a load balancer, and what may.
#[rustfmt::skip]
const STEERED: [(&str, &[&str]); 12] = [
    ("service.beta.kubernetes.io/", &["aws-load-balancer-backend-protocol", "aws-load-balancer-healthcheck-*", "aws-load-balancer-nlb-target-type"]),
    ("alb.ingress.kubernetes.io/", &["backend-protocol", "backend-protocol-version", "healthcheck-*", "healthy-threshold-count", "ssl-redirect", "success-codes", "target-type", "unhealthy-threshold-count"]),
    // Addresses of one's choice, others' addresses to share, doors into other networks.
    ("io.cilium/", &[]),
    ("kube-vip.io/", &[]),
    ("lbipam.cilium.io/", &[]),
    ("metallb.io/", &[]),
    ("metallb.universe.tf/", &[]),
    ("tailscale.com/", &[]),
    ("projectcalico.org/", &[]),
    // Services of the same name in other clusters, whose namespace may be another's there.
    ("service.cilium.io/", &[]),
    ("networking.gke.io/", &[]),
    ("cloud.google.com/", &["neg", "neg-status"]),
];

fn check(object: &Object<'_>, _: &Context<'_>, findings: &mut Findings) {
    if !object.is("", "services") && !object.is("networking.k8s.io", "ingresses") {
        return;
    }
    for (key, value) in object.metadata().at("annotations").iter() {
        // `service-external-ip` speaks of this one.
        if key != SOURCE_RANGES && !is_harmless(key) {
            findings.add(FieldPath::of("metadata.annotations").key(key), is(value));
        }
    }
}

fn is_harmless(key: &str) -> bool {
    let steered = STEERED
        .iter()
        .find_map(|(prefix, allowed)| Some((key.strip_prefix(prefix)?, *allowed)));
    let Some((name, allowed)) = steered else {
        return true;
    };
    allowed
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            None => name == *pattern,
            Some(start) => name.strip_prefix(start).is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
            }),
        })
}
