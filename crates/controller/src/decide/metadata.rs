//! What must change in a namespace's labels and annotations.

use bulkhead_isolation::Metadata;
use bulkhead_model::labels;
use serde_json::{Map, Value, json};

/// The merge patch that brings a namespace's labels and annotations about and takes those of
/// ours away that nobody should have set. It holds only if the namespace still is as `live`.
///
/// What makes a namespace a tenant's is not in it, nor what opens it: adoption and release are
/// an administrator's acts, and opening comes last.
pub(crate) fn patch(wanted: &Metadata, live: &Value) -> Value {
    let of = |map: &str, wanted: &std::collections::BTreeMap<String, String>| {
        let live = live
            .pointer(&format!("/metadata/{map}"))
            .and_then(Value::as_object);
        let unwanted = live
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| is_ours(key) && !wanted.contains_key(*key))
            .map(|key| (key.clone(), Value::Null));
        let wanted = wanted
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)));
        unwanted
            .chain(wanted)
            .filter(|(key, _)| !is_left_alone(key))
            .collect::<Map<_, _>>()
    };
    json!({"metadata": {
        "uid": live.pointer("/metadata/uid"),
        "resourceVersion": live.pointer("/metadata/resourceVersion"),
        "labels": of("labels", &wanted.labels),
        "annotations": of("annotations", &wanted.annotations),
    }})
}

fn is_left_alone(key: &str) -> bool {
    [labels::TENANT, labels::TENANT_UID, labels::ISOLATED].contains(&key)
}

/// Whether a key is one that Bulkhead guards.
fn is_ours(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let ours = labels::GUARDED_DOMAIN.trim_end_matches('/');
    key.starts_with(labels::PSA_PREFIX)
        || domain == ours
        || domain
            .strip_suffix(ours)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_set_or_taken_away_and_the_rest_left() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let wanted = Metadata {
            labels: pairs(&[
                (labels::TENANT, "acme"),
                (labels::TENANT_UID, "u-1"),
                ("pod-security.kubernetes.io/enforce", "restricted"),
            ]),
            annotations: pairs(&[(labels::RULES, "{}")]),
        };
        let live = json!({"metadata": {
            "name": "acme-dev", "uid": "n-1", "resourceVersion": "7",
            "labels": {labels::TENANT: "acme", labels::TENANT_UID: "u-1", "team": "x",
                       "pod-security.kubernetes.io/enforce": "privileged",
                       "pod-security.kubernetes.io/warn": "restricted", "x.bulkhead.dev/y": "z"},
            "annotations": {labels::RULES: "{}", labels::ISOLATED: "u-1", labels::CORDONED: "true",
                            "notbulkhead.dev/a": "b"},
        }});
        assert_eq!(
            patch(&wanted, &live),
            json!({"metadata": {
                "uid": "n-1", "resourceVersion": "7",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted",
                           "pod-security.kubernetes.io/warn": null, "x.bulkhead.dev/y": null},
                "annotations": {labels::RULES: "{}", labels::CORDONED: null},
            }})
        );
    }
}
