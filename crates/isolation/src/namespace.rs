//! What stands on, and in, each namespace of a tenant.

use std::collections::BTreeMap;

use bulkhead_model::tenant::CustomRole;
use bulkhead_model::{Capability, NamespaceName, Profile, Role, Tenant, labels};
use serde_json::{Value, json};

use crate::{RBAC, RBAC_V1, labels_of, network};

/// The usual label that names who manages an object; ours is `bulkhead`. The controller finds
/// by it, and by [`labels::TENANT`], what it once made and wants no more.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// The Namespace object to apply. Applied so, it is closed to pods: [`labels::ISOLATED`] is
    /// missing. The controller adds it once it has read everything back.
    #[must_use]
    pub fn namespace(&self, name: &NamespaceName) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": self.labels, "annotations": self.annotations},
        })
    }
}

/// What the controller writes on each namespace of a tenant, without [`labels::ISOLATED`].
#[must_use]
pub fn namespace_metadata(tenant: &Tenant) -> Metadata {
    let text = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let rules = tenant.rules();
    let mut annotations: BTreeMap<String, String> =
        text(&[(labels::PREFIX, tenant.prefix.as_str())]);
    annotations.insert(labels::RULES.to_owned(), json!(rules).to_string());
    if tenant.cordoned {
        annotations.insert(labels::CORDONED.to_owned(), "true".to_owned());
    }
    Metadata {
        labels: text(&[
            (labels::TENANT, tenant.name.as_str()),
            (labels::TENANT_UID, tenant.uid.as_str()),
            (
                "pod-security.kubernetes.io/enforce",
                pod_security_level(tenant),
            ),
            (
                "pod-security.kubernetes.io/enforce-version",
                &rules.standards.to_string(),
            ),
            // Left out, it would follow `enforce`, and warn of templates whose pods are mended.
            ("pod-security.kubernetes.io/warn", "privileged"),
        ]),
        annotations,
    }
}

/// The strictest level that refuses nothing that the tenant's rules allow: Pod Security
/// Admission is a second line and must not contradict the first.
fn pod_security_level(tenant: &Tenant) -> &'static str {
    let security = &tenant.pod_security;
    let adds_only = |level: &[&str]| {
        let mut allowed = security.allowed_capabilities.iter();
        allowed.all(|capability| level.contains(&capability.as_str()))
    };
    // What some node's folder is at stake, no level but the last allows.
    if !security.allowed_host_paths.is_empty() {
        return "privileged";
    }
    match security.profile {
        Profile::Strict | Profile::Restricted if adds_only(&["NET_BIND_SERVICE"]) => "restricted",
        Profile::Strict | Profile::Restricted | Profile::Baseline
            if adds_only(&Capability::BASELINE) =>
        {
            "baseline"
        }
        _ => "privileged",
    }
}

/// What stands in each namespace of a tenant: a RoleBinding for each of its roles, the
/// NetworkPolicy if it is isolated, and the LimitRange.
///
/// A tenant that is being deleted gets no RoleBindings: nothing of it stays reachable.
#[must_use]
pub fn namespace_objects(tenant: &Tenant, namespace: &NamespaceName) -> Vec<Value> {
    let mut objects = Vec::new();
    if !tenant.deleting {
        objects.extend(
            tenant
                .all_roles()
                .map(|role| role_binding(tenant, &role, namespace)),
        );
    }
    objects.extend(network::isolation(tenant, namespace));
    if !tenant.quota.is_empty() {
        // The second line: not even one namespace alone gets beyond what the tenant may use.
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {
                "name": "bulkhead-quota",
                "namespace": namespace,
                "labels": labels_of(tenant),
            },
            "spec": {"hard": tenant.quota},
        }));
    }
    if !tenant.limits.is_empty() {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {
                "name": "bulkhead-limits",
                "namespace": namespace,
                "labels": labels_of(tenant),
            },
            "spec": {"limits": tenant.limits},
        }));
    }
    objects
}

/// What a tenant has in Bulkhead's own namespace: the right that vouches for namespaces which
/// it creates. The resource is virtual; the guard of namespaces asks for the right by a name
/// made of the tenant, its UID and its prefix. A tenant that is cordoned or being deleted has
/// none, so it creates no namespaces.
#[must_use]
pub fn tenant_objects(tenant: &Tenant) -> Vec<Value> {
    if tenant.cordoned || tenant.deleting {
        return Vec::new();
    }
    let metadata = json!({
        "name": format!("bulkhead-claims-{}", tenant.name),
        "namespace": labels::SYSTEM_NAMESPACE,
        "labels": labels_of(tenant),
    });
    vec![
        json!({
            "apiVersion": RBAC_V1,
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": [labels::GROUP],
                "resources": ["namespaceclaims"],
                "verbs": ["create"],
                "resourceNames": [format!("{}:{}:{}", tenant.name, tenant.uid, tenant.prefix)],
            }],
        }),
        json!({
            "apiVersion": RBAC_V1,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {
                "apiGroup": RBAC, "kind": "Role", "name": format!("bulkhead-claims-{}", tenant.name),
            },
            "subjects": [subject(tenant, &Role::Admin)],
        }),
    ]
}

/// A custom role's ClusterRole is part of the binding's name, because a binding's role cannot be
/// changed in place.
fn role_binding(tenant: &Tenant, role: &Role, namespace: &NamespaceName) -> Value {
    let custom: Option<&CustomRole> = match role {
        Role::Custom(name) => tenant.roles.iter().find(|role| role.name == *name),
        _ => None,
    };
    let name = role.name();
    let (name, cluster_role) = match custom {
        Some(role) => (
            format!("bulkhead-{name}.{}", role.cluster_role),
            role.cluster_role.clone(),
        ),
        None => (
            format!("bulkhead-{name}"),
            format!("bulkhead-tenant-{name}"),
        ),
    };
    json!({
        "apiVersion": RBAC_V1,
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace, "labels": labels_of(tenant)},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": cluster_role},
        "subjects": [subject(tenant, role)],
    })
}

fn subject(tenant: &Tenant, role: &Role) -> Value {
    json!({"apiGroup": RBAC, "kind": "User", "name": tenant.user(role).to_string()})
}
