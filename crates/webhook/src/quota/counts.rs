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
    /// Namespaces in which something has changed since somebody asked.
    stirred: BTreeSet<String>,
}

struct Object {
    /// What it uses; none if that cannot be read: nothing more is admitted then.
    used: Option<Amounts>,
    /// Whether it is being deleted: it uses what it uses until it is gone.
    leaving: bool,
}

/// Whose a namespace is, as far as the one who counts is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    /// Another tenant's.
    Others,
    Unknown,
}

/// What came of adding up what exists in a tenant's namespaces.
pub(crate) enum Sum {
    /// So much, up to this point.
    Of(Point, Amounts),
    /// These have objects, and nobody knows whose they are.
    Strange(Vec<String>),
    /// Not known yet, or something in there cannot be counted.
    Uncountable,
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
                let before = std::mem::take(&mut state.namespaces);
                state.stirred.extend(before.into_keys());
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
                    state.stirred.insert(namespace.to_owned());
                    let objects = state.namespaces.get(namespace);
                    if objects.is_none_or(BTreeMap::is_empty) {
                        state.namespaces.remove(namespace);
                        state.foreign.remove(namespace);
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes that a namespace is no tenant's. It is looked at again once it has been empty.
    pub(crate) fn is_foreign(&self, namespace: &str) {
        let mut state = self.lock();
        if state.namespaces.contains_key(namespace) {
            state.foreign.insert(namespace.to_owned());
        }
    }

    /// What exists in a tenant's namespaces. Looked at in one moment, with what is known of namespaces in
    /// the same: what is left out is no tenant's of whom it is asked.
    pub(crate) fn sum(&self, whose: impl Fn(&str) -> Whose) -> Sum {
        let state = self.lock();
        let (mut sum, mut strange, mut countable) = (Amounts::new(), Vec::new(), true);
        for (name, objects) in &state.namespaces {
            match whose(name) {
                Whose::Ours => {
                    for object in objects.values() {
                        match &object.used {
                            Some(used) => add(&mut sum, used),
                            None => countable = false,
                        }
                    }
                }
                Whose::Unknown if !state.foreign.contains(name) => strange.push(name.clone()),
                Whose::Others | Whose::Unknown => {}
            }
        }
        match state.point {
            _ if !strange.is_empty() => Sum::Strange(strange),
            Some(point) if countable => Sum::Of(point, sum),
            _ => Sum::Uncountable,
        }
    }

    /// What is used by objects that are being deleted, in these namespaces.
    pub(crate) fn leaving(&self, is_ours: impl Fn(&str) -> bool) -> Amounts {
        let state = self.lock();
        let ours = state.namespaces.iter().filter(|(name, _)| is_ours(name));
        let mut sum = Amounts::new();
        for object in ours.flat_map(|(_, objects)| objects.values()) {
            if let Some(used) = object.used.as_ref().filter(|_| object.leaving) {
                add(&mut sum, used);
            }
        }
        sum
    }

    /// The namespaces in which something has changed since this was asked last.
    pub(crate) fn stirred(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().stirred)
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
        let object = Object {
            used,
            leaving: metadata("deletionTimestamp").is_some(),
        };
        self.stirred.insert(namespace.to_owned());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_being_deleted_is_counted_until_it_is_gone() {
        let counted = CountedKind::new("", "pods");
        let counts = Counts {
            kind: Kind::new("v1", "Pod"),
            state: Mutex::default(),
        };
        let pod = |namespace: &str, version: u64, deleted: Value| {
            json!({
                "metadata": {
                    "name": "a", "namespace": namespace, "uid": namespace,
                    "resourceVersion": version.to_string(), "deletionTimestamp": deleted,
                },
                "spec": {"containers": []},
            })
        };
        let pods = |of: &str| {
            let leaving = counts.leaving(|name| name == of);
            let Sum::Of(_, used) = counts.sum(|name| match name == of {
                true => Whose::Ours,
                false => Whose::Others,
            }) else {
                panic!("not counted");
            };
            let count = |amounts: &Amounts| amounts.get("pods").map(ToString::to_string);
            (count(&used), count(&leaving))
        };
        let (one, dying) = (Some("1".to_owned()), json!("2026-01-01T00:00:00Z"));
        let all = vec![pod("x", 1, Value::Null), pod("y", 2, dying.clone())];
        counts.hear(&counted, Event::Listed(all), &|_| {});
        assert_eq!(pods("x"), (one.clone(), None));
        assert_eq!(pods("y"), (one.clone(), one.clone()));
        counts.hear(
            &counted,
            Event::Applied(pod("x", 3, dying.clone())),
            &|_| {},
        );
        assert_eq!(pods("x"), (one.clone(), one));
        counts.hear(&counted, Event::Deleted(pod("x", 4, dying)), &|_| {});
        assert_eq!(pods("x"), (None, None));
    }
}
