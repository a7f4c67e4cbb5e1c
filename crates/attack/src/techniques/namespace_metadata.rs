//! Every way to change what makes a namespace a tenant's: what is changed, by which request, by
//! whom.

use bulkhead_model::labels;
use serde_json::{Map, Value, json};

use super::synthetic::almighty;
use super::{APPLY, JSON_PATCH, MERGE, STRATEGIC};
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// What is changed.
struct Change {
    name: &'static str,
    /// Completes "… of its own namespace".
    does: &'static str,
    theorem: Theorem,
    /// The field of the metadata.
    field: &'static str,
    /// The key in it; empty for lists.
    key: &'static str,
    /// The new value; null takes it away.
    value: fn(&Field) -> Value,
}

#[rustfmt::skip]
const CHANGES: &[Change] = &[
    Change { name: "tenant", does: "gives the namespace to another tenant", theorem: Theorem::T4, field: "labels", key: labels::TENANT, value: |f| json!(f.victim.tenant) },
    Change { name: "no-tenant", does: "takes the tenant's label off", theorem: Theorem::T4, field: "labels", key: labels::TENANT, value: |_| Value::Null },
    Change { name: "uid", does: "names another Tenant object's UID", theorem: Theorem::T4, field: "labels", key: labels::TENANT_UID, value: |f| json!(f.victim.uid) },
    Change { name: "new-label", does: "adds a label of Bulkhead's that is not there yet", theorem: Theorem::T4, field: "labels", key: "deep.bulkhead.dev/attack", value: |_| json!("x") },
    Change { name: "psa", does: "loosens Pod Security Admission", theorem: Theorem::T2, field: "labels", key: "pod-security.kubernetes.io/enforce", value: |_| json!("privileged") },
    Change { name: "device-admin", does: "gives its namespace administrators' access to devices", theorem: Theorem::T2, field: "labels", key: "resource.kubernetes.io/admin-access", value: |_| json!("true") },
    Change { name: "tolerations", does: "has every pod of the namespace tolerate every node", theorem: Theorem::T2, field: "annotations", key: "scheduler.alpha.kubernetes.io/defaultTolerations", value: |_| json!("[{\"operator\":\"Exists\"}]") },
    Change { name: "gateways", does: "has the network lead the namespace's traffic through another's gateway", theorem: Theorem::T2, field: "annotations", key: "k8s.ovn.org/routing-external-gws", value: |_| json!("192.0.2.1") },
    Change { name: "uncordon", does: "says whether it is cordoned", theorem: Theorem::T5, field: "annotations", key: labels::CORDONED, value: |_| json!("false") },
    Change { name: "rules", does: "loosens the tenant's rules", theorem: Theorem::T2, field: "annotations", key: labels::RULES, value: |_| json!("{}") },
    Change { name: "isolated", does: "marks the namespace as isolated for another tenant", theorem: Theorem::T2, field: "annotations", key: labels::ISOLATED, value: |f| json!(f.victim.uid) },
    Change { name: "prefix", does: "changes the prefix that the namespace was created under", theorem: Theorem::T4, field: "annotations", key: labels::PREFIX, value: |_| json!("kube-") },
    Change { name: "finalizer", does: "adds a finalizer so that the namespace cannot go", theorem: Theorem::T5, field: "finalizers", key: "", value: |_| json!(["attack.example/stay"]) },
    Change { name: "owner", does: "adds an owner with which garbage collection would delete the namespace", theorem: Theorem::T4, field: "ownerReferences", key: "", value: owner },
];

/// An owner that exists, so that an attack which succeeds can be undone.
fn owner(field: &Field) -> Value {
    let victim = &field.victim;
    let uid = victim.object.pointer("/metadata/uid");
    json!([{"apiVersion": "v1", "kind": "Namespace", "name": victim.namespace, "uid": uid}])
}

impl Change {
    /// A merge patch that makes the change.
    fn patch(&self, field: &Field) -> Value {
        let value = (self.value)(field);
        let inner = if self.key.is_empty() {
            value
        } else {
            json!({(self.key): value})
        };
        json!({"metadata": {(self.field): inner}})
    }

    /// The whole object with the change made.
    fn object(&self, field: &Field) -> Value {
        let mut object = field.attacker.object.clone();
        let value = (self.value)(field);
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
            if self.key.is_empty() {
                metadata.insert(self.field.into(), value);
            } else if let Value::Object(map) = metadata
                .entry(self.field)
                .or_insert_with(|| json!(Map::new()))
            {
                if value.is_null() {
                    map.remove(self.key)
                } else {
                    map.insert(self.key.into(), value)
                };
            }
        }
        object
    }

    fn json_patch(&self, field: &Field) -> Value {
        let value = (self.value)(field);
        let escaped = self.key.replace('~', "~0").replace('/', "~1");
        match (self.key.is_empty(), value.is_null()) {
            (true, _) => {
                json!([{"op": "add", "path": format!("/metadata/{}", self.field), "value": value}])
            }
            (false, true) => {
                json!([{"op": "remove", "path": format!("/metadata/{}/{escaped}", self.field)}])
            }
            (false, false) => {
                json!([{"op": "add", "path": format!("/metadata/{}/{escaped}", self.field), "value": value}])
            }
        }
    }

    /// Server-side apply cannot take away what others have set.
    fn can_apply(&self) -> bool {
        self.name != "no-tenant"
    }
}

