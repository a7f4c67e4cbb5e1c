//! What becomes of a node: whose it is, what it must say, and which pods must leave it.

use bulkhead_model::labels;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// How long budgets are respected. Afterwards the taint `NoExecute` drives out what is left.
pub(crate) const PATIENCE: Duration = Duration::minutes(10);

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Whose a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// This tenant's.
    Tenant(&'a str),
    /// Nobody's any more: the pods of this tenant have to leave before others may come.
    Former(&'a str),
}

/// A pod that has to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Whether it is on its way out already.
    pub(crate) going: bool,
}

/// What has to be done with a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The patch that makes the node say what it must; none if it does.
    pub(crate) patch: Option<Value>,
    /// Pods to evict.
    pub(crate) evict: Vec<Leaving>,
    /// Whether all is done: the tenant's alone, or nobody's.
    pub(crate) done: bool,
}

/// Decides the next step. `leaving` are the pods on the node that have to leave it for its owner,
/// or that a former owner still has there.
///
/// The label and the taints are always set together: a tenant's pods ask for the label, so none
/// lands on a node that does not keep others off.
pub(crate) fn step(
    node: &Value,
    owner: &Owner<'_>,
    leaving: Vec<Leaving>,
    now: OffsetDateTime,
) -> Step {
    let taints = taints(node);
    let empty = leaving.is_empty();
    let (tenant, label) = match owner {
        Owner::Tenant(tenant) => (*tenant, Some(*tenant)),
        Owner::Former(tenant) => (*tenant, None),
    };
    if label.is_none() && empty {
        let done = taints.is_empty() && label_of(node).is_none();
        let patch = (!done).then(|| patch(node, None, Vec::new()));
        return Step {
            patch,
            evict: Vec::new(),
            done,
        };
    }
    // What has begun goes on; a change of owner starts the clock anew.
    let began = taints
        .iter()
        .find(|taint| taint.effect == NO_SCHEDULE && label_of(node) == label)
        .and_then(|taint| taint.added)
        .unwrap_or(now);
    let overdue = now - began >= PATIENCE;
    // A former owner's pods tolerate its name, so what drives them out has none.
    let value = match owner {
        Owner::Former(_) if overdue => "",
        _ => tenant,
    };
    let executes = match owner {
        Owner::Tenant(_) => {
            empty
                || overdue
                || taints
                    .iter()
                    .any(|t| t.effect == NO_EXECUTE && t.value == tenant)
        }
        Owner::Former(_) => true,
    };
    let mut wanted = vec![Taint {
        value: value.to_owned(),
        effect: NO_SCHEDULE.to_owned(),
        added: Some(began),
    }];
    if executes {
        wanted.push(Taint {
            effect: NO_EXECUTE.to_owned(),
            ..wanted.first().cloned().unwrap_or_default()
        });
    }
    let said = |taints: &[Taint]| -> Vec<(String, String)> {
        let mut all: Vec<_> = taints
            .iter()
            .map(|taint| (taint.effect.clone(), taint.value.clone()))
            .collect();
        all.sort();
        all
    };
    // Without a time the clock would begin anew at each look.
    let timed = taints
        .iter()
        .any(|t| t.effect == NO_SCHEDULE && t.added.is_some());
    let right = timed && label_of(node) == label && said(&taints) == said(&wanted);
    Step {
        patch: (!right).then(|| patch(node, label, wanted)),
        evict: leaving.into_iter().filter(|pod| !pod.going).collect(),
        done: right && executes && empty && label.is_some(),
    }
}

/// The label that says whose a node is.
pub(crate) fn label_of(node: &Value) -> Option<&str> {
    node.get("metadata")?
        .get("labels")?
        .get(labels::NODE_TENANT)?
        .as_str()
}

/// A taint of ours.
#[derive(Debug, Clone, Default, PartialEq)]
struct Taint {
    value: String,
    effect: String,
    added: Option<OffsetDateTime>,
}

fn all_taints(node: &Value) -> impl Iterator<Item = &Value> {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.into_iter().flatten()
}

fn is_ours(taint: &Value) -> bool {
    taint.get("key").and_then(Value::as_str) == Some(labels::NODE_TAINT)
}

