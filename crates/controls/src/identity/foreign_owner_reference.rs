//! An owner is deleted only after what it owns, if that says so: whoever names an owner outside the
//! namespace keeps it there. The judge is a policy inside the API server, over objects of all kinds.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "foreign-owner-reference",
    guide: Section::Namespaces,
    severity: Severity::Medium,
    profiles: Profiles::Every,
    why: "an object that names an owner outside its namespace holds up the owner's deletion",
    remedy: "name an owner of the same namespace",
    page: include_str!("foreign_owner_reference.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
