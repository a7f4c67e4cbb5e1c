//! The CustomResourceDefinition, written out: it is what administrators meet, and its CEL rules
//! and messages are worth reading as they are.

use bulkhead_model::{Capability, HostPathPrefix, Images, Profile, PullPolicy, labels};
use serde_json::{Value, json};

use crate::classes::{DefaultClass, class_list_schema};
use crate::limits::{MAX_HARD, MAX_LIMITS, TYPES};
use crate::nodes::nodes_schema;
use crate::parse::{MAX_CAPABILITIES, MAX_MEMBER_NAME, MAX_MEMBERS, MAX_ROLES, PRIVILEGED_IN_POOL};
use crate::parse::{MAX_HOST_PATHS, MAX_REGISTRIES, MAX_SECCOMP_PROFILES};
use crate::{KIND, MAX_NAME, REFUSED_CLUSTER_ROLES};

/// The CustomResourceDefinitions of Bulkhead, for server-side apply.
#[must_use]
pub fn crds() -> Vec<Value> {
    vec![
        tenants(),
        crate::ledger::crd(),
        crate::pod_security_policy::crd(),
    ]
}

fn tenants() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tenants.bulkhead.dev"},
        "spec": {
            "group": labels::GROUP,
            "scope": "Cluster",
            "names": {
                "kind": KIND,
                "listKind": "TenantList",
                "plural": "tenants",
                "singular": "tenant",
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Ready", r#".status.conditions[?(@.type=="Ready")].status"#, 0),
                    column("Reason", r#".status.conditions[?(@.type=="Ready")].reason"#, 0),
                    column("Profile", ".spec.podSecurity.profile", 0),
                    {"name": "Cordoned", "type": "boolean", "jsonPath": ".spec.cordoned"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    column("Message", r#".status.conditions[?(@.type=="Ready")].message"#, 1),
                ],
                "schema": {"openAPIV3Schema": tenant()},
            }],
        },
    })
}

/// The API server leaves out a priority of 0, and so must we: what is wanted is compared with
/// what is there.
fn column(name: &str, path: &str, priority: u8) -> Value {
    if priority == 0 {
        json!({"name": name, "type": "string", "jsonPath": path})
    } else {
        json!({"name": name, "type": "string", "jsonPath": path, "priority": priority})
    }
}

const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

fn tenant() -> Value {
    let prefix = |object: &str| {
        format!(
            "(has({object}.spec.namespaceOptions) && has({object}.spec.namespaceOptions.prefix) \
             ? {object}.spec.namespaceOptions.prefix : self.metadata.name + '-')"
        )
    };
    let (new, old) = (prefix("self"), prefix("oldSelf"));
    json!({
        "type": "object",
        "description": "A party that shares the cluster with others and is kept apart from them.",
        "required": ["spec"],
        "x-kubernetes-validations": [
            {
                "rule": format!(
                    "self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('^{DNS_LABEL}$')"
                ),
                "message": format!("metadata.name: expected at most {MAX_NAME} characters of a-z, 0-9 and `-`, starting and ending with a letter or digit"),
            },
            {
                "rule": "!(self.metadata.name + '-').startsWith('kube-') && !(self.metadata.name + '-').startsWith('bulkhead-')",
                "message": "metadata.name: names of Kubernetes and Bulkhead are taken",
            },
            {
                "rule": format!("{new} == {old}"),
                "message": "the prefix cannot change: namespaces carry it in their names",
                "fieldPath": ".spec.namespaceOptions.prefix",
            },
        ],
        "properties": {"spec": spec(), "status": status()},
    })
}

