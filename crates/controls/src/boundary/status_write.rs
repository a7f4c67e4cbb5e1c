//! Status is what the cluster's own parts say about an object, and other parts believe it.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "status-write",
    guide: Section::ExternalAddresses,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "the cluster believes a status, so a forged one draws traffic or hides what runs",
    remedy: "leave the status to the cluster's controllers",
    page: include_str!("status_write.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
