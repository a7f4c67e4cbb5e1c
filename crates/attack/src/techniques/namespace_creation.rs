//! Namespaces that a tenant may not create: outside its prefix, for another, with what only the
//! controller may say.

use bulkhead_model::labels;
use serde_json::{Value, json};

use super::APPLY;
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// A namespace that is asked for.
struct Wish {
    name: &'static str,
    does: &'static str,
    /// With `{attacker}` and `{victim}`.
    namespace: &'static str,
    metadata: fn(&Field) -> Value,
    /// The gateway's words, and the guard's if the gateway lets it pass.
    stopped_by: fn() -> Vec<Expected>,
    /// The control by which a guard refuses it if the gateway asks for it all the same.
    guard: &'static str,
}

fn gateway(text: &'static str) -> Vec<Expected> {
    vec![Expected::new(Layer::Gateway, 403, text)]
}

/// What the gateway lets pass and the guard does not.
fn guard() -> Vec<Expected> {
    vec![Expected::new(Layer::Guard, 403, "tenant-label-change")]
}

#[rustfmt::skip]
const WISHES: &[Wish] = &[
    Wish { name: "forged-prefix", does: "under a prefix that it makes up", namespace: "attack-forged", metadata: |_| json!({"annotations": {(labels::PREFIX): "attack-"}}), stopped_by: || gateway("the names of your namespaces start with `{attacker}-`"), guard: "foreign-namespace" },
    Wish { name: "no-stamp", does: "that carries nobody's label", namespace: "{attacker}-attack-n", metadata: |_| json!({"labels": {(labels::TENANT): ""}}), stopped_by: || gateway("tenant-label-change"), guard: "foreign-namespace" },
    Wish { name: "no-prefix", does: "outside its prefix", namespace: "attack-elsewhere", metadata: |_| json!({}), stopped_by: || gateway("the names of your namespaces start with `{attacker}-`"), guard: "foreign-namespace" },
    Wish { name: "victim-prefix", does: "under another tenant's prefix", namespace: "{victim}-attack", metadata: |_| json!({}), stopped_by: || gateway("the names of your namespaces start with `{attacker}-`"), guard: "foreign-namespace" },
    Wish { name: "prefix-only", does: "whose name is only the beginning of its prefix", namespace: "{attacker}", metadata: |_| json!({}), stopped_by: || gateway("the names of your namespaces start with `{attacker}-`"), guard: "foreign-namespace" },
    Wish { name: "system", does: "that looks like the system's", namespace: "kube-attack", metadata: |_| json!({}), stopped_by: || gateway("the names of your namespaces start with `{attacker}-`"), guard: "foreign-namespace" },
    Wish { name: "victim-label", does: "with another tenant's label", namespace: "{attacker}-attack-l", metadata: |f| json!({"labels": {(labels::TENANT): f.victim.tenant}}), stopped_by: || gateway("tenant-label-change"), guard: "foreign-namespace" },
    Wish { name: "victim-uid", does: "with another Tenant object's UID", namespace: "{attacker}-attack-u", metadata: |f| json!({"labels": {(labels::TENANT_UID): f.victim.uid}}), stopped_by: || gateway("tenant-label-change"), guard: "foreign-namespace" },
    Wish { name: "isolated", does: "that calls itself isolated", namespace: "{attacker}-attack-i", metadata: |f| json!({"annotations": {(labels::ISOLATED): f.attacker.uid}}), stopped_by: || gateway("tenant-label-change"), guard: "tenant-label-change" },
    Wish { name: "rules", does: "with rules of its own", namespace: "{attacker}-attack-r", metadata: |_| json!({"annotations": {(labels::RULES): "{}"}}), stopped_by: || gateway("tenant-label-change"), guard: "tenant-label-change" },
    Wish { name: "psa", does: "without Pod Security Admission", namespace: "{attacker}-attack-p", metadata: |_| json!({"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}), stopped_by: || gateway("tenant-label-change"), guard: "tenant-label-change" },
    Wish { name: "finalizer", does: "that cannot be deleted", namespace: "{attacker}-attack-f", metadata: |_| json!({"finalizers": ["attack.example/stay"]}), stopped_by: guard, guard: "tenant-label-change" },
    Wish { name: "owner", does: "that has an owner", namespace: "{attacker}-attack-o", metadata: |_| json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": "x", "uid": "1"}]}), stopped_by: guard, guard: "tenant-label-change" },
];

fn namespace(name: &str, extra: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    if let (Some(Value::Object(metadata)), Value::Object(extra)) =
        (object.get_mut("metadata"), extra)
    {
        metadata.extend(extra);
    }
    object
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for wish in WISHES {
        let plan = |field: &Field, guard: bool| {
            let name = field.fill(wish.namespace);
            let mut object = namespace(&name, (wish.metadata)(field));
            if guard {
                stamp(field, &mut object);
            }
            let request = Request::post("/api/v1/namespaces", &object);
            let attack = if guard {
                Attack::shot(
                    Door::ApiServer,
                    Credential::Administrator,
                    impersonated(field, request),
                )
            } else {
                Attack::shot(Door::Gateway, Credential::Tenant, request)
            };
            attack.truth(Truth::Absent(format!("/api/v1/namespaces/{name}")))
        };
        let mut technique = Technique::new(
            format!("new-namespace-{}-gateway", wish.name),
            Family::Namespaces,
            Theorem::T4,
            format!(
                "A tenant's admin creates a namespace {} through the gateway.",
                wish.does
            ),
            move |field| plan(field, false),
        );
        technique.stopped_by = (wish.stopped_by)();
        all.push(technique);
        // A gateway that has gone mad asks under the synthetic user's name: the guard knows better.
        let mad = Technique::new(
            format!("new-namespace-{}-mad-gateway", wish.name),
            Family::Namespaces,
            Theorem::T4,
            format!(
                "The gateway itself, gone mad, creates a namespace {} as the tenant's admin.",
                wish.does
            ),
            move |field| plan(field, true),
        );
        all.push(mad.stopped_by(Expected::new(Layer::Guard, 403, wish.guard)));
    }
    all.extend(others());
    all
}

/// Adds the gateway's stamps, but for those that are forged already.
fn stamp(field: &Field, object: &mut Value) {
    let stamps = [
        ("labels", labels::TENANT, field.attacker.tenant.clone()),
        ("labels", labels::TENANT_UID, field.attacker.uid.clone()),
        (
            "annotations",
            labels::PREFIX,
            format!("{}-", field.attacker.tenant),
        ),
    ];
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    for (map, key, value) in stamps {
        if let Value::Object(map) = metadata.entry(map).or_insert_with(|| json!({})) {
            map.entry(key).or_insert(Value::String(value));
        }
    }
}

/// As the gateway would ask.
fn impersonated(field: &Field, request: Request) -> Request {
    request
        .header(
            "Impersonate-User",
            format!(
                "{}{}:admin",
                labels::SYNTHETIC_PREFIX,
                field.attacker.tenant
            ),
        )
        .header("Impersonate-Group", labels::TENANTS_GROUP)
        .header("Impersonate-Extra-Bulkhead.dev%2fuser", "mallory")
}

fn others() -> Vec<Technique> {
    vec![
        Technique::new(
            "new-namespace-generated-name",
            Family::Namespaces,
            Theorem::T4,
            "A tenant's admin has the API server generate a namespace's name, which no prefix check sees.",
            |_| {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "attack-gen-"}});
                Attack::shot(Door::Gateway, Credential::Tenant, Request::post("/api/v1/namespaces", &object))
            },
        )
        .stopped_by(Expected::new(Layer::Gateway, 403, "generateName")),
        Technique::new(
            "new-namespace-by-apply",
            Family::Namespaces,
            Theorem::T4,
            "A tenant's admin creates another tenant's namespace by server-side apply.",
            |field| {
                let name = field.fill("{victim}-attack-apply");
                let path = format!("/api/v1/namespaces/{name}");
                let request = Request::patch(format!("{path}?fieldManager=attack&force=true"), APPLY, &namespace(&name, json!({})));
                Attack::shot(Door::Gateway, Credential::Tenant, request).truth(Truth::Absent(path))
            },
        )
        .stopped_by(Expected::new(Layer::Gateway, 404, "not found")),
        Technique::new(
            "new-namespace-by-token",
            Family::Namespaces,
            Theorem::T4,
            "A ServiceAccount with every right in its namespace creates another one.",
            |field| {
                let name = field.fill("{attacker}-attack-token");
                let request = Request::post("/api/v1/namespaces", &namespace(&name, json!({})));
                Attack::shot(Door::ApiServer, Credential::Account(Account::Star), request)
                    .truth(Truth::Absent(format!("/api/v1/namespaces/{name}")))
            },
        )
        .stopped_by(Expected::new(Layer::Rbac, 403, "cannot create resource \"namespaces\"")),
        Technique::new(
            "new-namespace-bad-name",
            Family::Namespaces,
            Theorem::T4,
            "A tenant's admin creates a namespace whose name is no DNS label.",
            |field| {
                let name = field.fill("{attacker}-A_b");
                let request = Request::post("/api/v1/namespaces", &namespace(&name, json!({})));
                Attack::shot(Door::Gateway, Credential::Tenant, request)
            },
        )
        .stopped_by(Expected::new(Layer::Gateway, 400, "is not a namespace name")),
    ]
}
