//! What the controller counts, as Prometheus reads it.

use std::sync::Arc;

use bulkhead_cluster::Cluster;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::context::{Caches, Key};
use crate::queue::Outcome;

/// What the controller counts. Clones share the counters.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    reconciliations: Family<Reconciliation, Counter>,
    writes: Counter,
    leader: Gauge,
    waiting: Gauge,
    tenants: Gauge,
    namespaces: Family<Open, Gauge>,
    objects: Gauge,
    stale: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciliation {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Open {
    state: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("bulkhead_controller");
        let inner = Inner {
            reconciliations: Family::default(),
            writes: Counter::default(),
            leader: Gauge::default(),
            waiting: Gauge::default(),
            tenants: Gauge::default(),
            namespaces: Family::default(),
            objects: Gauge::default(),
            stale: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "reconciliations",
            "Looks at a key, by its kind and how they ended",
            inner.reconciliations.clone(),
        );
        registry.register(
            "writes",
            "Requests of this process that change something, its Lease aside",
            inner.writes.clone(),
        );
        registry.register("leader", "1 while this process leads", inner.leader.clone());
        registry.register(
            "queue_keys",
            "Keys that wait, are worked on, or are to be looked at again",
            inner.waiting.clone(),
        );
        registry.register("tenants", "Tenants that are known", inner.tenants.clone());
        registry.register(
            "namespaces",
            "Tenants' namespaces that are known, by whether they take pods",
            inner.namespaces.clone(),
        );
        registry.register(
            "objects",
            "Objects that are held to compare with",
            inner.objects.clone(),
        );
        registry.register(
            "watches_stale",
            "1 while what is known may be old: not all is listed, or a watch is down",
            inner.stale.clone(),
        );
        Self(Arc::new(Inner { registry, ..inner }))
    }

    /// Where a cluster counts its writes.
    pub(crate) fn count_writes(&self, cluster: &Cluster) -> Cluster {
        let writes = self.0.writes.clone();
        cluster.counted(Arc::new(move || {
            writes.inc();
        }))
    }

    pub(crate) fn note_leading(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    pub(crate) fn note_waiting(&self, keys: usize) {
        self.0.waiting.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    pub(crate) fn note_outcome(&self, key: &Key, outcome: Outcome) {
        let kind = match key {
            Key::Shards => "shards",
            Key::Tenant(_) => "tenant",
            Key::Namespace(_) => "namespace",
            Key::Node(_) => "node",
        };
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::After(_) => "again",
            Outcome::Failed => "failed",
        };
        self.0
            .reconciliations
            .get_or_create(&Reconciliation { kind, outcome })
            .inc();
    }

    /// The text of all, as of now.
    pub(crate) fn text(&self, caches: &Caches) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let inner = &self.0;
        inner.tenants.set(count(caches.tenants.all().len()));
        // One look at the cache for both numbers: it may change between two.
        let all = caches.namespaces.all();
        let open = all.iter().filter(|it| it.is_isolated()).count();
        let set = |state, number| {
            inner
                .namespaces
                .get_or_create(&Open { state })
                .set(count(number))
        };
        set("open", open);
        set("closed", all.len() - open);
        inner.objects.set(count(caches.objects.len()));
        inner.stale.set((!caches.are_ready()).into());
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &inner.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_said() {
        let metrics = Metrics::new();
        metrics.note_leading(true);
        metrics.note_outcome(&Key::Tenant("acme".to_owned()), Outcome::Failed);
        metrics.note_waiting(3);
        let mut text = String::new();
        encode(&mut text, &metrics.0.registry).unwrap();
        for line in [
            "bulkhead_controller_leader 1",
            "bulkhead_controller_queue_keys 3",
            "bulkhead_controller_reconciliations_total{kind=\"tenant\",outcome=\"failed\"} 1",
            "bulkhead_controller_writes_total 0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "expected `{line}` in:\n{text}"
            );
        }
    }
}
