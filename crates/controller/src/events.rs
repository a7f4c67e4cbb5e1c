//! Events on Tenants: what operators read in `kubectl describe tenant`. One for each change of a
//! condition's reason and one at the end of a tenant, none while nothing changes.

use std::hash::{BuildHasher as _, RandomState};

use bulkhead_api::{Condition, ConditionStatus, TenantStatus};
use bulkhead_cluster::TenantRecord;
use serde_json::{Value, json};

use crate::context::Context;

/// The namespace of events about objects that are in none.
const NAMESPACE: &str = "default";
/// How long a note may be, by the API.
const LONGEST: usize = 1000;

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// Whether somebody should look.
    pub(crate) warning: bool,
    /// One word in CamelCase.
    pub(crate) reason: String,
    /// A sentence.
    pub(crate) note: String,
}

/// What of a new status is news against the one before.
pub(crate) fn news(before: &TenantStatus, now: &TenantStatus) -> Vec<News> {
    let as_before = |condition: &Condition| {
        before
            .conditions
            .iter()
            .any(|it| it.kind == condition.kind && it.reason == condition.reason)
    };
    let changed = now
        .conditions
        .iter()
        .filter(|condition| !as_before(condition));
    changed
        .map(|condition| News {
            warning: condition.kind == Condition::READY
                && condition.status != ConditionStatus::True
                && condition.reason != "Deleting",
            reason: condition.reason.clone(),
            note: condition.message.clone(),
        })
        .collect()
}

/// Writes an event. One that cannot be written is only logged: nothing depends on it.
pub(crate) async fn tell(context: &Context, record: &TenantRecord, news: News, now: &str) {
    let random = RandomState::new().hash_one(&news.note);
    let event = event(record, &news, now, random);
    if let Err(error) = context.cluster.create(&event).await {
        tracing::debug!(
            tenant = record.name,
            error = error.chain(),
            "cannot write an event"
        );
    }
}

fn event(record: &TenantRecord, news: &News, now: &str, random: u64) -> Value {
    let note: String = news.note.chars().take(LONGEST).collect();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{random:016x}", record.name), "namespace": NAMESPACE},
        // Times of this kind have microseconds.
        "eventTime": now.replace('Z', ".000000Z"),
        "reportingController": "bulkhead.dev/controller",
        "reportingInstance": "controller",
        "type": if news.warning { "Warning" } else { "Normal" },
        "action": "Reconcile",
        "reason": news.reason,
        "note": note,
        "regarding": {
            "apiVersion": bulkhead_api::API_VERSION, "kind": bulkhead_api::KIND,
            "name": record.name, "uid": record.uid,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reasons: &[(&str, ConditionStatus, &str)]) -> TenantStatus {
        let conditions = reasons.iter().map(|(kind, status, reason)| Condition {
            kind: (*kind).to_owned(),
            status: *status,
            reason: (*reason).to_owned(),
            message: format!("about {reason}"),
            last_transition_time: String::new(),
            observed_generation: 1,
        });
        TenantStatus {
            conditions: conditions.collect(),
            ..TenantStatus::default()
        }
    }

    #[test]
    fn only_what_has_changed_is_told() {
        use ConditionStatus::{False, True};
        let ready = status(&[("Ready", True, "Isolated")]);
        assert_eq!(news(&ready, &ready), []);
        let conflict = status(&[
            ("Ready", False, "PrefixConflict"),
            ("Cordoned", True, "Cordoned"),
        ]);
        let told = news(&ready, &conflict);
        let words: Vec<(&str, bool)> = told
            .iter()
            .map(|n| (n.reason.as_str(), n.warning))
            .collect();
        assert_eq!(words, [("PrefixConflict", true), ("Cordoned", false)]);
        let deleting = status(&[("Ready", False, "Deleting")]);
        assert!(!news(&ready, &deleting)[0].warning, "somebody asked for it");
    }

    #[test]
    fn an_event_is_one_that_the_api_takes() {
        let record = TenantRecord::of(json!({"metadata": {"name": "acme", "uid": "u"}})).unwrap();
        let news = News {
            warning: true,
            reason: "InvalidSpec".to_owned(),
            note: "ä".repeat(5_000),
        };
        let event = event(&record, &news, "2026-01-02T03:04:05Z", 7);
        assert_eq!(event["metadata"]["name"], "acme.0000000000000007");
        assert_eq!(event["eventTime"], "2026-01-02T03:04:05.000000Z");
        assert_eq!(event["note"].as_str().unwrap().chars().count(), LONGEST);
    }
}
