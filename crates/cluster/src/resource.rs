//! Which path a kind lives under.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

use crate::error::ClusterError;

/// A kind with its group and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// `apiVersion`, such as `rbac.authorization.k8s.io/v1`.
    pub api_version: String,
    /// `kind`, such as `Role`.
    pub kind: String,
}

impl Kind {
    /// A kind by its `apiVersion` and `kind`.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// Bulkhead's Tenant.
    #[must_use]
    pub fn tenant() -> Self {
        Self::new("bulkhead.dev/v1alpha1", "Tenant")
    }

    /// An entry of Bulkhead's ledger.
    #[must_use]
    pub fn ledger_entry() -> Self {
        Self::new("bulkhead.dev/v1alpha1", "LedgerEntry")
    }

    /// A PodSecurityPolicy of Bulkhead's group.
    #[must_use]
    pub fn pod_security_policy() -> Self {
        Self::new("bulkhead.dev/v1alpha1", "PodSecurityPolicy")
    }

    /// The core Namespace.
    #[must_use]
    pub fn namespace() -> Self {
        Self::new("v1", "Namespace")
    }

    /// The core ConfigMap.
    #[must_use]
    pub fn config_map() -> Self {
        Self::new("v1", "ConfigMap")
    }

    /// The kind of an object.
    ///
    /// # Errors
    /// If `apiVersion` or `kind` is missing.
    pub fn of(object: &Value) -> Result<Self, ClusterError> {
        let field = |name: &str| {
            object
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| ClusterError::Object {
                    problem: format!("`{name}` is missing"),
                })
        };
        Ok(Self::new(field("apiVersion")?, field("kind")?))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.api_version)
    }
}

/// One object, by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; none for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// A cluster-scoped object.
    #[must_use]
    pub fn cluster(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            namespace: None,
            name: name.to_owned(),
        }
    }

    /// An object in a namespace.
    #[must_use]
    pub fn namespaced(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The reference to an object.
    ///
    /// # Errors
    /// If `apiVersion`, `kind` or `metadata.name` is missing.
    pub fn of(object: &Value) -> Result<Self, ClusterError> {
        let metadata = |field: &str| {
            object
                .pointer(&format!("/metadata/{field}"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Ok(Self {
            kind: Kind::of(object)?,
            namespace: metadata("namespace"),
            name: metadata("name").ok_or_else(|| ClusterError::Object {
                problem: "`metadata.name` is missing".to_owned(),
            })?,
        })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} `{namespace}/{}`", self.kind.kind, self.name),
            None => write!(f, "{} `{}`", self.kind.kind, self.name),
        }
    }
}

/// How the API server calls a kind in paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

impl Resource {
    /// The path of one object.
    pub(crate) fn object_path(&self, object: &ObjectRef) -> Result<String, ClusterError> {
        let namespace = match (&object.namespace, self.namespaced) {
            (Some(namespace), true) => Some(namespace.as_str()),
            (None, false) => None,
            (None, true) => {
                return Err(ClusterError::Object {
                    problem: format!("{object} has no `metadata.namespace`, which its kind needs"),
                });
            }
            (Some(_), false) => {
                return Err(ClusterError::Object {
                    problem: format!("{object} has a `metadata.namespace`, but its kind has none"),
                });
            }
        };
        let name = segment(&object.name)?;
        Ok(format!(
            "{}/{name}",
            self.collection_path(&object.kind, namespace)?
        ))
    }

    /// The path of all objects, or of those in one namespace.
    pub(crate) fn collection_path(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<String, ClusterError> {
        let root = group_path(&kind.api_version)?;
        let plural = segment(&self.plural)?;
        match namespace {
            Some(namespace) if self.namespaced => Ok(format!(
                "{root}/namespaces/{}/{plural}",
                segment(namespace)?
            )),
            Some(_) => Err(ClusterError::Object {
                problem: format!("{kind} has no namespaces"),
            }),
            None => Ok(format!("{root}/{plural}")),
        }
    }
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub(crate) fn group_path(api_version: &str) -> Result<String, ClusterError> {
    match api_version.split_once('/') {
        None => Ok(format!("/api/{}", segment(api_version)?)),
        Some((group, version)) => Ok(format!("/apis/{}/{}", segment(group)?, segment(version)?)),
    }
}

/// A name as one path segment. Names that would have to be escaped are no names: a `/` or a
/// `..` that slipped through would address another object.
fn segment(name: &str) -> Result<&str, ClusterError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if !name.is_empty() && name.bytes().all(legal) && name.bytes().any(|b| b != b'.') {
        Ok(name)
    } else {
        Err(ClusterError::Object {
            problem: format!("`{name}` cannot stand in a path"),
        })
    }
}

/// The kinds that we apply, so that neither an installation nor a reconciler waits for
/// discovery: (apiVersion, kind, plural, namespaced).
const BUILT_IN: &[(&str, &str, &str, bool)] = &[
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "LimitRange", "limitranges", true),
    (
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        true,
    ),
    ("v1", "PersistentVolume", "persistentvolumes", false),
    ("v1", "Pod", "pods", true),
    ("v1", "PodTemplate", "podtemplates", true),
    ("v1", "ResourceQuota", "resourcequotas", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("coordination.k8s.io/v1", "Lease", "leases", true),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        true,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "clusterroles",
        false,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "rolebindings",
        true,
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        false,
    ),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    ("bulkhead.dev/v1alpha1", "Tenant", "tenants", false),
    (
        "bulkhead.dev/v1alpha1",
        "LedgerEntry",
        "ledgerentries",
        false,
    ),
];

/// What is known of kinds: the built-in table, and what discovery has said.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    discovered: RwLock<BTreeMap<Kind, Resource>>,
}