fn spec() -> Value {
    json!({
        "type": "object",
        "description": "What the platform grants the tenant.",
        "x-kubernetes-validations": [{
            "rule": "!has(self.podSecurity) || !has(self.podSecurity.profile) || self.podSecurity.profile != 'Privileged' || (has(self.tier) && self.tier == 'Silo')",
            "message": PRIVILEGED_IN_POOL,
            "fieldPath": ".podSecurity.profile",
        }, {
            "rule": "!has(self.members) || self.members.all(m, m.role in ['Admin', 'Developer', 'Viewer'] || (has(self.roles) && self.roles.exists(r, r.name == m.role)))",
            "message": "each member's role must be Admin, Developer, Viewer, or the name of one of `spec.roles`",
            "fieldPath": ".members",
        }],
        "properties": {
            "tier": {
                "type": "string",
                "description": "Pool: the tenant shares the cluster with others. Silo: the cluster is the tenant's own, and the administrator's word for it; only then may its pods be Privileged.",
                "enum": ["Pool", "Silo"],
                "default": "Pool",
            },
            "members": members(),
            "roles": roles(),
            "namespaceOptions": {
                "type": "object",
                "description": "The tenant's namespaces.",
                "properties": {"prefix": {
                    "type": "string",
                    "description": "What the names of the tenant's namespaces start with. Defaults to the tenant's name and `-`. No two tenants' prefixes may overlap (`acme-` and `acme-prod-` do).",
                    "maxLength": MAX_NAME + 1,
                    "pattern": format!("^{DNS_LABEL}-$"),
                    "x-kubernetes-validations": [{
                        "rule": "!self.startsWith('kube-') && !self.startsWith('bulkhead-')",
                        "message": "names of Kubernetes and Bulkhead are taken",
                    }],
                }},
            },
            "nodes": nodes_schema(),
            "podSecurity": pod_security(),
            "priorityClasses": class_list_schema("PriorityClasses that pods may name. A class whose name starts with `system-` must be listed: no pattern gives it.", DefaultClass::Settable),
            "deviceClasses": class_list_schema("DeviceClasses that ResourceClaims may name.", DefaultClass::Never),
            "serviceAccounts": crate::identity::schema(),
            "network": crate::network::schema(),
            "images": images(),
            "services": crate::exposure::services_schema(),
            "hostnames": crate::exposure::hostnames_schema(),
            "ingressClasses": class_list_schema("IngressClasses that Ingresses may name. Without a list, any.", DefaultClass::Never),
            "gatewayClasses": class_list_schema("GatewayClasses of which the tenant may have Gateways of its own. Without a list, none.", DefaultClass::Never),
            "storageClasses": class_list_schema("StorageClasses and VolumeAttributesClasses that claims may name. Without a list, any.", DefaultClass::Never),
            "resources": resources(),
            "cordoned": {
                "type": "boolean",
                "description": "A cordoned tenant keeps what runs, reads, and changes nothing.",
                "default": false,
            },
        },
    })
}

fn members() -> Value {
    json!({
        "type": "array",
        "description": "Who acts for the tenant.",
        "maxItems": MAX_MEMBERS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["kind", "name"],
        "items": {
            "type": "object",
            "required": ["kind", "name", "role"],
            "x-kubernetes-validations": [
                {
                    "rule": "!self.name.startsWith('system:') && !self.name.startsWith('bulkhead:')",
                    "message": "identities of the API server and of Bulkhead are no members; a ServiceAccount is named by kind `ServiceAccount` and `namespace/name`",
                    "fieldPath": ".name",
                },
                {
                    "rule": format!("self.kind != 'ServiceAccount' || self.name.matches('^{DNS_LABEL}/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')"),
                    "message": "a ServiceAccount is named `namespace/name`",
                    "fieldPath": ".name",
                },
            ],
            "properties": {
                "kind": {"type": "string", "enum": ["User", "Group", "ServiceAccount"]},
                "name": {
                    "type": "string",
                    "description": "As the gateway's authentication has it; `namespace/name` for a ServiceAccount.",
                    "minLength": 1,
                    "maxLength": MAX_MEMBER_NAME,
                    "pattern": r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$",
                },
                "role": {
                    "type": "string",
                    "description": "Admin, Developer, Viewer, or the name of one of `spec.roles`.",
                    "maxLength": MAX_NAME,
                    "pattern": format!("^(Admin|Developer|Viewer|{DNS_LABEL})$"),
                },
            },
        },
    })
}

fn roles() -> Value {
    let refused = REFUSED_CLUSTER_ROLES
        .map(|role| format!("'{role}'"))
        .join(", ");
    json!({
        "type": "array",
        "description": "Roles beside Admin, Developer and Viewer.",
        "maxItems": MAX_ROLES,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name", "clusterRole"],
            "properties": {
                "name": {
                    "type": "string",
                    "maxLength": MAX_NAME,
                    "pattern": format!("^{DNS_LABEL}$"),
                    "x-kubernetes-validations": [{
                        "rule": "!(self in ['admin', 'developer', 'viewer'])",
                        "message": "this is the name of a built-in role",
                    }],
                },
                "clusterRole": {
                    "type": "string",
                    "description": "The ClusterRole that is bound in each of the tenant's namespaces. The controller must be allowed to bind it: see the ClusterRole bulkhead-controller-roles.",
                    "minLength": 1,
                    "maxLength": 253,
                    "pattern": "^[^/%\\s]+$",
                    "x-kubernetes-validations": [{
                        "rule": format!("!(self in [{refused}]) && !self.startsWith('system:') && (!self.startsWith('bulkhead-') || self.startsWith('bulkhead-tenant-'))"),
                        "message": "this ClusterRole holds more than a tenant may have; name a role of your own",
                    }],
                },
            },
        },
    })
}

