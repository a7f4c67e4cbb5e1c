//! What belongs to the whole cluster is everybody's: webhooks, kinds, classes, volumes, nodes. RBAC
//! gives tenants none of it; a guard holds where somebody gave it by mistake.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "tenant-extends-api",
    guide: Section::Namespaces,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "what belongs to the whole cluster is every tenant's, and a webhook or a kind of one tenant is in all requests of the others",
    remedy: "ask the platform's administrators",
    page: include_str!("tenant_extends_api.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