fn taints(node: &Value) -> Vec<Taint> {
    let text = |taint: &Value, field: &str| {
        let value = taint.get(field).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    all_taints(node)
        .filter(|taint| is_ours(taint))
        .map(|taint| Taint {
            value: text(taint, "value"),
            effect: text(taint, "effect"),
            added: OffsetDateTime::parse(&text(taint, "timeAdded"), &Rfc3339).ok(),
        })
        .collect()
}

/// Label and taints at once, on condition that nobody has changed the node: the list of taints is
/// written as a whole, and others write into it too.
fn patch(node: &Value, label: Option<&str>, ours: Vec<Taint>) -> Value {
    let others = all_taints(node).filter(|taint| !is_ours(taint)).cloned();
    let ours = ours.into_iter().map(|taint| {
        let added = taint.added.and_then(|time| {
            let whole = time.replace_nanosecond(0).ok()?;
            whole.format(&Rfc3339).ok()
        });
        json!({
            "key": labels::NODE_TAINT, "value": taint.value, "effect": taint.effect,
            "timeAdded": added,
        })
    });
    let taints: Vec<Value> = others.chain(ours).collect();
    json!({
        "metadata": {
            "uid": node.pointer("/metadata/uid"),
            "resourceVersion": node.pointer("/metadata/resourceVersion"),
            "labels": {labels::NODE_TENANT: label},
        },
        "spec": {"taints": taints},
    })
}

/// Whether a pod stays wherever it is: those of the platform's own DaemonSets serve the node, a
/// node's own pods (`config.mirror`) are none of the API server's, and one that has ended is no
/// process any more.
pub(crate) fn stays(pod: &Value, in_tenants_namespace: bool) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return true;
    }
    if in_tenants_namespace {
        return false;
    }
    let metadata = pod.get("metadata");
    let mirror = metadata
        .and_then(|metadata| metadata.get("annotations"))
        .and_then(|annotations| annotations.get("kubernetes.io/config.mirror"));
    let owners = pod
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let of_daemon_set = owners.into_iter().flatten().any(|owner| {
        owner.get("controller").and_then(Value::as_bool) == Some(true)
            && owner.get("kind").and_then(Value::as_str) == Some("DaemonSet")
    });
    mirror.is_some() || of_daemon_set
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 12:00 UTC);

    fn node(label: Option<&str>, taints: Value) -> Value {
        let mut node = json!({
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "7", "labels": {"pool": "acme"}},
            "spec": {"taints": taints},
        });
        if let Some(label) = label {
            node["metadata"]["labels"][labels::NODE_TENANT] = json!(label);
        }
        node
    }

    fn taint(value: &str, effect: &str, minutes_ago: i64) -> Value {
        let added = (NOW - Duration::minutes(minutes_ago))
            .format(&Rfc3339)
            .unwrap();
        json!({"key": "tenantID", "value": value, "effect": effect, "timeAdded": added})
    }

    fn pods(going: &[bool]) -> Vec<Leaving> {
        let pod = |&going| Leaving {
            namespace: "globex-app".into(),
            name: "web".into(),
            uid: "p".into(),
            going,
        };
        going.iter().map(pod).collect()
    }

    /// The patched node, and what else the step says: evictions, done.
    fn after(node: &Value, owner: &Owner<'_>, leaving: Vec<Leaving>) -> (Value, usize, bool) {
        let step = step(node, owner, leaving, NOW);
        let mut after = node.clone();
        if let Some(patch) = step.patch {
            assert_eq!(patch["metadata"]["resourceVersion"], "7", "{patch}");
            let label = &patch["metadata"]["labels"][labels::NODE_TENANT];
            let labels_after = after["metadata"]["labels"].as_object_mut().unwrap();
            match label.as_str() {
                Some(label) => drop(labels_after.insert(labels::NODE_TENANT.into(), json!(label))),
                None => drop(labels_after.remove(labels::NODE_TENANT)),
            }
            after["spec"] = patch["spec"].clone();
        }
        (after, step.evict.len(), step.done)
    }

    fn ours(node: &Value) -> Vec<String> {
        let mut all: Vec<String> = taints(node)
            .iter()
            .map(|taint| format!("{}:{}", taint.value, taint.effect))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_node_is_claimed_emptied_and_then_closed() {
        let acme = Owner::Tenant("acme");
        let fresh = node(None, json!([{"key": "gpu", "effect": "NoSchedule"}]));
        // Others are kept off before anything else, and asked to leave.
        let (claimed, evicted, done) = after(&fresh, &acme, pods(&[false, true]));
        assert_eq!(label_of(&claimed), Some("acme"));
        assert_eq!(ours(&claimed), ["acme:NoSchedule"]);
        assert_eq!((evicted, done), (1, false));
        assert_eq!(
            claimed["spec"]["taints"][0]["key"], "gpu",
            "others' taints stay"
        );
        // Nothing changes while they are on their way.
        let (same, evicted, done) = after(&claimed, &acme, pods(&[true]));
        assert_eq!((&same, evicted, done), (&claimed, 0, false));
        // They are gone: the door is shut for those who would not ask the scheduler.
        let (closed, _, done) = after(&claimed, &acme, vec![]);
        assert_eq!(ours(&closed), ["acme:NoExecute", "acme:NoSchedule"]);
        assert!(!done, "not before it was read back");
        assert_eq!(after(&closed, &acme, vec![]), (closed.clone(), 0, true));
        // Somebody has got in: the door stays shut, and the claim is not ready.
        let (again, evicted, done) = after(&closed, &acme, pods(&[false]));
        assert_eq!((again, evicted, done), (closed, 1, false));
    }

    #[test]
    fn budgets_are_respected_for_ten_minutes() {
        let acme = Owner::Tenant("acme");
        for (minutes, expect) in [
            (9, vec!["acme:NoSchedule"]),
            (10, vec!["acme:NoExecute", "acme:NoSchedule"]),
        ] {
            let claimed = node(Some("acme"), json!([taint("acme", "NoSchedule", minutes)]));
            let (then, evicted, done) = after(&claimed, &acme, pods(&[false]));
            assert_eq!(ours(&then), expect, "{minutes} minutes");
            assert_eq!((evicted, done), (1, false));
        }
    }

    #[test]
    fn a_node_is_nobodys_before_it_is_everybodys() {
        let former = Owner::Former("acme");
        let taken = node(
            Some("acme"),
            json!([
                taint("acme", "NoSchedule", 600),
                taint("acme", "NoExecute", 600)
            ]),
        );
        let (released, evicted, done) = after(&taken, &former, pods(&[false]));
        assert_eq!(
            label_of(&released),
            None,
            "no pod of the tenant lands there any more"
        );
        assert_eq!(
            ours(&released),
            ["acme:NoExecute", "acme:NoSchedule"],
            "nor anybody else's"
        );
        assert_eq!((evicted, done), (1, false));
        // The clock began when the label went, not when the node was claimed.
        let (same, ..) = after(&released, &former, pods(&[false]));
        assert_eq!(same, released);
        let late = node(
            None,
            json!([
                taint("acme", "NoSchedule", 10),
                taint("acme", "NoExecute", 10)
            ]),
        );
        let (driven, ..) = after(&late, &former, pods(&[true]));
        assert_eq!(
            ours(&driven),
            [":NoExecute", ":NoSchedule"],
            "no toleration fits"
        );
        let (free, _, done) = after(&driven, &former, vec![]);
        assert_eq!((ours(&free).len(), label_of(&free), done), (0, None, false));
        assert_eq!(after(&free, &former, vec![]), (free.clone(), 0, true));
    }

    #[test]
    fn a_label_or_a_taint_alone_is_completed() {
        let acme = Owner::Tenant("acme");
        for half in [
            node(Some("acme"), json!([])),
            node(
                None,
                json!([
                    taint("acme", "NoSchedule", 1),
                    taint("acme", "NoExecute", 1)
                ]),
            ),
            node(Some("globex"), json!([taint("globex", "NoSchedule", 1)])),
            node(Some("acme"), json!([taint("acme", "NoExecute", 1)])),
            node(
                Some("acme"),
                json!([
                    taint("globex", "NoExecute", 1),
                    taint("acme", "NoSchedule", 1)
                ]),
            ),
        ] {
            let (whole, ..) = after(&half, &acme, vec![]);
            assert_eq!(label_of(&whole), Some("acme"), "{half}");
            assert_eq!(
                ours(&whole),
                ["acme:NoExecute", "acme:NoSchedule"],
                "{half}"
            );
        }
    }

    #[test]
    fn daemon_sets_of_the_platform_stay_and_those_of_tenants_leave() {
        let of = |kind: &str| json!({"metadata": {"ownerReferences": [{"kind": kind, "controller": true}]}});
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        let ended = json!({"metadata": {}, "status": {"phase": "Succeeded"}});
        for (pod, in_tenants, expect) in [
            (of("DaemonSet"), false, true),
            (of("DaemonSet"), true, false),
            (of("ReplicaSet"), false, false),
            (mirror.clone(), false, true),
            (mirror, true, false),
            (ended.clone(), true, true),
            (ended, false, true),
        ] {
            assert_eq!(stays(&pod, in_tenants), expect, "{pod} {in_tenants}");
        }
    }
}