fn pod_security() -> Value {
    let never = Capability::NEVER
        .map(|capability| format!("'{capability}'"))
        .join(", ");
    json!({
        "type": "object",
        "description": "What the tenant's pods are held to.",
        "default": {},
        "properties": {
            "profile": {
                "type": "string",
                "description": "Strict: for tenants that nobody trusts. Restricted, Baseline: Kubernetes' Pod Security Standards, exactly. Privileged: no limit on what a pod does to its node, for tier Silo only.",
                "enum": Profile::ALL,
                "default": Profile::default(),
            },
            "runtimeClasses": runtime_classes(),
            "allowedHostPaths": host_paths(),
            "allowedSeccompProfiles": {
                "type": "array",
                "description": "Seccomp profiles of type Localhost that Strict pods may name: paths below the kubelet's folder `seccomp`.",
                "maxItems": MAX_SECCOMP_PROFILES,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 253,
                    "pattern": "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
                    "x-kubernetes-validations": [{
                        "rule": "!self.split('/').exists(part, part == '.' || part == '..')",
                        "message": "expected the path of a file below the kubelet's folder `seccomp`",
                    }],
                },
            },
            "allowedCapabilities": {
                "type": "array",
                "description": "Capabilities that containers may add, such as NET_BIND_SERVICE.",
                "maxItems": MAX_CAPABILITIES,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 64,
                    "pattern": "^[A-Z0-9_]+$",
                    "x-kubernetes-validations": [{
                        "rule": format!("!(self in [{never}]) && !self.startsWith('CAP_')"),
                        "message": "expected a capability without `CAP_`, and none of SYS_ADMIN, NET_ADMIN, ALL",
                    }],
                },
            },
            "userNamespaces": {
                "type": "string",
                "description": "Whether pods have a user namespace of their own (`hostUsers: false`). Optional: as their authors say. Preferred: unless their authors say otherwise, where the cluster serves it. Required: always.",
                "enum": ["Optional", "Preferred", "Required"],
                "default": "Optional",
            },
            "selinuxLevel": {
                "type": "string",
                "description": "Who chooses pods' SELinux levels; tenants never do. Runtime: the container runtime, at random. PerTenant: one pair of categories for all pods of the tenant, so that they share volumes, that no other tenant has.",
                "enum": ["Runtime", "PerTenant"],
                "default": "Runtime",
            },
        },
    })
}

fn runtime_classes() -> Value {
    let text = "RuntimeClasses that pods may name.";
    let mut schema = class_list_schema(text, DefaultClass::Settable);
    if let Some(properties) = schema
        .pointer_mut("/properties")
        .and_then(Value::as_object_mut)
    {
        let required = json!({
            "type": "boolean",
            "description": "Whether every pod must name one, such as a sandboxed runtime for a tenant that plain containers do not keep in.",
            "default": false,
        });
        properties.insert("required".to_owned(), required);
    }
    schema
}

fn host_paths() -> Value {
    let never = HostPathPrefix::NEVER
        .map(|path| format!("'{path}'"))
        .join(", ");
    json!({
        "type": "array",
        "description": "Folders of the nodes that pods may mount, read-only.",
        "maxItems": MAX_HOST_PATHS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["pathPrefix"],
        "items": {
            "type": "object",
            "required": ["pathPrefix"],
            "properties": {"pathPrefix": {
                "type": "string",
                "description": "The folder, with all that is below it.",
                "maxLength": HostPathPrefix::MAX,
                "pattern": r"^(/[^/\x00]+)+$",
                "x-kubernetes-validations": [
                    {
                        "rule": "!self.matches('/[.]{1,2}(/|$)')",
                        "message": "expected an absolute path without `.` and `..`",
                    },
                    {
                        "rule": format!("![{never}].exists(n, self == n || self.startsWith(n + '/') || n.startsWith(self + '/'))"),
                        "message": "this path is, holds or lies in what keeps other tenants' Secrets, the node's credentials, processes or sockets",
                    },
                ],
            }},
        },
    })
}

fn images() -> Value {
    json!({
        "type": "object",
        "description": "Images that the tenant's pods run.",
        "default": {},
        "properties": {
            "allowedRegistries": {
                "type": "array",
                "description": "Registries, or parts of them: `registry.example/team`, `docker.io/library`. Any if empty.",
                "maxItems": MAX_REGISTRIES,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": r"^(localhost|[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+|[a-z0-9][a-z0-9.-]*:[0-9]+|localhost:[0-9]+|\[[0-9a-f:]+\](:[0-9]+)?)(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$",
                },
            },
            "pullPolicies": {
                "type": "array",
                "description": "Pull policies that containers may have. IfNotPresent runs images that are on the node already, whoever brought them; Never runs only such.",
                "minItems": 1,
                "maxItems": PullPolicy::ALL.len(),
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "enum": PullPolicy::ALL},
                "default": Images::default().pull_policies,
            },
        },
    })
}

