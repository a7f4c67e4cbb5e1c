//! Secrets that the control plane fills with credentials. The judge is a policy inside the API
//! server, so that no Secret has to leave it.

use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "legacy-token-secret",
    guide: Section::DirectAccess,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "the control plane fills such a Secret with a token that never expires",
    remedy: "mount a projected token, or ask for one with `kubectl create token`",
    page: include_str!("legacy_token_secret.md"),
    rule: Rule::Guard,
    cel: None,
    mend: Mend::ByHand,
};
