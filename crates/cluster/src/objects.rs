//! Objects of several kinds as they were last seen, held small: a controller that starts again
//! compares what should be with these, and asks the API server for nothing but lists.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bulkhead_model::labels;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, typed};
use crate::resource::Kind;
use crate::watch::Event;

/// Objects of several kinds, kept up to date by watches that live as long as the cache. Clones
/// share the objects.
#[derive(Clone)]
pub struct ObjectCache {
    shared: Arc<Shared>,
    /// Aborted with the last clone.
    _watches: Arc<JoinSet<()>>,
}

/// What is followed: a kind, where, and with which labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The kind.
    pub kind: Kind,
    /// The namespace; none: all.
    pub namespace: Option<String>,
    /// The label selector; empty: all objects.
    pub selector: String,
}

/// An object that is new, changed or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The object's namespace.
    pub namespace: String,
    /// The tenant that its label names.
    pub tenant: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: RwLock<State>,
    changes: watch::Sender<u64>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Touched>>>,
}

#[derive(Default)]
struct State {
    sources: Vec<Source>,
    /// By namespace, source and name. A Namespace object stands in itself.
    objects: BTreeMap<(String, usize, String), Held>,
    /// The sources and names of a tenant's objects, by namespace and tenant.
    of_tenant: BTreeMap<(String, String), BTreeSet<(usize, String)>>,
}

struct Source {
    kind: Kind,
    /// Whether others hear of its objects.
    announced: bool,
    /// Whether everything was listed once.
    listed: bool,
    /// Whether the watch is down.
    lost: bool,
}

struct Held {
    tenant: Option<String>,
    /// JSON, which takes a tenth of what a tree of values does.
    text: Box<str>,
}

/// An object, made small on arrival.
pub(crate) struct Kept {
    namespace: String,
    name: String,
    tenant: Option<String>,
    text: Box<str>,
}

/// Takes the events of one kind.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    source: usize,
}

impl ObjectCache {
    /// Follows all of these. Starts tasks; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster, followed: Vec<Followed>) -> Self {
        let shared = Arc::new(Shared::default());
        let mut watches = JoinSet::new();
        for followed in followed {
            let mut keeper = shared.keeper(followed.kind.clone(), true);
            let mut events = cluster.watch_as(
                followed.kind,
                followed.namespace.as_deref(),
                &followed.selector,
                |object| Some(Kept::of(&object)),
            );
            watches.spawn(async move {
                while let Some(event) = events.recv().await {
                    keeper.hear(event);
                }
            });
        }
        Self {
            shared,
            _watches: Arc::new(watches),
        }
    }

    /// A further kind, whose events somebody else follows.
    pub(crate) fn keeper(&self, kind: Kind, announced: bool) -> Keeper {
        self.shared.keeper(kind, announced)
    }

    /// The objects in a namespace, and the Namespace itself if that is kept.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Value> {
        let state = self.shared.read();
        let from = (namespace.to_owned(), 0, String::new());
        let range = state
            .objects
            .range((Bound::Included(from), Bound::Unbounded));
        range
            .take_while(|((place, ..), _)| place == namespace)
            .filter_map(|((_, source, _), held)| state.value(*source, held))
            .collect()
    }

    /// The objects in a namespace whose label names the tenant.
    #[must_use]
    pub fn of_tenant(&self, namespace: &str, tenant: &str) -> Vec<Value> {
        let state = self.shared.read();
        let names = state
            .of_tenant
            .get(&(namespace.to_owned(), tenant.to_owned()));
        names
            .into_iter()
            .flatten()
            .filter_map(|(source, name)| {
                let key = (namespace.to_owned(), *source, name.clone());
                state.value(*source, state.objects.get(&key)?)
            })
            .collect()
    }

    /// Waits until everything has been listed once.
    pub async fn ready(&self) {
        let mut changes = self.shared.changes.subscribe();
        while !self
            .shared
            .read()
            .sources
            .iter()
            .all(|source| source.listed)
        {
            // The sender is in our own hand.
            let _ = changes.changed().await;
        }
    }

    /// Whether everything has been listed and all watches stand.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.shared.read();
        state
            .sources
            .iter()
            .all(|source| source.listed && !source.lost)
    }

    /// How many objects are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.read().objects.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every object that there is, then each one that is new, changed or gone. No change goes
    /// unheard.
    #[must_use]
    pub fn touched(&self) -> mpsc::UnboundedReceiver<Touched> {
        let (sender, receiver) = mpsc::unbounded_channel();
        // The subscription comes first: a change in between is heard twice rather than never.
        self.shared.subscribers().push(sender.clone());
        let state = self.shared.read();
        let mut last = None;
        for ((namespace, source, _), held) in &state.objects {
            let announced = state.sources.get(*source).is_some_and(|s| s.announced);
            let touched = Touched {
                namespace: namespace.clone(),
                tenant: held.tenant.clone(),
            };
            if announced && last.as_ref() != Some(&touched) {
                let _ = sender.send(touched.clone());
                last = Some(touched);
            }
        }
        receiver
    }
}

impl Shared {
    fn keeper(self: &Arc<Self>, kind: Kind, announced: bool) -> Keeper {
        let mut state = self.write();
        state.sources.push(Source {
            kind,
            announced,
            listed: false,
            lost: true,
        });
        Keeper {
            shared: self.clone(),
            source: state.sources.len() - 1,
        }
    }