impl Resources {
    /// The resource of a kind, if it is known without asking.
    pub(crate) fn known(&self, kind: &Kind) -> Option<Resource> {
        BUILT_IN
            .iter()
            .find(|(api_version, name, ..)| *api_version == kind.api_version && *name == kind.kind)
            .map(|(_, _, plural, namespaced)| Resource {
                plural: (*plural).to_owned(),
                namespaced: *namespaced,
            })
            .or_else(|| {
                let discovered = self
                    .discovered
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                discovered.get(kind).cloned()
            })
    }

    /// Remembers a group's APIResourceList.
    pub(crate) fn learn(&self, api_version: &str, list: &Value) {
        let found = parse_resources(list).into_iter().map(|(kind, resource)| {
            (
                Kind {
                    api_version: api_version.to_owned(),
                    kind,
                },
                resource,
            )
        });
        self.discovered
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(found);
    }
}

/// Kinds and their resources, without subresources.
fn parse_resources(list: &Value) -> Vec<(String, Resource)> {
    let entries = list
        .get("resources")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    entries
        .iter()
        .filter_map(|entry| {
            let plural = entry
                .get("name")?
                .as_str()
                .filter(|name| !name.contains('/'))?;
            let kind = entry.get("kind")?.as_str()?;
            let namespaced = entry.get("namespaced")?.as_bool()?;
            Some((
                kind.to_owned(),
                Resource {
                    plural: plural.to_owned(),
                    namespaced,
                },
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<String> {
        let kind = Kind::new(api_version, kind);
        let resource = Resources::default().known(&kind)?;
        let namespace = namespace.map(str::to_owned);
        resource
            .object_path(&ObjectRef {
                kind,
                namespace,
                name: name.to_owned(),
            })
            .ok()
    }

    #[test]
    fn paths_of_objects() {
        let rbac = "rbac.authorization.k8s.io/v1";
        for (got, expected) in [
            (
                path("v1", "Namespace", None, "acme"),
                Some("/api/v1/namespaces/acme"),
            ),
            (
                path("v1", "LimitRange", Some("a"), "l"),
                Some("/api/v1/namespaces/a/limitranges/l"),
            ),
            (
                path(rbac, "ClusterRole", None, "system:x"),
                Some("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:x"),
            ),
            (path(rbac, "Role", None, "r"), None),
            (path(rbac, "ClusterRole", Some("a"), "r"), None),
            (path("v2", "Namespace", None, "acme"), None),
        ] {
            assert_eq!(got.as_deref(), expected);
        }
    }

    #[test]
    fn a_name_cannot_address_another_object() {
        for bad in ["", ".", "..", "a/b", "a%2fb", "a?x=1", "a#b", "a b", "ä"] {
            assert_eq!(path("v1", "Namespace", None, bad), None, "{bad:?}");
            assert_eq!(path("v1", "LimitRange", Some(bad), "l"), None, "{bad:?}");
        }
    }

    #[test]
    fn discovery_skips_subresources() {
        let resources = Resources::default();
        let list = json!({"resources": [
            {"name": "widgets/status", "kind": "Widget", "namespaced": false},
            {"name": "widgets", "kind": "Widget", "namespaced": true},
            {"name": "broken", "kind": "Broken"},
        ]});
        resources.learn("x.dev/v1", &list);
        let widget = resources.known(&Kind::new("x.dev/v1", "Widget"));
        assert_eq!(
            widget,
            Some(Resource {
                plural: "widgets".to_owned(),
                namespaced: true
            })
        );
        assert_eq!(resources.known(&Kind::new("x.dev/v1", "Broken")), None);
        assert_eq!(resources.known(&Kind::new("x.dev/v2", "Widget")), None);
    }
}
