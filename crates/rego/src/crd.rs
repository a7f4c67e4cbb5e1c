//! The CustomResourceDefinition of templates, as Gatekeeper's users write them.

use serde_json::{Value, json};

use crate::template::TEMPLATES;

/// The kind ConstraintTemplate, for server-side apply. What a template may say is checked when it
/// is written, by what will run it.
#[must_use]
pub fn template_crd() -> Value {
    let anything = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = |name: &str, storage: bool| {
        json!({
            "name": name,
            "served": true,
            "storage": storage,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
            "schema": {"openAPIV3Schema": {
                "type": "object",
                "description": "A policy in Rego, and the kind of the constraints that say where and with what it holds.",
                "required": ["spec"],
                "properties": {
                    "metadata": {"type": "object"},
                    "spec": anything(),
                    "status": anything(),
                },
            }},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("constrainttemplates.{TEMPLATES}")},
        "spec": {
            "group": TEMPLATES,
            "scope": "Cluster",
            "names": {
                "kind": "ConstraintTemplate",
                "listKind": "ConstraintTemplateList",
                "plural": "constrainttemplates",
                "singular": "constrainttemplate",
            },
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}
