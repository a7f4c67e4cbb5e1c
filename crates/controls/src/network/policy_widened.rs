//! NetworkPolicies only add up: one of a tenant's own that allows more than ours reopens what ours
//! closed.

use bulkhead_model::network::{beyond, metadata_addresses};

use super::Policy;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "network-policy-widened",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "policies add up, so what one allows no other can forbid",
    remedy: "allow what lies within the tenant's network, or ask for `spec.network.allowEgress` or `allowIngress`",
    page: include_str!("policy_widened.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let Some(policy) = Policy::of(object, context) else {
        return;
    };
    let network = &context.rules.network;
    policy.read(|read| match read {
        Err(unreadable) => findings.add(unreadable.path, unreadable.message),
        Ok(allowed) => {
            let mut limit = policy.limit(allowed.direction);
            if network.block_instance_metadata {
                // That is another control's finding.
                limit.extend(metadata_addresses());
            }
            match beyond(allowed.flows, &limit) {
                Err(_) => findings.add(
                    allowed.path,
                    "has selectors too many to be compared with the tenant's network",
                ),
                Ok(left) => {
                    if let Some(flow) = left.first() {
                        findings.add(
                            allowed.path,
                            format!("allows what the tenant's network does not: {flow}"),
                        );
                    }
                }
            }
        }
    });
}
