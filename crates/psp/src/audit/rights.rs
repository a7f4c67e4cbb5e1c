//! Who may `use` what, as far as roles and bindings say it.

use serde_json::{Map, Value, json};

use crate::{GROUP, RESOURCE, USE};

/// Somebody to whom a binding gives rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject<'v> {
    pub(super) kind: &'v str,
    pub(super) name: &'v str,
    /// Of a ServiceAccount.
    pub(super) namespace: &'v str,
}

const ACCOUNTS: &str = "system:serviceaccounts";
const OF_NAMESPACE: &str = "system:serviceaccounts:";

/// Whether it is every user, every anonymous one, or every ServiceAccount of the cluster.
pub(super) fn is_everyone(subject: &Subject<'_>) -> bool {
    match subject.kind {
        "Group" => {
            ["system:authenticated", "system:unauthenticated", ACCOUNTS].contains(&subject.name)
        }
        "User" => subject.name == "system:anonymous",
        _ => false,
    }
}

impl Subject<'_> {
    /// Whether some ServiceAccount is among them. What everybody who is authenticated may do the
    /// controllers that make pods may do too.
    pub(super) fn reaches_accounts(&self) -> bool {
        self.kind == "ServiceAccount"
            || self.name.starts_with("system:serviceaccount")
            || self.name == "system:authenticated"
    }

    /// Whether whoever is `other` is this too.
    pub(super) fn includes(&self, other: &Subject<'_>) -> bool {
        if self == other {
            return true;
        }
        let group = self.kind == "Group";
        match other.kind {
            "ServiceAccount" => {
                group
                    && (self.name == ACCOUNTS
                        || self.name.strip_prefix(OF_NAMESPACE) == Some(other.namespace))
            }
            "Group" => group && self.name == ACCOUNTS && other.name.starts_with(OF_NAMESPACE),
            // Whoever has a name has shown who it is.
            "User" => {
                group && self.name == "system:authenticated" && other.name != "system:anonymous"
            }
            _ => false,
        }
    }
}

/// A right to use policies.
#[derive(Debug, Clone)]
pub(super) struct Grant<'v> {
    /// Which binding gives it.
    pub(super) binding: usize,
    pub(super) subject: Subject<'v>,
    /// Where; none is everywhere.
    pub(super) namespace: Option<&'v str>,
    /// Which policies; none is all.
    policies: Option<Vec<&'v str>>,
}

impl Grant<'_> {
    /// Whether it gives this policy.
    pub(super) fn gives(&self, policy: &str) -> bool {
        let listed = self.policies.as_ref();
        listed.is_none_or(|policies| policies.contains(&policy))
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let found = value.get(key).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

/// Every right that bindings give by roles that are there.
pub(super) fn grants<'v>(roles: &'v [Value], bindings: &'v [Value]) -> Vec<Grant<'v>> {
    let mut all = Vec::new();
    for (index, binding) in bindings.iter().enumerate() {
        let of_namespace = text(binding, "/kind") == "RoleBinding";
        let namespace = of_namespace.then(|| text(binding, "/metadata/namespace"));
        let (kind, name) = (
            text(binding, "/roleRef/kind"),
            text(binding, "/roleRef/name"),
        );
        let role = roles.iter().find(|role| {
            text(role, "/kind") == kind
                && text(role, "/metadata/name") == name
                && (kind != "Role" || Some(text(role, "/metadata/namespace")) == namespace)
        });
        let Some(role) = role else { continue };
        for rule in list(role, "rules") {
            let Some(policies) = policies_of(rule) else {
                continue;
            };
            for subject in list(binding, "subjects") {
                all.push(Grant {
                    binding: index,
                    subject: Subject {
                        kind: text(subject, "/kind"),
                        name: text(subject, "/name"),
                        namespace: text(subject, "/namespace"),
                    },
                    namespace,
                    policies: policies.clone(),
                });
            }
        }
    }
    all
}

/// Which policies a rule lets somebody use: `None` if none, `Some(None)` if all.
fn policies_of(rule: &Value) -> Option<Option<Vec<&str>>> {
    let has = |key: &str, wanted: &[&str]| {
        let mut listed = list(rule, key).iter().filter_map(Value::as_str);
        listed.any(|one| one == "*" || wanted.contains(&one))
    };
    let groups = ["policy", "extensions", GROUP];
    if !(has("verbs", &[USE]) && has("apiGroups", &groups) && has("resources", &[RESOURCE])) {
        return None;
    }
    let names = list(rule, "resourceNames");
    let named = names.iter().filter_map(Value::as_str).collect();
    Some((!names.is_empty()).then_some(named))
}

/// The binding without everybody, and with the administrators where one is named.
pub(super) fn without_everyone(binding: &Value, administrators: Option<&str>) -> Value {
    let mut subjects: Vec<Value> = list(binding, "subjects")
        .iter()
        .filter(|subject| {
            !is_everyone(&Subject {
                kind: text(subject, "/kind"),
                name: text(subject, "/name"),
                namespace: "",
            })
        })
        .cloned()
        .collect();
    if let Some(group) = administrators {
        let admins =
            json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group});
        if !subjects.contains(&admins) {
            subjects.push(admins);
        }
    }
    let mut metadata = Map::new();
    for key in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = binding
            .get("metadata")
            .and_then(|metadata| metadata.get(key))
        {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": binding.get("kind"),
        "metadata": metadata,
        "roleRef": binding.get("roleRef"),
        "subjects": subjects,
    })
}
