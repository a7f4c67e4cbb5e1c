//! An image is code. It comes from where the tenant's code comes from.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, ImageRef, Images, PullPolicy};

use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "untrusted-registry",
    guide: Section::AdmissionControllers,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "an image is code of its registry, and one that is not pulled anew may be another tenant's",
    remedy: "take the image from a registry, and with a pull policy, that the tenant is allowed",
    page: include_str!("untrusted_registry.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let images = &context.rules.images;
    for container in pod.containers() {
        let path = || container.path("");
        let keys = ["image", "imagePullPolicy"];
        image(container.fields(), keys, images, path, findings);
    }
    // A volume of an image is pulled like any other.
    for volume in pod.volumes() {
        if volume.fields().get("image").is_some() {
            let (fields, path) = (volume.fields().at("image"), || volume.path("image"));
            image(fields, ["reference", "pullPolicy"], images, path, findings);
        }
    }
}

fn image(
    fields: Fields<'_>,
    [image, policy]: [&'static str; 2],
    allowed: &Images,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    let written = fields.get(image);
    let parsed = || written.and_then(Json::as_str).and_then(ImageRef::parse);
    if !allowed.allowed_registries.is_empty() {
        let place = || path().then(image);
        match (written, parsed()) {
            (Some(_), Some(parsed))
                if allowed.allowed_registries.iter().any(|it| it.has(&parsed)) => {}
            (Some(_), Some(parsed)) => {
                findings.add(
                    place(),
                    format!("is `{parsed}`, from no registry of the tenant's"),
                );
            }
            (Some(written), None) => {
                findings.add(
                    place(),
                    format!("is {}, which is no image reference", shown(written)),
                );
            }
            (None, _) => findings.add(place(), "is unset"),
        }
    }
    let written = fields.get(policy);
    let effective = match written {
        Some(written) => written.as_str().and_then(PullPolicy::parse),
        // The API server fills it in by the tag.
        None => Some(parsed().map_or(PullPolicy::IfNotPresent, |image| image.default_policy())),
    };
    if effective.is_some_and(|effective| allowed.pull_policies.contains(&effective)) {
        return;
    }
    let detail = match (written, effective) {
        (None, Some(default)) => format!("is unset, which means `{}`", default.as_str()),
        _ => is(written.unwrap_or(&Json::Null)),
    };
    findings.add(path().then(policy), detail);
}