/// The request that makes it.
#[derive(Clone, Copy, PartialEq)]
enum Means {
    Update,
    Merge,
    Strategic,
    Json,
    Apply,
    StatusUpdate,
    StatusMerge,
    StatusJson,
    StatusApply,
    Finalize,
}

const MEANS: &[(Means, &str)] = &[
    (Means::Update, "update"),
    (Means::Merge, "merge"),
    (Means::Strategic, "strategic"),
    (Means::Json, "json"),
    (Means::Apply, "apply"),
    (Means::StatusUpdate, "status-update"),
    (Means::StatusMerge, "status-merge"),
    (Means::StatusJson, "status-json"),
    (Means::StatusApply, "status-apply"),
    (Means::Finalize, "finalize"),
];

fn request(change: &Change, means: Means, field: &Field) -> Request {
    let path = field.fill("/api/v1/namespaces/{own}");
    let status = format!("{path}/status");
    let applied = || {
        let mut object = change.patch(field);
        if let Value::Object(map) = &mut object {
            map.insert("apiVersion".into(), json!("v1"));
            map.insert("kind".into(), json!("Namespace"));
        }
        object
    };
    let query = "?fieldManager=attack&force=true";
    match means {
        Means::Update => Request::put(path, &change.object(field)),
        Means::Merge => Request::patch(path, MERGE, &change.patch(field)),
        Means::Strategic => Request::patch(path, STRATEGIC, &change.patch(field)),
        Means::Json => Request::patch(path, JSON_PATCH, &change.json_patch(field)),
        Means::Apply => Request::patch(format!("{path}{query}"), APPLY, &applied()),
        Means::StatusUpdate => Request::put(status, &change.object(field)),
        Means::StatusMerge => Request::patch(status, MERGE, &change.patch(field)),
        Means::StatusJson => Request::patch(status, JSON_PATCH, &change.json_patch(field)),
        Means::StatusApply => Request::patch(format!("{status}{query}"), APPLY, &applied()),
        Means::Finalize => Request::put(format!("{path}/finalize"), &change.object(field)),
    }
}

impl Means {
    fn is_sub_resource(self) -> bool {
        matches!(
            self,
            Self::StatusUpdate
                | Self::StatusMerge
                | Self::StatusJson
                | Self::StatusApply
                | Self::Finalize
        )
    }
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for change in CHANGES {
        for &(means, how) in MEANS {
            if !change.can_apply() && matches!(means, Means::Apply | Means::StatusApply) {
                continue;
            }
            let guard = Expected::new(Layer::Guard, 403, "tenant-label-change");
            let does = |who: &str| format!("{who} {} (request: {how}).", change.does);
            let truth = |field: &Field| Truth::Same(field.fill("/api/v1/namespaces/{own}"));
            let build = |suffix: &str, who: &str, plan: fn(&Field, Request) -> Attack| {
                let name = format!("namespace-{}-{how}-{suffix}", change.name);
                Technique::new(
                    name,
                    Family::Namespaces,
                    change.theorem,
                    does(who),
                    move |field| plan(field, request(change, means, field)).truth(truth(field)),
                )
            };
            let gateway = build(
                "gateway",
                "A tenant's admin, through the gateway,",
                |_, request| Attack::shot(Door::Gateway, Credential::Tenant, request),
            );
            // What is no right of tenants at all does not reach the guard.
            all.push(gateway.stopped_by(if means.is_sub_resource() {
                Expected::new(Layer::Gateway, 403, "status-write")
            } else {
                guard.clone()
            }));
            let token = build(
                "token",
                "A ServiceAccount with every right in its namespace",
                |_, request| {
                    Attack::shot(Door::ApiServer, Credential::Account(Account::Star), request)
                },
            );
            all.push(token.stopped_by(guard.clone()));
            if means == Means::Merge {
                let user = build(
                    "almighty",
                    "A tenant's user in the group `system:masters`",
                    |field, request| {
                        Attack::shot(
                            Door::ApiServer,
                            Credential::Administrator,
                            almighty(field, request),
                        )
                    },
                );
                all.push(user.stopped_by(guard));
            }
        }
    }
    all
}
