//! The CustomResourceDefinition of PodSecurityPolicies. Its spec is that of the original, whose
//! group Kubernetes serves no more. What the schema lets through and is wrong nevertheless, the
//! webhook refuses in the original's words: so the schema knows types and no values.

use bulkhead_model::labels;
use serde_json::{Value, json};

/// The CustomResourceDefinition.
pub(crate) fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "podsecuritypolicies.bulkhead.dev"},
        "spec": {
            "group": labels::GROUP,
            "scope": "Cluster",
            "names": {
                "kind": "PodSecurityPolicy",
                "listKind": "PodSecurityPolicyList",
                "plural": "podsecuritypolicies",
                "shortNames": ["psp"],
                "singular": "podsecuritypolicy",
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    {"name": "Privileged", "type": "boolean", "jsonPath": ".spec.privileged"},
                    {"name": "RunAsUser", "type": "string", "jsonPath": ".spec.runAsUser.rule"},
                    {"name": "FSGroup", "type": "string", "jsonPath": ".spec.fsGroup.rule"},
                    {"name": "Volumes", "type": "string", "jsonPath": ".spec.volumes"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "What pods of tenants must be, as Kubernetes' own PodSecurityPolicy said it up to 1.24.",
                    "required": ["spec"],
                    "properties": {"spec": spec()},
                }},
            }],
        },
    })
}

fn spec() -> Value {
    let flag = json!({"type": "boolean"});
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let objects = |properties: Value| json!({"type": "array", "items": object(properties)});
    let range = |format: &str| {
        let end = json!({"type": "integer", "format": format});
        objects(json!({"min": end, "max": end}))
    };
    let rule = object(json!({"rule": text, "ranges": range("int64")}));
    let label = object(json!({"user": text, "role": text, "type": text, "level": text}));
    json!({
        "type": "object",
        "properties": {
            "allowPrivilegeEscalation": flag,
            "allowedCSIDrivers": objects(json!({"name": text})),
            "allowedCapabilities": texts,
            "allowedFlexVolumes": objects(json!({"driver": text})),
            "allowedHostPaths": objects(json!({"pathPrefix": text, "readOnly": flag})),
            "allowedProcMountTypes": texts,
            "allowedUnsafeSysctls": texts,
            "defaultAddCapabilities": texts,
            "defaultAllowPrivilegeEscalation": flag,
            "forbiddenSysctls": texts,
            "fsGroup": rule,
            "hostIPC": flag,
            "hostNetwork": flag,
            "hostPID": flag,
            "hostPorts": range("int32"),
            "privileged": flag,
            "readOnlyRootFilesystem": flag,
            "requiredDropCapabilities": texts,
            "runAsGroup": rule,
            "runAsUser": rule,
            "runtimeClass": object(json!({
                "allowedRuntimeClassNames": texts, "defaultRuntimeClassName": text,
            })),
            "seLinux": object(json!({"rule": text, "seLinuxOptions": label})),
            "supplementalGroups": rule,
            "volumes": texts,
        },
    })
}
