//! What a Tenant's status says.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_api::{
    Condition, ConditionStatus, FieldError, NamespaceStatus, Ranges, TenantStatus, Usage,
};
use bulkhead_cluster::{NamespaceRecord, TenantRecord};

use bulkhead_model::quantity::Amount;

use super::standing::Standing;

/// How many names a message holds before it only counts.
const NAMED: usize = 5;

/// What is known beside the objects themselves.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    /// Namespaces that carry the tenant's name, whatever UID they carry.
    pub(crate) namespaces: &'a [Arc<NamespaceRecord>],
    /// What is wrong with namespaces, by name.
    pub(crate) problems: BTreeMap<String, String>,
    /// Why the tenant's own objects are not in place.
    pub(crate) failure: Option<String>,
    /// What is left of a tenant that is being deleted; none while that is not known.
    pub(crate) left: Option<Vec<String>>,
    /// What it has from the ledger.
    pub(crate) ranges: Ranges,
    /// What of its limits is in use.
    pub(crate) usage: BTreeMap<String, Usage>,
}

/// The status that a tenant should have. The time of the last transition is kept while the
/// condition holds on, so that an unchanged state is an unchanged status.
pub(crate) fn status(
    record: &TenantRecord,
    standing: &Standing,
    known: &Known<'_>,
    now: &str,
) -> TenantStatus {
    let namespaces: Vec<NamespaceStatus> = known
        .namespaces
        .iter()
        .map(|namespace| {
            namespace_status(
                record,
                namespace,
                known.problems.get(namespace.name.as_str()),
            )
        })
        .collect();
    let said: Vec<Said> = [
        Some(ready(standing, known, &namespaces)),
        cordoned(standing, known),
        within_limits(known),
    ]
    .into_iter()
    .flatten()
    .collect();
    let before = present(record);
    let conditions = said.into_iter().map(|said| {
        let mut earlier = before.conditions.iter();
        let same = earlier.find(|it| it.kind == said.kind && it.status == said.status);
        Condition {
            kind: said.kind.to_owned(),
            status: said.status,
            reason: said.reason.to_owned(),
            message: said.message,
            last_transition_time: same
                .map_or(now, |condition| &condition.last_transition_time)
                .to_owned(),
            observed_generation: record.generation,
        }
    });
    TenantStatus {
        observed_generation: record.generation,
        conditions: conditions.collect(),
        namespaces,
        ranges: known.ranges.clone(),
        usage: known.usage.clone(),
        nodes: Vec::new(),
    }
}