    // A panic while a lock is held cannot leave anything half changed, so poison is no news.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<mpsc::UnboundedSender<Touched>>> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn value(&self, source: usize, held: &Held) -> Option<Value> {
        let kind = &self.sources.get(source)?.kind;
        Some(typed(serde_json::from_str(&held.text).ok()?, kind))
    }

    fn put(&mut self, source: usize, kept: Kept) -> Touched {
        self.take(source, &kept.namespace, &kept.name);
        if let Some(tenant) = &kept.tenant {
            let place = (kept.namespace.clone(), tenant.clone());
            let names = self.of_tenant.entry(place).or_default();
            names.insert((source, kept.name.clone()));
        }
        let touched = Touched {
            namespace: kept.namespace.clone(),
            tenant: kept.tenant.clone(),
        };
        let held = Held {
            tenant: kept.tenant,
            text: kept.text,
        };
        self.objects
            .insert((kept.namespace, source, kept.name), held);
        touched
    }

    fn take(&mut self, source: usize, namespace: &str, name: &str) -> Option<Touched> {
        let key = (namespace.to_owned(), source, name.to_owned());
        let held = self.objects.remove(&key)?;
        if let Some(tenant) = &held.tenant {
            let place = (namespace.to_owned(), tenant.clone());
            if let Some(names) = self.of_tenant.get_mut(&place) {
                names.remove(&(source, name.to_owned()));
                if names.is_empty() {
                    self.of_tenant.remove(&place);
                }
            }
        }
        Some(Touched {
            namespace: namespace.to_owned(),
            tenant: held.tenant,
        })
    }
}

impl Keeper {
    /// Takes an event over.
    pub(crate) fn hear(&mut self, event: Event<Kept>) {
        let mut state = self.shared.write();
        if let Some(source) = state.sources.get_mut(self.source) {
            source.lost = matches!(event, Event::Lost(_));
            source.listed |= matches!(event, Event::Listed(_));
        }
        let touched: Vec<Touched> = match event {
            Event::Listed(objects) => {
                let mut gone: BTreeSet<(String, String)> = state
                    .objects
                    .keys()
                    .filter(|(_, source, _)| *source == self.source)
                    .map(|(namespace, _, name)| (namespace.clone(), name.clone()))
                    .collect();
                let mut touched = Vec::new();
                for kept in objects {
                    gone.remove(&(kept.namespace.clone(), kept.name.clone()));
                    touched.push(state.put(self.source, kept));
                }
                touched.extend(
                    gone.iter()
                        .filter_map(|(namespace, name)| state.take(self.source, namespace, name)),
                );
                touched
            }
            Event::Applied(kept) => vec![state.put(self.source, kept)],
            Event::Deleted(kept) => state
                .take(self.source, &kept.namespace, &kept.name)
                .into_iter()
                .collect(),
            Event::Connected | Event::Lost(_) => Vec::new(),
        };
        let announced = state.sources.get(self.source).is_some_and(|s| s.announced);
        drop(state);
        self.shared
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
        if announced {
            self.shared.subscribers().retain(|subscriber| {
                touched
                    .iter()
                    .all(|one| subscriber.send(one.clone()).is_ok())
            });
        }
    }
}

impl Kept {
    /// What is needed of an object to compare it with another, change it and delete it.
    pub(crate) fn of(object: &Value) -> Self {
        let metadata = object.get("metadata");
        let text = |field: &str| {
            let value = metadata.and_then(|metadata| metadata.get(field));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let name = text("name");
        let namespace = match text("namespace") {
            namespace if namespace.is_empty() => name.clone(),
            namespace => namespace,
        };
        let tenant = metadata
            .and_then(|metadata| metadata.get("labels")?.get(labels::TENANT)?.as_str())
            .map(str::to_owned);
        let mut small = Map::new();
        for (key, value) in object.as_object().into_iter().flatten() {
            match key.as_str() {
                "apiVersion" | "kind" => {}
                "metadata" => drop(small.insert(key.clone(), shrink(value))),
                _ => drop(small.insert(key.clone(), value.clone())),
            }
        }
        Self {
            namespace,
            name,
            tenant,
            text: Value::Object(small).to_string().into_boxed_str(),
        }
    }
}

/// Metadata without what nobody compares: of the managed fields, only ours tell what an earlier
/// apply has set.
fn shrink(metadata: &Value) -> Value {
    let mut small = Map::new();
    for (key, value) in metadata.as_object().into_iter().flatten() {
        match key.as_str() {
            "name" | "namespace" | "uid" | "resourceVersion" | "labels" | "annotations"
            | "deletionTimestamp" | "finalizers" => drop(small.insert(key.clone(), value.clone())),
            "managedFields" => {
                let ours = value.as_array().into_iter().flatten().filter(|entry| {
                    let text = |field: &str| entry.get(field).and_then(Value::as_str);
                    text("manager") == Some(labels::FIELD_MANAGER)
                        && text("operation") == Some("Apply")
                });
                let ours: Vec<Value> = ours.cloned().collect();
                if !ours.is_empty() {
                    small.insert(key.clone(), ours.into());
                }
            }
            _ => {}
        }
    }
    Value::Object(small)
}

#[cfg(test)]
mod tests;
