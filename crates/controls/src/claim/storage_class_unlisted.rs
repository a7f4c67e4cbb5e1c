//! Which disks of the platform a tenant's claims are made of.

use bulkhead_model::view::Fields;

use super::Claim;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "storage-class-unlisted",
    guide: Section::HostFilesystem,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a class may be disks of the node or of another tenant, and a claim without one takes any free volume",
    remedy: "name a class that the Tenant's `spec.storageClasses` allows, or leave the field out for the default",
    page: include_str!("storage_class_unlisted.md"),
    rule: Rule::Claim(check),
    cel: None,
    mend: Mend::ByHand,
};

const CLASS: &str = "storageClassName";
const ATTRIBUTES: &str = "volumeAttributesClassName";

fn check(claim: &Claim<'_>, context: &Context<'_>, findings: &mut Findings) {
    let allowed = &context.rules.exposure.storage_classes;
    let old = Fields::of(context.old).at("spec");
    for (field, dotted) in [
        (CLASS, "spec.storageClassName"),
        (ATTRIBUTES, "spec.volumeAttributesClassName"),
    ] {
        let Some(class) = claim.spec().get(field) else {
            continue;
        };
        // What a claim has already it keeps: nobody can take it away, and it must be bindable.
        if claim.is_object() && old.get(field) == Some(class) {
            continue;
        }
        match class.as_str() {
            Some("") if field == CLASS => findings.add(
                claim.path(dotted),
                "is empty: the claim takes any volume without a class that is free",
            ),
            Some(name) if allowed.is_empty() || allowed.permits(name) => {}
            _ => findings.add(
                claim.path(dotted),
                format!("{}; allowed is {allowed}", is(class)),
            ),
        }
    }
}