/// What a condition says.
struct Said {
    kind: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

/// Whether the cordon holds in every namespace. Until then ServiceAccounts may still write
/// somewhere: the guard goes by each namespace's annotation.
fn cordoned(standing: &Standing, known: &Known<'_>) -> Option<Said> {
    let (Standing::Good(tenant) | Standing::Conflict(tenant, _)) = standing else {
        return None;
    };
    let with = |cordoned: bool| -> Vec<String> {
        let staying = known.namespaces.iter().filter(|namespace| {
            !namespace.deleting
                && namespace.belongs_to(&tenant.name, &tenant.uid)
                && namespace.cordoned == cordoned
        });
        staying
            .map(|namespace| namespace.name.to_string())
            .collect()
    };
    let open = with(false);
    let closed = with(true);
    let (status, reason, message) = match (tenant.cordoned, open.is_empty(), closed.is_empty()) {
        (false, _, true) => return None,
        (true, true, _) => (
            ConditionStatus::True,
            "Cordoned",
            "nothing may be changed in any namespace".to_owned(),
        ),
        (true, false, _) => (
            ConditionStatus::False,
            "Cordoning",
            format!("not yet cordoned: {}", names(&open)),
        ),
        (false, _, false) => (
            ConditionStatus::True,
            "Uncordoning",
            format!("still cordoned: {}", names(&closed)),
        ),
    };
    Some(Said {
        kind: Condition::CORDONED,
        status,
        reason,
        message,
    })
}

/// Limits that are lower than what there is: they take nothing away, and nothing more is let in.
fn within_limits(known: &Known<'_>) -> Option<Said> {
    let over = known.usage.iter().filter_map(|(resource, usage)| {
        let used = usage.used.as_ref()?;
        let (amount, hard) = (quantity(used)?, quantity(&usage.hard)?);
        (amount > hard).then(|| format!("{resource} ({used} of {})", usage.hard))
    });
    let over: Vec<String> = over.collect();
    (!over.is_empty()).then(|| Said {
        kind: Condition::WITHIN_LIMITS,
        status: ConditionStatus::False,
        reason: "LimitBelowUse",
        message: format!("nothing more is let in of: {}", names(&over)),
    })
}

fn quantity(text: &str) -> Option<Amount> {
    Amount::try_from(text.to_owned()).ok()
}

/// The status that a tenant has. One that cannot be read counts as none and is written anew.
pub(crate) fn present(record: &TenantRecord) -> TenantStatus {
    let status = record.object.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

fn ready(standing: &Standing, known: &Known<'_>, namespaces: &[NamespaceStatus]) -> Said {
    use ConditionStatus::{False, True};
    // A namespace on its way out owes nobody anything.
    let staying = |test: fn(&NamespaceStatus) -> bool| -> Vec<String> {
        let paired = known.namespaces.iter().zip(namespaces);
        let staying = paired.filter(|(record, _)| !record.deleting);
        let found = staying.filter(|(_, status)| test(status));
        found.map(|(_, status)| status.name.clone()).collect()
    };
    let closed = staying(|namespace| !namespace.isolated);
    let incomplete = staying(|namespace| !namespace.message.is_empty());
    let (status, reason, message) = match standing {
        Standing::Invalid(errors) => (False, "InvalidSpec", fields(errors)),
        Standing::Conflict(_, error) => (False, "PrefixConflict", error.to_string()),
        Standing::Deleting => {
            let message = match (&known.failure, known.left.as_deref()) {
                (Some(failure), _) => failure.clone(),
                (None, None) => "access is being withdrawn".to_owned(),
                (None, Some([])) => "nothing is left".to_owned(),
                (None, Some(left)) => format!("waiting until these are gone: {}", names(left)),
            };
            (False, "Deleting", message)
        }
        Standing::Good(_) if known.failure.is_some() => (
            False,
            "NotReconciled",
            known.failure.clone().unwrap_or_default(),
        ),
        Standing::Good(_) if !closed.is_empty() => (
            False,
            "NamespacesNotIsolated",
            format!("these take no pods: {}", names(&closed)),
        ),
        Standing::Good(_) if !incomplete.is_empty() => (
            False,
            "NamespacesIncomplete",
            format!("not all is in place in these: {}", names(&incomplete)),
        ),
        Standing::Good(tenant) => {
            let cordoned = if tenant.cordoned {
                "; the tenant is cordoned"
            } else {
                ""
            };
            (
                True,
                "Isolated",
                format!("{} isolated{cordoned}", count(namespaces.len())),
            )
        }
    };
    Said {
        kind: Condition::READY,
        status,
        reason,
        message,
    }
}

fn namespace_status(
    record: &TenantRecord,
    namespace: &NamespaceRecord,
    problem: Option<&String>,
) -> NamespaceStatus {
    let ours = namespace
        .tenant_uid
        .as_ref()
        .is_some_and(|uid| uid.as_str() == record.uid);
    let message = if !ours {
        "not adopted: its label `bulkhead.dev/tenant-uid` is not this Tenant's UID".to_owned()
    } else if namespace.deleting {
        "being deleted".to_owned()
    } else {
        problem.cloned().unwrap_or_default()
    };
    NamespaceStatus {
        name: namespace.name.to_string(),
        isolated: ours && namespace.is_isolated(),
        message,
    }
}

fn fields(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

fn count(namespaces: usize) -> String {
    match namespaces {
        1 => "1 namespace is".to_owned(),
        n => format!("{n} namespaces are"),
    }
}

fn names(names: &[String]) -> String {
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => {
            format!("{} and {} more", first.join(", "), names.len() - NAMED)
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::labels;
    use serde_json::{Value, json};

    use super::super::standing::standing;
    use super::*;

    const BEFORE: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-02-02T00:00:00Z";

    fn tenant(spec: Value, status: Value) -> TenantRecord {
        TenantRecord::of(json!({
            "apiVersion": bulkhead_api::API_VERSION, "kind": bulkhead_api::KIND,
            "metadata": {"name": "acme", "uid": "u-1", "generation": 3},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn namespace(name: &str, uid: &str, isolated: &str) -> Arc<NamespaceRecord> {
        let object = json!({"metadata": {"name": name, "uid": "n",
            "labels": {labels::TENANT: "acme", labels::TENANT_UID: uid},
            "annotations": {labels::ISOLATED: isolated}}});
        Arc::new(NamespaceRecord::of(&object).unwrap())
    }

    fn ready_of(record: &TenantRecord, known: &Known<'_>) -> String {
        let status = status(record, &standing(record), known, NOW);
        let condition = &status.conditions[0];
        format!(
            "{:?} {}: {}",
            condition.status, condition.reason, condition.message
        )
    }

    #[test]
    fn limits_under_what_there_is_are_said_and_others_are_not() {
        let usage = |used: &str, hard: &str| Usage {
            used: Some(used.to_owned()),
            hard: hard.to_owned(),
        };
        let good = tenant(json!({}), Value::Null);
        let said = |resource: &str, usage: Usage| {
            let known = Known {
                usage: BTreeMap::from([(resource.to_owned(), usage)]),
                ..Known::default()
            };
            let status = status(&good, &standing(&good), &known, NOW);
            assert_eq!(status.usage, known.usage);
            let mut conditions = status.conditions.into_iter();
            let limits = conditions.find(|it| it.kind == Condition::WITHIN_LIMITS);
            limits.map(|it| format!("{:?} {}: {}", it.status, it.reason, it.message))
        };
        assert_eq!(said("pods", usage("4", "4")), None);
        assert_eq!(said("requests.cpu", usage("999m", "1")), None);
        assert_eq!(
            said(
                "pods",
                Usage {
                    used: None,
                    hard: "0".to_owned()
                }
            ),
            None
        );
        assert_eq!(
            said("requests.cpu", usage("1001m", "1")).unwrap(),
            "False LimitBelowUse: nothing more is let in of: requests.cpu (1001m of 1)"
        );
    }

    #[test]
    fn ready_says_what_is_the_case() {
        let good = tenant(json!({}), Value::Null);
        let open = [namespace("acme-a", "u-1", "u-1")];
        let mixed = [
            namespace("acme-a", "u-1", "u-1"),
            namespace("acme-b", "u-1", ""),
        ];
        let foreign = [namespace("acme-a", "u-0", "u-0")];
        let known = |namespaces| Known {
            namespaces,
            ..Known::default()
        };
        assert_eq!(
            ready_of(&good, &known(&[])),
            "True Isolated: 0 namespaces are isolated"
        );
        assert_eq!(
            ready_of(&good, &known(&open)),
            "True Isolated: 1 namespace is isolated"
        );
        assert_eq!(
            ready_of(&good, &known(&mixed)),
            "False NamespacesNotIsolated: these take no pods: acme-b"
        );
        assert_eq!(
            ready_of(&good, &known(&foreign)),
            "False NamespacesNotIsolated: these take no pods: acme-a"
        );
        let incomplete = Known {
            problems: BTreeMap::from([("acme-a".to_owned(), "cannot apply".to_owned())]),
            ..known(&open)
        };
        assert_eq!(
            ready_of(&good, &incomplete),
            "False NamespacesIncomplete: not all is in place in these: acme-a"
        );
        let failure = Known {
            failure: Some("cannot apply".to_owned()),
            ..known(&open)
        };
        assert_eq!(
            ready_of(&good, &failure),
            "False NotReconciled: cannot apply"
        );
        let cordoned = tenant(json!({"cordoned": true}), Value::Null);
        assert_eq!(
            ready_of(&cordoned, &known(&open)),
            "True Isolated: 1 namespace is isolated; the tenant is cordoned"
        );
        let invalid = tenant(json!({"cordoned": 5, "lax": 1}), Value::Null);
        let text = ready_of(&invalid, &known(&open));
        assert!(text.starts_with("False InvalidSpec: "), "{text}");
        assert!(
            text.contains("spec.cordoned") && text.contains("spec.lax"),
            "{text}"
        );
    }

    #[test]
    fn a_deletion_says_what_is_left() {
        let mut record = tenant(json!({}), Value::Null);
        record.deleting = true;
        let left = |names: &[&str]| Known {
            left: Some(names.iter().map(|&name| name.to_owned()).collect()),
            ..Known::default()
        };
        for (known, expected) in [
            (
                Known::default(),
                "False Deleting: access is being withdrawn",
            ),
            (left(&[]), "False Deleting: nothing is left"),
            (
                left(&["a", "b"]),
                "False Deleting: waiting until these are gone: a, b",
            ),
            (
                left(&["a", "b", "c", "d", "e", "f", "g"]),
                "False Deleting: waiting until these are gone: a, b, c, d, e and 2 more",
            ),
        ] {
            assert_eq!(ready_of(&record, &known), expected);
        }
    }

    #[test]
    fn an_unchanged_state_is_an_unchanged_status() {
        let open = [namespace("acme-a", "u-1", "u-1")];
        let known = Known {
            namespaces: &open,
            ..Known::default()
        };
        let of = |record: &TenantRecord, known: &Known<'_>, now: &str| {
            status(record, &standing(record), known, now)
        };
        let first = of(&tenant(json!({}), Value::Null), &known, BEFORE);
        let record = tenant(json!({}), serde_json::to_value(&first).unwrap());
        assert_eq!(of(&record, &known, NOW), first);
        assert_eq!(present(&record), first);
        let closed = [namespace("acme-a", "u-1", "")];
        let changed = of(
            &record,
            &Known {
                namespaces: &closed,
                ..Known::default()
            },
            NOW,
        );
        assert_eq!(changed.conditions[0].last_transition_time, NOW);
        let garbage = tenant(json!({}), json!({"conditions": 7}));
        assert_eq!(present(&garbage), TenantStatus::default());
    }

    #[test]
    fn a_namespace_says_why_it_is_closed() {
        let record = tenant(json!({}), Value::Null);
        let problems = BTreeMap::from([("acme-b".to_owned(), "cannot apply Role".to_owned())]);
        let namespaces = [
            namespace("acme-a", "u-0", "u-0"),
            namespace("acme-b", "u-1", ""),
        ];
        let known = Known {
            namespaces: &namespaces,
            problems,
            ..Known::default()
        };
        let status = status(&record, &standing(&record), &known, NOW);
        let lines: Vec<String> = status
            .namespaces
            .iter()
            .map(|n| format!("{} {} {}", n.name, n.isolated, n.message))
            .collect();
        assert_eq!(
            lines,
            [
                "acme-a false not adopted: its label `bulkhead.dev/tenant-uid` is not this Tenant's UID",
                "acme-b false cannot apply Role",
            ]
        );
    }
}
