//! A class of devices is what the platform has to give, and to whom is its to say.

use bulkhead_model::view::Pod;

use super::{device_requests, unlisted};
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "device-class-unlisted",
    guide: Section::Since,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "devices of a class that was not granted are others', and a class's driver runs with rights on the node",
    remedy: "name a class of the tenant's `spec.deviceClasses`, or ask the platform's administrators for this one",
    page: include_str!("device_class_unlisted.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// A resource of this name asks for a device of the class that follows.
const IMPLICIT: &str = "deviceclass.resource.kubernetes.io/";

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let classes = &context.rules.device_classes;
    for request in device_requests(object) {
        let Some(name) = request.fields.get("deviceClassName") else {
            continue;
        };
        let name = name.as_str().unwrap_or_default();
        if !classes.permits(name) {
            findings.add(
                request.path.then("deviceClassName"),
                unlisted(name, classes),
            );
        }
    }
    object
        .pods()
        .for_each(|pod| check_pod(&pod, context, findings));
}

/// A pod asks for a device without a claim by a resource that is called like the class.
fn check_pod(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let classes = &context.rules.device_classes;
    for container in pod.containers() {
        for list in ["requests", "limits"] {
            let resources = container.fields().at("resources").at(list);
            for (resource, _) in resources.iter() {
                if let Some(name) = resource.strip_prefix(IMPLICIT)
                    && !classes.permits(name)
                {
                    let path = container.path("resources").then(list).key(resource);
                    findings.add(path, unlisted_class(name, context));
                }
            }
        }
    }
}

fn unlisted_class(name: &str, context: &Context<'_>) -> String {
    let classes = &context.rules.device_classes;
    format!("asks for a device of the class `{name}`; the tenant may name {classes}")
}
