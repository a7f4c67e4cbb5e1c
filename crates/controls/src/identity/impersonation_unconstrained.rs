//! Whoever may impersonate is whom they say. Only the gateway's forwarder may, and only users whose
//! names a guard has checked.

use bulkhead_model::FieldPath;

use super::rules;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "impersonation-unconstrained",
    guide: Section::DirectAccess,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "whoever may impersonate another has all rights of the other, and the audit log's word for it",
    remedy: "leave the verb out, and give the rights themselves",
    page: include_str!("impersonation_unconstrained.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// `impersonate`, and the constrained forms `impersonate:…` and `impersonate-on:…`.
const VERB: &str = "impersonate";

fn check(object: &Object<'_>, _: &Context<'_>, findings: &mut Findings) {
    for (index, rule) in rules(object) {
        for (place, verb) in rule.list("verbs").iter().enumerate() {
            if verb.as_str().is_none_or(|verb| verb.starts_with(VERB)) {
                let path = FieldPath::of("rules").index(index).then("verbs");
                findings.add(path.index(place), is(verb));
            }
        }
    }
}
