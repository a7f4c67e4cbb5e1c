//! What a tenant makes belongs into the tenant's own namespaces. No webhook can move an object,
//! so the gateway places it and a guard refuses the rest.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "foreign-namespace",
    guide: Section::Namespaces,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "whoever writes outside the own namespaces writes into another tenant's, or the cluster's",
    remedy: "name one of your own namespaces",
    page: include_str!("foreign_namespace.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
