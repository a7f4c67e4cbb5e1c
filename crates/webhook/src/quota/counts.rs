//! What exists of the kinds that quotas count, as the API server's watches tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_cluster::{Cluster, Event, Kind};
use bulkhead_isolation::ledger::account::Point;
use bulkhead_isolation::ledger::usage::usage;
use bulkhead_model::counted::CountedKind;
use bulkhead_model::quantity::{Amounts, add};
use serde_json::Value;

/// The objects of one kind, in every namespace.
pub(crate) struct Counts {
    kind: Kind,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Up to where all is known; none until everything was listed once.
    point: Option<Point>,
    namespaces: BTreeMap<String, BTreeMap<String, Object>>,
    /// Namespaces that were looked at while they had objects, and are no tenant's.
    foreign: BTreeSet<String>,
}

struct Object {
    /// What it uses; none if that cannot be read: nothing more is admitted then.
    used: Option<Amounts>,
}

/// What is told of one object: its UID, its own version, what it uses, and up to where all is known.
pub(crate) type Sighting<'a> = (&'a str, Point, Option<&'a Amounts>, Point);

impl Counts {
    /// Follows a kind. `sighted` hears of each object that is new or has changed.
    pub(crate) fn follow(
        cluster: &Cluster,
        counted: &CountedKind,
        kind: Kind,
        sighted: impl Fn(Sighting<'_>) + Send + 'static,
        moved: impl Fn() + Send + 'static,
    ) -> Arc<Self> {
        let counts = Arc::new(Self {
            kind: kind.clone(),
            state: Mutex::default(),
        });
        let mut events = cluster.watch(kind, None, "");
        let (weak, counted) = (Arc::downgrade(&counts), counted.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(counts) = weak.upgrade() else { return };
                counts.hear(&counted, event, &sighted);
                moved();
            }
        });
        counts
    }

    fn hear(&self, counted: &CountedKind, event: Event, sighted: &impl Fn(Sighting<'_>)) {
        let mut state = self.lock();
        match event {
            Event::Listed(objects) => {
                state.namespaces.clear();
                state.foreign.clear();
                // A list's own version is not told. That of the youngest object in it is a point up to
                // which the list is complete too.
                let youngest = objects.iter().filter_map(version).max();
                state.point = Some(youngest.max(state.point).unwrap_or_default());
                for object in &objects {
                    state.put(counted, object, sighted);
                }
            }
            Event::Applied(object) => {
                state.point = version(&object).max(state.point);
                state.put(counted, &object, sighted);
            }
            Event::Deleted(object) => {
                state.point = version(&object).max(state.point);
                if let Some((namespace, name)) = place(&object)
                    && let Some(objects) = state.namespaces.get_mut(namespace)
                {
                    objects.remove(name);
                    if objects.is_empty() {
                        state.namespaces.remove(namespace);
                        state.foreign.remove(namespace);
                    }
                }
            }
            _ => {}
        }
    }

    /// Namespaces that have objects, and of which it is not known whose they are.
    pub(crate) fn strange(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        let state = self.lock();
        let names = state.namespaces.keys();
        names
            .filter(|name| !state.foreign.contains(*name) && !known(name))
            .cloned()
            .collect()
    }

    /// Notes that a namespace is no tenant's. It is looked at again once it has been empty.
    pub(crate) fn is_foreign(&self, namespace: &str) {
        let mut state = self.lock();
        if state.namespaces.contains_key(namespace) {
            state.foreign.insert(namespace.to_owned());
        }
    }

    /// What exists in these namespaces and up to where that is known. None: not known yet, or
    /// something cannot be counted.
    pub(crate) fn sum(&self, namespaces: &[String]) -> Option<(Point, Amounts)> {
        let state = self.lock();
        let mut sum = Amounts::new();
        let found = namespaces.iter().filter_map(|n| state.namespaces.get(n));
        for object in found.flat_map(BTreeMap::values) {
            add(&mut sum, object.used.as_ref()?);
        }
        Some((state.point?, sum))
    }

    /// How the API server calls the kind.
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether everything was listed once.
    pub(crate) fn is_ready(&self) -> bool {
        self.lock().point.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, counted: &CountedKind, object: &Value, sighted: &impl Fn(Sighting<'_>)) {
        let (Some((namespace, name)), Some(point)) = (place(object), self.point) else {
            return;
        };
        let metadata = |field: &str| object.get("metadata")?.get(field)?.as_str();
        let uid = metadata("uid").unwrap_or_default().to_owned();
        let version = version(object).unwrap_or(point);
        let used = usage(counted, object).ok();
        sighted((&uid, version, used.as_ref(), point));
        let object = Object { used };
        self.namespaces
            .entry(namespace.to_owned())
            .or_default()
            .insert(name.to_owned(), object);
    }
}

pub(crate) fn version(object: &Value) -> Option<Point> {
    let version = object.get("metadata")?.get("resourceVersion")?;
    version.as_str()?.parse().ok()
}

fn place(object: &Value) -> Option<(&str, &str)> {
    let metadata = object.get("metadata")?;
    let name = metadata.get("name")?.as_str()?;
    Some((metadata.get("namespace")?.as_str()?, name))
}
