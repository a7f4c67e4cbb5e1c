//! What all reconcilers share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bulkhead_cluster::{
    Cluster, ClusterError, Followed, Kind, NamespaceCache, NamespaceRecord, ObjectCache,
    TenantCache,
};
use bulkhead_isolation::LABEL_MANAGED_BY;
use bulkhead_model::labels;
use serde_json::Value;

use crate::grants::Grants;
use crate::metrics::Metrics;
use crate::namespaces;
use crate::nodes::{Note, Notes};
use crate::queue::Queue;

/// What there is to reconcile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The gateway's right to impersonate, for all tenants together.
    Shards,
    /// A Tenant by name: its finalizer, claims, status, and its end.
    Tenant(String),
    /// A namespace by name.
    Namespace(String),
    /// A node by name: whose it is, and whose pods are on it.
    Node(String),
}

/// What is watched whether this process leads or not.
#[derive(Clone)]
pub(crate) struct Caches {
    pub(crate) tenants: TenantCache,
    pub(crate) namespaces: NamespaceCache,
    pub(crate) objects: ObjectCache,
}

impl Caches {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let followed = |kind: Kind, namespace: Option<&str>| Followed {
            kind,
            namespace: namespace.map(str::to_owned),
            selector: ours(None),
        };
        let mut all: Vec<Followed> = namespaces::kinds()
            .into_iter()
            .map(|kind| followed(kind, None))
            .collect();
        // Of Bulkhead's own namespace; the RoleBindings there are among those of all.
        let claims = Kind::new("rbac.authorization.k8s.io/v1", "Role");
        all.push(followed(claims, Some(labels::SYSTEM_NAMESPACE)));
        let objects = ObjectCache::start(cluster, all);
        Self {
            tenants: TenantCache::start(cluster),
            namespaces: NamespaceCache::start_keeping(cluster, &objects),
            objects,
        }
    }

    /// Waits until everything has been listed once.
    pub(crate) async fn ready(&self) {
        self.tenants.ready().await;
        self.namespaces.ready().await;
        self.objects.ready().await;
    }

    /// Whether everything has been listed and all watches stand.
    pub(crate) fn are_ready(&self) -> bool {
        self.tenants.is_ready() && self.namespaces.is_ready() && self.objects.is_ready()
    }
}

/// What all reconcilers share, for as long as this process leads.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) tenants: TenantCache,
    pub(crate) namespaces: NamespaceCache,
    /// Tenants' Namespaces, all that isolates them, and the claims in our own, as last seen.
    pub(crate) objects: ObjectCache,
    pub(crate) queue: Queue<Key>,
    pub(crate) grants: Grants,
    pub(crate) metrics: Metrics,
    /// Shards as they were last seen or applied. Held while shards are written, so that what is
    /// written last was computed last.
    pub(crate) shards: tokio::sync::Mutex<BTreeMap<String, Value>>,
    memory: Mutex<Memory>,
    start: Start,
}

/// How far the first look at everything has come.
#[derive(Default)]
struct Start {
    /// Which feeds have put all that there was into the queue.
    fed: [AtomicBool; 3],
    over: AtomicBool,
}

/// What feeds the queue with all that there is, at first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Feed {
    Tenants,
    Namespaces,
    Objects,
}

/// What is known and stands in no object.
#[derive(Default)]
struct Memory {
    /// What is wrong with namespaces, by name.
    problems: BTreeMap<String, String>,
    /// How nodes stand with tenants.
    nodes: Notes,
    /// Tenants for which no shard has room.
    left_out: BTreeSet<String>,
    /// When this process first saw a deleted tenant without any access, by UID.
    withdrawn: BTreeMap<String, Instant>,
}

impl Context {
    pub(crate) fn new(cluster: Cluster, caches: Caches, metrics: Metrics) -> Self {
        Self {
            tenants: caches.tenants,
            namespaces: caches.namespaces,
            objects: caches.objects,
            grants: Grants::new(&cluster),
            cluster,
            queue: Queue::new(),
            metrics,
            shards: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
            start: Start::default(),
        }
    }

