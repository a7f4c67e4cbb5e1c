//! Whether what is there is what was wanted.

use bulkhead_api::same_quantity;
use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, labels};
use serde_json::{Map, Value};

/// The first field of `live` that is not as `wanted` has it: missing, different, or added where
/// nothing may be added.
///
/// Lists must be equal element by element, and a field that only `live` has counts as drift: an
/// added selector key or subject changes what an object means as much as a missing one. Not
/// counted are `status`, metadata but for the labels and annotations that are wanted, what the
/// API server fills in, what is empty, and the rules of a ClusterRole that is wanted without any. On a Namespace, labels and annotations of Bulkhead's
/// own that are not wanted count, [`labels::ISOLATED`] excepted.
#[must_use]
pub fn drift(wanted: &Value, live: &Value) -> Option<FieldPath> {
    let root = FieldPath::default();
    let kind = wanted
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (namespace, limits) = (kind == "Namespace", kind == "LimitRange");
    // Others fill these: a shard's users and the rules of an aggregated role.
    let rules_of_others = kind == "ClusterRole" && wanted.get("rules").is_none();
    if let Some(path) = metadata(wanted, live, namespace) {
        return Some(path);
    }
    let (wanted, live) = (wanted.as_object()?, live.as_object());
    let Some(live) = live else { return Some(root) };
    let compared = |key: &str| match key {
        "metadata" | "status" => false,
        "spec" => !namespace,
        "rules" => !rules_of_others,
        _ => true,
    };
    let keys: Vec<&String> = wanted
        .keys()
        .chain(live.keys())
        .filter(|key| compared(key))
        .collect();
    keys.into_iter().find_map(|key| {
        let path = root.clone().key(key);
        match (key.as_str(), limits) {
            ("spec", true) => limit_range(wanted.get(key), live.get(key), path),
            // The API server writes quantities its own way.
            ("spec", false) if kind == "ResourceQuota" => field(
                key,
                wanted.get(key),
                live.get(key),
                path,
                Compare::AsQuantities,
            ),
            _ => field(key, wanted.get(key), live.get(key), path, Compare::Exactly),
        }
    })
}

/// Whether the control plane enforces a ResourceQuota: it has taken up the limits, and its status
/// says which. Anything else needs no taking up.
#[must_use]
pub fn is_taken_up(live: &Value) -> bool {
    if live.get("kind").is_none_or(|kind| kind != "ResourceQuota") {
        return true;
    }
    let (hard, taken) = (live.pointer("/spec/hard"), live.pointer("/status/hard"));
    field(
        "hard",
        hard,
        taken,
        FieldPath::default(),
        Compare::AsQuantities,
    )
    .is_none()
}

/// Everything that `wanted` says must be there; others may add to it.
fn metadata(wanted: &Value, live: &Value, namespace: bool) -> Option<FieldPath> {
    let (wanted, live) = (
        Fields::of(wanted.get("metadata")),
        Fields::of(live.get("metadata")),
    );
    let path = FieldPath::of("metadata");
    for name in ["name", "namespace"] {
        if wanted.get(name).is_some() && wanted.get(name) != live.get(name) {
            return Some(path.then(name));
        }
    }
    for map in ["labels", "annotations"] {
        let (wanted, live) = (wanted.at(map), live.at(map));
        let missing = wanted
            .iter()
            .find(|(key, value)| live.get(key) != Some(value));
        let added = live.iter().find(|(key, _)| {
            namespace && is_ours(key) && *key != labels::ISOLATED && wanted.get(key).is_none()
        });
        if let Some((key, _)) = missing.or(added) {
            return Some(path.then(map).key(key));
        }
    }
    None
}

fn is_ours(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default();
    let ours = labels::GUARDED_DOMAIN.trim_end_matches('/');
    key.starts_with(labels::PSA_PREFIX)
        || domain == ours
        || domain
            .strip_suffix(ours)
            .is_some_and(|sub| sub.ends_with('.'))
}

#[derive(Clone, Copy, PartialEq)]
enum Compare {
    Exactly,
    AsQuantities,
}

/// What the API server fills in where nothing is said.
fn is_default(key: &str, live: &Value) -> bool {
    match (key, live) {
        ("protocol", Value::String(value)) => value == "TCP",
        ("matchPolicy", Value::String(value)) => value == "Equivalent",
        ("reinvocationPolicy", Value::String(value)) => value == "Never",
        ("scope", Value::String(value)) => value == "*",
        ("conversion", Value::Object(fields)) => {
            fields.len() == 1 && fields.get("strategy").is_some_and(|value| value == "None")
        }
        ("port", Value::Number(value)) => value.as_u64() == Some(443),
        _ => false,
    }
}

/// The API server does not store what is empty, and stores some of it where nothing was said.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

fn field(
    key: &str,
    wanted: Option<&Value>,
    live: Option<&Value>,
    path: FieldPath,
    compare: Compare,
) -> Option<FieldPath> {
    match (wanted, live) {
        (None, None) => None,
        (Some(wanted), None) => (!is_empty(wanted)).then_some(path),
        (None, Some(live)) => (!is_empty(live) && !is_default(key, live)).then_some(path),
        (Some(wanted), Some(live)) => value(wanted, live, path, compare),
    }
}

fn value(wanted: &Value, live: &Value, path: FieldPath, compare: Compare) -> Option<FieldPath> {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.keys().chain(live.keys()).find_map(|key| {
                field(
                    key,
                    wanted.get(key),
                    live.get(key),
                    path.clone().key(key),
                    compare,
                )
            })
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => wanted
            .iter()
            .zip(live)
            .enumerate()
            .find_map(|(i, (wanted, live))| value(wanted, live, path.clone().index(i), compare)),
        (wanted, live) if wanted == live => None,
        (wanted, live) if is_empty(wanted) && is_empty(live) => None,
        (wanted, live) if compare == Compare::AsQuantities && same_quantity(wanted, live) => None,
        _ => Some(path),
    }
}

/// The API server fills in defaults of a container's limit: `default` from `max`, and
/// `defaultRequest` from `default`, else from `min`. It also writes quantities its own way.
fn limit_range(wanted: Option<&Value>, live: Option<&Value>, path: FieldPath) -> Option<FieldPath> {
    let filled = wanted.cloned().map(|mut spec| {
        let limits = spec.get_mut("limits").and_then(Value::as_array_mut);
        for limit in limits
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            if limit.get("type").is_some_and(|kind| kind == "Container") {
                for (from, to) in [
                    ("max", "default"),
                    ("default", "defaultRequest"),
                    ("min", "defaultRequest"),
                ] {
                    fill(limit, from, to);
                }
            }
        }
        spec
    });
    field("spec", filled.as_ref(), live, path, Compare::AsQuantities)
}

fn fill(limit: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(Value::Object(from)) = limit.get(from).cloned() else {
        return;
    };
    let to = limit.entry(to).or_insert_with(|| Value::Object(Map::new()));
    if let Some(to) = to.as_object_mut() {
        for (resource, quantity) in from {
            to.entry(resource).or_insert(quantity);
        }
    }
}