fn resources() -> Value {
    let quantities = |most: usize| {
        json!({
            "type": "object",
            "maxProperties": most,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$",
            },
        })
    };
    json!({
        "type": "object",
        "description": "Computing resources.",
        "properties": {"quota": {
            "type": "object",
            "description": "What the tenant may use over all its namespaces together.",
            "required": ["hard"],
            "properties": {"hard": described(quantities(MAX_HARD), "The limit of each resource, named as ResourceQuota names them: `pods`, `requests.cpu`, `limits.memory`, `requests.nvidia.com/gpu`, `requests.storage`, `<class>.storageclass.storage.k8s.io/requests.storage`, `services.loadbalancers`, `count/deployments.apps`. Secrets cannot be counted: Bulkhead reads none.")},
        }, "limitRange": {
            "type": "object",
            "description": "The LimitRange in each namespace. Without it, containers get moderate defaults for cpu, memory and ephemeral storage.",
            "required": ["limits"],
            "properties": {"limits": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_LIMITS,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["type"],
                    "x-kubernetes-validations": [
                        {
                            "rule": "self.type == 'Container' || (!has(self.default) && !has(self.defaultRequest))",
                            "message": "only a limit of type `Container` has defaults",
                        },
                    ],
                    "properties": {
                        "type": {"type": "string", "enum": TYPES},
                        "min": quantities(32),
                        "defaultRequest": quantities(32),
                        "default": quantities(32),
                        "max": quantities(32),
                        "maxLimitRequestRatio": quantities(32),
                    },
                },
            }},
        }},
    })
}

fn described(mut schema: Value, words: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), words.into());
    }
    schema
}

fn status() -> Value {
    json!({
        "type": "object",
        "description": "What the controller found and did.",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                    "properties": {
                        "type": {"type": "string", "maxLength": 316},
                        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                        "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                        "message": {"type": "string", "maxLength": 32768},
                        "lastTransitionTime": {"type": "string", "format": "date-time"},
                        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                    },
                },
            },
            "ranges": {
                "type": "object",
                "description": "What is the tenant's alone, as the ledger has it. A copy: nothing is decided by it.",
                "properties": {
                    "uid": {"type": "string", "maxLength": 32, "description": "Users of the tenant's pods, from the first to the last."},
                    "gid": {"type": "string", "maxLength": 32, "description": "Groups of the tenant's pods, from the first to the last."},
                    "selinux": {"type": "string", "maxLength": 32, "description": "The SELinux level of the tenant's pods, for the choice PerTenant."},
                },
            },
            "usage": {
                "type": "object",
                "description": "What of each limit is in use, over all namespaces. A copy of the ledger that follows within seconds: nothing is decided by it.",
                "additionalProperties": {
                    "type": "object",
                    "required": ["hard"],
                    "properties": {
                        "used": {"type": "string", "maxLength": 64, "description": "How much there is. Absent while nobody has counted."},
                        "hard": {"type": "string", "maxLength": 64, "description": "The limit."},
                    },
                },
            },
            "nodes": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name", "ready"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 253},
                        "ready": {
                            "type": "boolean",
                            "description": "Whether it is the tenant's alone: marked, and without pods of others.",
                        },
                        "message": {"type": "string", "maxLength": 4096},
                    },
                },
            },
            "namespaces": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name", "isolated"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 63},
                        "isolated": {
                            "type": "boolean",
                            "description": "Whether all that isolates it was read back, so that it takes pods.",
                        },
                        "message": {"type": "string", "maxLength": 4096},
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crd_is_what_people_read() {
        let text: Vec<String> = crds()
            .iter()
            .map(|crd| serde_norway::to_string(crd).unwrap())
            .collect();
        insta::assert_snapshot!(text.join("---\n"));
    }

    /// The schema and the parser know the same fields: what one refuses, the other does not take.
    #[test]
    fn every_field_of_the_schema_is_known_to_the_parser() {
        fn walk(schema: &Value, path: &str, out: &mut Vec<String>) {
            if let Some(fields) = schema["properties"].as_object() {
                for (name, schema) in fields {
                    let path = format!("{path}/{name}");
                    out.push(path.clone());
                    walk(schema, &path, out);
                }
            }
            if schema["items"].is_object() {
                walk(&schema["items"], &format!("{path}/0"), out);
            }
        }
        let mut paths = Vec::new();
        walk(&spec(), "", &mut paths);
        assert!(paths.len() > 20);
        for path in paths {
            // A value of no use anywhere: an unknown field would be called unknown.
            let mut value = json!(-1);
            for key in path.rsplit('/').filter(|key| !key.is_empty()) {
                value = if key == "0" {
                    json!([value])
                } else {
                    json!({key: value})
                };
            }
            let object = json!({"spec": value});
            let errors = crate::parse_tenant(&object).unwrap_err();
            assert!(
                !errors
                    .iter()
                    .any(|e| e.message.starts_with("unknown field")),
                "{path}: {errors:?}"
            );
        }
    }
}
