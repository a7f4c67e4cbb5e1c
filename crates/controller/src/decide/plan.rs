//! From what should be and what is to what must be done.

use bulkhead_cluster::ObjectRef;
use bulkhead_isolation::drift;
use bulkhead_model::labels;
use serde_json::Value;

/// What must be done so that a set of objects becomes another.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// Objects to apply.
    pub(crate) apply: Vec<Value>,
    /// Objects to delete, each with its UID.
    pub(crate) prune: Vec<(ObjectRef, String)>,
    /// What differs, for a log or a condition.
    pub(crate) differences: Vec<String>,
    /// Whether anything differs but access that is missing: a fence is down, or somebody may do
    /// more than they should.
    pub(crate) breach: bool,
}

/// What is there once a plan for `seen` is carried out: what was not touched, and what was
/// applied as the API server has answered it.
pub(crate) fn after(seen: Vec<Value>, plan: &Plan, applied: Vec<Value>) -> Vec<Value> {
    let touched = |object: &Value| {
        let Ok(reference) = ObjectRef::of(object) else {
            return false;
        };
        plan.prune.iter().any(|(pruned, _)| *pruned == reference)
            || applied
                .iter()
                .any(|answer| ObjectRef::of(answer).ok().as_ref() == Some(&reference))
    };
    let mut objects = seen;
    objects.retain(|object| !touched(object));
    objects.extend(applied);
    objects
}

impl Plan {
    /// Whether everything is as it should be.
    pub(crate) fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.prune.is_empty()
    }
}

/// Compares what should be with what is. `live` must hold all objects of ours in the place that
/// the plan is for: what is among them but not wanted is pruned.
pub(crate) fn plan(wanted: &[Value], live: &[Value]) -> Plan {
    let mut plan = Plan::default();
    let find = |objects: &[Value], reference: &ObjectRef| {
        objects
            .iter()
            .position(|object| ObjectRef::of(object).ok().as_ref() == Some(reference))
    };
    for object in wanted {
        let Ok(reference) = ObjectRef::of(object) else {
            continue;
        };
        let found = find(live, &reference).and_then(|index| live.get(index));
        if let Some(difference) = difference(object, found) {
            plan.differences.push(format!("{reference}: {difference}"));
            plan.breach |= found.is_some() || reference.kind.kind != "RoleBinding";
            plan.apply.push(object.clone());
        }
    }
    for object in live {
        let Ok(reference) = ObjectRef::of(object) else {
            continue;
        };
        let uid = object
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if find(wanted, &reference).is_none() && !is_going(object) {
            plan.differences
                .push(format!("{reference}: no longer wanted"));
            plan.breach = true;
            plan.prune.push((reference, uid.to_owned()));
        }
    }
    plan
}

/// What tells a live object from the wanted one, if anything does.
pub(crate) fn difference(wanted: &Value, live: Option<&Value>) -> Option<String> {
    let Some(live) = live else {
        return Some("missing".to_owned());
    };
    if let Some(path) = drift(wanted, live) {
        return Some(format!("{path} differs"));
    }
    leftover(wanted, live).map(|path| format!("{path} is no longer wanted"))
}

fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// The first field that an earlier apply of ours has set and that is not wanted any more. The
/// API server remembers whose each field is, and the next apply takes it away.
fn leftover(wanted: &Value, live: &Value) -> Option<String> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    entries
        .iter()
        .filter(|entry| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            text("manager") == Some(labels::FIELD_MANAGER)
                && text("operation") == Some("Apply")
                && text("subresource").unwrap_or_default().is_empty()
        })
        .find_map(|entry| unwanted_field(entry.get("fieldsV1")?, wanted, ""))
}

