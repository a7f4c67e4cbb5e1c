//! Which doors of the platform a tenant's Ingresses and Gateways open.

use bulkhead_model::FieldPath;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "ingress-class-unlisted",
    guide: Section::ExternalAddresses,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "each class is a door of the platform's, and some lead to networks that are not the tenant's",
    remedy: "name a class that the Tenant's `spec.ingressClasses` or `spec.gatewayClasses` allows",
    page: include_str!("ingress_class_unlisted.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Older than the field, and still obeyed.
const ANNOTATION: &str = "kubernetes.io/ingress.class";

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let exposure = &context.rules.exposure;
    if object.is("gateway.networking.k8s.io", "gateways") {
        let path = FieldPath::of("spec.gatewayClassName");
        let allowed = &exposure.gateway_classes;
        match object.spec().get("gatewayClassName") {
            Some(class) if class.as_str().is_some_and(|it| allowed.permits(it)) => {}
            Some(class) => findings.add(path, format!("{}; allowed is {allowed}", is(class))),
            None => findings.add(path, format!("is not set; allowed is {allowed}")),
        }
    }
    let allowed = &exposure.ingress_classes;
    if !object.is("networking.k8s.io", "ingresses") || allowed.is_empty() {
        return;
    }
    let annotation = object.metadata().at("annotations").get(ANNOTATION);
    let field = object.spec().get("ingressClassName");
    let places = [
        (field, FieldPath::of("spec.ingressClassName")),
        (
            annotation,
            FieldPath::of("metadata.annotations").key(ANNOTATION),
        ),
    ];
    for (class, path) in places {
        if let Some(class) = class
            && !class.as_str().is_some_and(|it| allowed.permits(it))
        {
            findings.add(path, format!("{}; allowed is {allowed}", is(class)));
        }
    }
    // The API server sets the cluster's default, if there is one, before it asks the webhook.
    if field.is_none() && annotation.is_none() && !context.facts.is_judged_later() {
        findings.add(
            FieldPath::of("spec.ingressClassName"),
            format!("is not set, and any controller may take it; allowed is {allowed}"),
        );
    }
}
