//! The instance metadata service hands the node's credentials to whoever connects.

use bulkhead_model::network::{Direction, metadata_addresses};

use super::Policy;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "instance-metadata-reachable",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "the metadata service gives the node's own credentials to every pod that asks",
    remedy: "take 169.254.0.0/16, fe80::/10 and fd00:ec2::254 out of what the rule allows",
    page: include_str!("metadata_reachable.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let Some(policy) = Policy::of(object, context) else {
        return;
    };
    if !context.rules.network.block_instance_metadata {
        return;
    }
    let metadata = metadata_addresses();
    policy.read(|read| match read {
        // The same words as of the control that compares, which sees it too.
        Err(unreadable) => findings.add(unreadable.path, unreadable.message),
        Ok(allowed) if allowed.direction == Direction::Egress => {
            let reached = allowed
                .flows
                .iter()
                .find_map(|flow| metadata.iter().find_map(|it| flow.intersection(it)));
            if let Some(flow) = reached {
                findings.add(allowed.path, format!("reaches {flow}"));
            }
        }
        Ok(_) => {}
    });
}
