//! A binding for a person is a way to the API server around the gateway, which alone says who the
//! tenant's people are.

use bulkhead_model::{FieldPath, Json};

use super::{Whom, subjects};
use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "direct-api-access",
    guide: Section::DirectAccess,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "whoever holds rights of their own reaches the API server around the gateway, which can neither refuse nor name them",
    remedy: "make the person a member of the Tenant, and bind a role of the tenant or a ServiceAccount",
    page: include_str!("direct_api_access.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    for (index, subject) in subjects(object) {
        let path = FieldPath::of("subjects").index(index).then("name");
        match Whom::of(subject, context.namespace, context.rules) {
            Whom::Outsider(name) => {
                let kind = subject.str("kind").unwrap_or_default().to_lowercase();
                findings.add(
                    path,
                    format!("is the {kind} {}", shown(&Json::String(name.into()))),
                );
            }
            // Who that is cannot be told.
            Whom::Nobody("name", what) => findings.add(path, what),
            _ => {}
        }
    }
}
