//! A namespace takes part in names: `web` in the namespace `com` answers for `web.com`.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "namespace-shadows-domain",
    guide: Section::Namespaces,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "pods of the whole cluster would find its Services where they look for names of the internet",
    remedy: "call the namespace by another name, such as one with the tenant's prefix",
    page: include_str!("namespace_shadows_domain.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