/// Walks the field set beside the object. Entries of lists (`k:`, `v:`, `i:`) are not looked at:
/// those lists are compared as a whole.
fn unwanted_field(fields: &Value, wanted: &Value, path: &str) -> Option<String> {
    fields.as_object()?.iter().find_map(|(key, inner)| {
        let name = key.strip_prefix("f:")?;
        let path = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        match wanted.get(name) {
            // An empty list or map that was applied is owned, though nothing is in it.
            None => Some(path),
            Some(wanted) => unwanted_field(inner, wanted, &path),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str, verbs: &[&str]) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": name, "namespace": "acme-dev"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}],
        })
    }

    fn live(mut object: Value) -> Value {
        object["metadata"]["uid"] = json!(format!("u-{}", object["metadata"]["name"]));
        object["metadata"]["resourceVersion"] = json!("7");
        object
    }

    fn names(objects: &[Value]) -> Vec<&str> {
        objects
            .iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn what_is_as_wanted_stays() {
        let wanted = [role("a", &["get"]), role("b", &["get"])];
        let plan = plan(
            &wanted,
            &[live(role("b", &["get"])), live(role("a", &["get"]))],
        );
        assert!(plan.is_empty(), "{plan:?}");
    }

    #[test]
    fn missing_and_changed_objects_are_applied_and_others_pruned() {
        let wanted = [role("a", &["get"]), role("b", &["get"])];
        let plan = plan(
            &wanted,
            &[
                live(role("b", &["get", "delete"])),
                live(role("c", &["get"])),
            ],
        );
        assert_eq!(names(&plan.apply), ["a", "b"]);
        let pruned: Vec<&str> = plan
            .prune
            .iter()
            .map(|(object, _)| object.name.as_str())
            .collect();
        assert_eq!(pruned, ["c"]);
        assert_eq!(plan.prune[0].1, "u-\"c\"");
        assert_eq!(plan.differences[0], "Role `acme-dev/a`: missing");
        assert_eq!(plan.differences[2], "Role `acme-dev/c`: no longer wanted");
    }

    #[test]
    fn what_was_applied_takes_the_place_of_what_was_seen() {
        let wanted = [role("a", &["get"]), role("b", &["get"])];
        let seen = vec![
            live(role("a", &["*"])),
            live(role("b", &["get"])),
            live(role("c", &["get"])),
        ];
        let due = plan(&wanted, &seen);
        let done = after(seen.clone(), &due, vec![live(role("a", &["get"]))]);
        assert_eq!(names(&done), ["b", "a"]);
        assert!(plan(&wanted, &done).is_empty());
        let refused = after(seen, &due, vec![live(role("a", &["*"]))]);
        assert!(
            !plan(&wanted, &refused).is_empty(),
            "an answer is looked at"
        );
    }

    #[test]
    fn access_that_is_missing_is_no_breach() {
        let kind = |kind: &str, mut object: Value| {
            object["kind"] = json!(kind);
            object
        };
        let binding = |verbs| kind("RoleBinding", role("a", verbs));
        let policy = kind("NetworkPolicy", role("a", &["get"]));
        for (wanted, found, expected) in [
            (vec![binding(&["get"])], vec![], false),
            (vec![binding(&["get"])], vec![live(binding(&["*"]))], true),
            (vec![], vec![live(binding(&["get"]))], true),
            (vec![policy.clone()], vec![], true),
            (vec![policy.clone()], vec![live(policy.clone())], false),
        ] {
            assert_eq!(
                plan(&wanted, &found).breach,
                expected,
                "{wanted:?} {found:?}"
            );
        }
    }

    #[test]
    fn what_is_already_going_is_not_deleted_again() {
        let mut going = live(role("c", &["get"]));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(plan(&[], &[going]).is_empty());
    }

    #[test]
    fn a_field_that_we_set_once_and_want_no_more_is_a_difference() {
        let wanted =
            json!({"metadata": {"name": "acme-dev", "annotations": {"bulkhead.dev/rules": "{}"}}});
        let with = |manager: &str, operation: &str| {
            json!({"metadata": {
                "name": "acme-dev",
                "annotations": {"bulkhead.dev/rules": "{}", "bulkhead.dev/cordoned": "true"},
                "managedFields": [{"manager": manager, "operation": operation, "fieldsV1": {
                    "f:metadata": {"f:annotations": {"f:bulkhead.dev/rules": {}, "f:bulkhead.dev/cordoned": {}}}}}],
            }})
        };
        assert_eq!(
            leftover(&wanted, &with("bulkhead", "Apply")).as_deref(),
            Some("metadata.annotations.bulkhead.dev/cordoned")
        );
        assert_eq!(
            leftover(&wanted, &with("kubectl", "Apply")),
            None,
            "others' fields are theirs"
        );
        assert_eq!(
            leftover(&wanted, &with("bulkhead", "Update")),
            None,
            "set by a patch, not by apply"
        );
        let mut wanted = wanted;
        wanted["metadata"]["annotations"]["bulkhead.dev/cordoned"] = json!("true");
        assert_eq!(leftover(&wanted, &with("bulkhead", "Apply")), None);
    }
}
