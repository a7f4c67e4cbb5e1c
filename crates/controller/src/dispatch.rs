//! From what happens in the cluster to what is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_cluster::{NamespaceRecord, TenantRecord, Touched};
use bulkhead_model::{Prefix, labels};

use crate::context::{Context, Feed, Key};
use crate::shards;

/// How long a tenant's status may lag behind its namespaces, so that many changes make one write.
const SETTLE: Duration = Duration::from_millis(200);
/// How often everything is looked at though nothing has happened.
const RESYNC: Duration = Duration::from_secs(300);
/// How often the forwarder's shards are read.
const SHARDS: Duration = Duration::from_secs(10);

/// Follows the Tenants. Ends only if the cache does.
pub(crate) async fn tenants(context: &Context) {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut names = context.tenants.names();
    loop {
        if names.is_empty() {
            context.note_fed(Feed::Tenants);
        }
        let Some(name) = names.recv().await else {
            return;
        };
        context.queue.add(Key::Tenant(name.clone()));
        let now = context.tenants.get(&name).map(|record| Seen::of(&record));
        let before = match &now {
            Some(now) => seen.insert(name.clone(), now.clone()),
            None => seen.remove(&name),
        };
        // Statuses and finalizers are our own doing and concern nobody else.
        if before == now {
            continue;
        }
        context.queue.add(Key::Shards);
        for namespace in context.namespaces_labelled(&name) {
            context
                .queue
                .add(Key::Namespace(namespace.name.to_string()));
        }
        let prefixes = [before.and_then(|b| b.prefix), now.and_then(|n| n.prefix)];
        let overlaps = |other: &TenantRecord, prefix: &Prefix| {
            other
                .tenant
                .as_ref()
                .is_ok_and(|tenant| tenant.prefix.overlaps(prefix))
        };
        let concerned = context.tenants.select(|other| {
            other.name != name
                && prefixes
                    .iter()
                    .flatten()
                    .any(|prefix| overlaps(other, prefix))
        });
        for other in concerned {
            context.queue.add(Key::Tenant(other.name.clone()));
        }
    }
}

/// What others see of a Tenant.
#[derive(Clone, PartialEq)]
struct Seen {
    uid: String,
    generation: i64,
    deleting: bool,
    prefix: Option<Prefix>,
}

impl Seen {
    fn of(record: &TenantRecord) -> Self {
        Self {
            uid: record.uid.clone(),
            generation: record.generation,
            deleting: record.deleting,
            prefix: record
                .tenant
                .as_ref()
                .ok()
                .map(|tenant| tenant.prefix.clone()),
        }
    }
}

/// Follows the tenants' namespaces. Ends only if the cache does.
pub(crate) async fn namespaces(context: &Context) {
    let mut seen: BTreeMap<String, Arc<NamespaceRecord>> = BTreeMap::new();
    let mut names = context.namespaces.names();
    loop {
        if names.is_empty() {
            context.note_fed(Feed::Namespaces);
        }
        let Some(name) = names.recv().await else {
            return;
        };
        context.queue.add(Key::Namespace(name.clone()));
        let now = context.namespaces.get(&name);
        let before = match &now {
            Some(now) => seen.insert(name, now.clone()),
            None => seen.remove(&name),
        };
        // At first every Tenant is looked at anyway.
        if before != now && context.is_fed(Feed::Namespaces) {
            let concerned: BTreeSet<String> = [before, now]
                .into_iter()
                .flatten()
                .filter_map(|record| record.tenant.as_ref().map(ToString::to_string))
                .collect();
            for tenant in concerned {
                context.queue.add_after(Key::Tenant(tenant), SETTLE);
            }
        }
    }
}

/// Follows everything that isolates, so that what is changed is mended at once, and what is left
/// over in places that are no tenant's any more is found. Ends only if the cache does.
pub(crate) async fn drift(context: &Context) {
    let mut touched = context.objects.touched();
    loop {
        if touched.is_empty() {
            context.note_fed(Feed::Objects);
        }
        let Some(object) = touched.recv().await else {
            return;
        };
        if let Some(key) = concerned(object) {
            context.queue.add(key);
        }
    }
}

/// Whose reconciliation looks after an object: its namespace's, or its tenant's for claims.
fn concerned(object: Touched) -> Option<Key> {
    if object.namespace == labels::SYSTEM_NAMESPACE {
        object.tenant.map(Key::Tenant)
    } else {
        Some(Key::Namespace(object.namespace))
    }
}

/// Has the forwarder's shards read again and again. They can be had by name only, so nothing tells
/// of a change. Never ends.
pub(crate) async fn shards(context: &Context) {
    loop {
        tokio::time::sleep(SHARDS).await;
        shards::forget(context).await;
        context.queue.add(Key::Shards);
    }
}

/// Has everything looked at again and again, spread over the time, so that the API server sees
/// a trickle. Never ends.
pub(crate) async fn resync(context: &Context) {
    loop {
        tokio::time::sleep(RESYNC).await;
        let tenants = context.tenants.all();
        let namespaces = context.namespaces.all();
        let keys: Vec<Key> = tenants
            .iter()
            .map(|tenant| Key::Tenant(tenant.name.clone()))
            .chain(
                namespaces
                    .iter()
                    .map(|n| Key::Namespace(n.name.to_string())),
            )
            .collect();
        let step = RESYNC / u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let mut delay = Duration::ZERO;
        for key in keys {
            context.queue.add_after(key, delay);
            delay += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_somebody_who_looks_after_it() {
        let touched = |namespace: &str, tenant: Option<&str>| Touched {
            namespace: namespace.to_owned(),
            tenant: tenant.map(str::to_owned),
        };
        for (object, expected) in [
            (
                touched("acme-dev", Some("acme")),
                Some(Key::Namespace("acme-dev".to_owned())),
            ),
            (
                touched(labels::SYSTEM_NAMESPACE, Some("acme")),
                Some(Key::Tenant("acme".to_owned())),
            ),
            (touched(labels::SYSTEM_NAMESPACE, None), None),
        ] {
            assert_eq!(concerned(object), expected);
        }
    }
}
