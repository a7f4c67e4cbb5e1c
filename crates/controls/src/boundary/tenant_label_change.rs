//! A namespace is a tenant's by its labels and annotations. Whoever may change them may change
//! whose it is, and what holds in it.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "tenant-label-change",
    guide: Section::Namespaces,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "these labels and annotations say whose the namespace is and what holds in it",
    remedy: "leave what Bulkhead and Pod Security Admission keep on the namespace as it is",
    page: include_str!("tenant_label_change.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