    /// Notes that a feed has put all that there was into the queue.
    pub(crate) fn note_fed(&self, feed: Feed) {
        if let Some(fed) = self.start.fed.get(feed as usize) {
            fed.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_fed(&self, feed: Feed) -> bool {
        let fed = self.start.fed.get(feed as usize);
        fed.is_some_and(|fed| fed.load(Ordering::Acquire))
    }

    /// True once: when everything that there was at first has been looked at, and nothing is
    /// left to do.
    pub(crate) fn is_start_over(&self) -> bool {
        !self.start.over.load(Ordering::Acquire)
            && self.start.fed.iter().all(|fed| fed.load(Ordering::Acquire))
            && self.queue.len() == 0
            && !self.start.over.swap(true, Ordering::AcqRel)
    }

    /// The namespaces that carry a tenant's name, whatever UID they carry.
    pub(crate) fn namespaces_labelled(&self, tenant: &str) -> Vec<Arc<NamespaceRecord>> {
        self.namespaces.select(|namespace| {
            namespace
                .tenant
                .as_ref()
                .is_some_and(|name| name.as_str() == tenant)
        })
    }

    /// Notes what is wrong with a namespace, or that nothing is. True if that is news.
    pub(crate) fn note_problem(&self, namespace: &str, problem: Option<String>) -> bool {
        self.memory(|memory| match problem {
            Some(text) => memory.problems.insert(namespace.to_owned(), text.clone()) != Some(text),
            None => memory.problems.remove(namespace).is_some(),
        })
    }

    pub(crate) fn has_problem(&self, namespace: &str) -> bool {
        self.memory(|memory| memory.problems.contains_key(namespace))
    }

    pub(crate) fn problems(&self) -> BTreeMap<String, String> {
        self.memory(|memory| memory.problems.clone())
    }

    /// Notes how a node stands with tenants, by their names. The result are those for whom that is
    /// news.
    pub(crate) fn note_node(&self, node: &str, now: BTreeMap<String, Note>) -> BTreeSet<String> {
        self.memory(|memory| {
            let of = |key: &(String, String)| key.0 == node;
            let mut before: BTreeMap<String, Note> = BTreeMap::new();
            memory.nodes.retain(|key, note| {
                if of(key) {
                    before.insert(key.1.clone(), note.clone());
                }
                !of(key)
            });
            let news = before
                .keys()
                .chain(now.keys())
                .filter(|tenant| before.get(*tenant) != now.get(*tenant))
                .cloned()
                .collect();
            let noted = now.into_iter();
            memory
                .nodes
                .extend(noted.map(|(tenant, note)| ((node.to_owned(), tenant), note)));
            news
        })
    }

    /// The nodes that a tenant has or would have, by name.
    pub(crate) fn nodes_of(&self, tenant: &str) -> Vec<(String, Note)> {
        self.memory(|memory| {
            let nodes = memory.nodes.iter();
            nodes
                .filter(|((_, of), _)| of == tenant)
                .map(|((node, _), note)| (node.clone(), note.clone()))
                .collect()
        })
    }

    /// Notes which tenants have no place in the shards. The result are those for whom that is
    /// news.
    pub(crate) fn note_left_out(&self, names: BTreeSet<String>) -> Vec<String> {
        self.memory(|memory| {
            let news = memory
                .left_out
                .symmetric_difference(&names)
                .cloned()
                .collect();
            memory.left_out = names;
            news
        })
    }

    pub(crate) fn is_left_out(&self, tenant: &str) -> bool {
        self.memory(|memory| memory.left_out.contains(tenant))
    }

    /// Since when a deleted tenant has had no access, as far as this process knows.
    pub(crate) fn withdrawn_since(&self, uid: &str) -> Instant {
        self.memory(|memory| {
            *memory
                .withdrawn
                .entry(uid.to_owned())
                .or_insert_with(Instant::now)
        })
    }

    /// Starts the clock of [`Self::withdrawn_since`] anew, or forgets the tenant.
    pub(crate) fn forget_withdrawn(&self, uid: &str) {
        self.memory(|memory| memory.withdrawn.remove(uid));
    }

    fn memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The API server did not do or say something.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It did, and yet what was read back is not what was written.
    #[error("still not as it should be: {0}")]
    Differs(String),
    /// There is nothing left to grant.
    #[error("{0}")]
    Exhausted(&'static str),
}

impl ReconcileError {
    /// Somebody else was faster: look again, nothing is wrong.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.is_conflict())
    }

    /// One line for a log or a condition, at most [`LONGEST`] characters: the API server's
    /// refusals can go on for pages.
    pub(crate) fn line(&self) -> String {
        let line = match self {
            Self::Cluster(error) => error.chain(),
            Self::Differs(_) | Self::Exhausted(_) => self.to_string(),
        };
        let line = line.replace('\n', " ");
        match line.char_indices().nth(LONGEST) {
            None => line,
            Some((end, _)) => format!("{} ...", line.get(..end).unwrap_or_default()),
        }
    }
}

/// How long an error's line may be. A status has room for one in each namespace.
const LONGEST: usize = 400;

/// Selects the objects that the controller made for one tenant, or for any.
pub(crate) fn ours(tenant: Option<&str>) -> String {
    let managed = format!("{LABEL_MANAGED_BY}={}", labels::FIELD_MANAGER);
    match tenant {
        Some(tenant) => format!("{managed},{}={tenant}", labels::TENANT),
        None => format!("{managed},{}", labels::TENANT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_errors_are_cut_at_a_character() {
        let long = ReconcileError::Differs("ä".repeat(10_000)).line();
        assert!(long.starts_with("still not as it should be: ä") && long.ends_with("ä ..."));
        assert_eq!(long.chars().count(), LONGEST + 4);
        let short = ReconcileError::Differs("spec".to_owned()).line();
        assert_eq!(short, "still not as it should be: spec");
    }

    #[test]
    fn selectors_name_manager_and_tenant() {
        let managed = "app.kubernetes.io/managed-by=bulkhead";
        assert_eq!(ours(None), format!("{managed},bulkhead.dev/tenant"));
        assert_eq!(
            ours(Some("acme")),
            format!("{managed},bulkhead.dev/tenant=acme")
        );
    }
}
