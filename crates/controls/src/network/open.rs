//! Pods that nothing selects talk to everybody: our policy in each namespace must stay as it is.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "open-network",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "without Bulkhead's policy, every pod of the cluster reaches the tenant's and is reached by them",
    remedy: "leave the policies named `bulkhead-…` alone and add your own under other names",
    page: include_str!("open.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
