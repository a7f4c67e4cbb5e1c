//! Endpoints and EndpointSlices say where a Service's traffic goes, whoever's address that is.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "foreign-endpoint",
    guide: Section::ExternalAddresses,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "its addresses may be a node's, the metadata service's or another tenant's, reached in the Service's name",
    remedy: "give the Service a selector, and let the cluster keep its endpoints",
    page: include_str!("foreign_endpoint.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
