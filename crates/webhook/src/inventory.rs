//! `data.inventory` of policies in Rego: what Gatekeeper's Config says is synced, followed by watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bulkhead_cluster::{Cluster, Event, Kind};
use bulkhead_rego::{Config, Inventory, Judge, Process};
use serde_json::Value;
use tokio::task::JoinSet;

/// For how long a broken watch may leave what is known as it was. What is older is not known.
const STALE: Duration = Duration::from_secs(30);

/// Objects of the kinds that are synced. Ends with its last owner.
#[derive(Default)]
pub(crate) struct Synced {
    /// What is followed and left out; none if no policy asks.
    config: Option<Config>,
    state: Arc<Mutex<State>>,
    _watches: JoinSet<()>,
}

#[derive(Default)]
struct State {
    inventory: Inventory,
    /// Counts changes, so that who has seen the last one need not look.
    version: u64,
    kinds: BTreeMap<Kind, Followed>,
}

#[derive(Default)]
struct Followed {
    listed: bool,
    /// Since when the watch is down, and why.
    lost: Option<(Instant, String)>,
    /// All that was put in, to be taken out after another list.
    names: BTreeMap<(String, String), Value>,
}

impl Synced {
    /// Follows what a Config names. Starts tasks; needs a tokio runtime.
    pub(crate) fn start(cluster: &Cluster, config: Option<&Config>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let mut watches = JoinSet::new();
        for synced in config.map(|config| &config.sync).into_iter().flatten() {
            let kind = Kind::new(&synced.api_version(), &synced.kind);
            locked(&state)
                .kinds
                .insert(kind.clone(), Followed::default());
            let mut events = cluster.watch(kind.clone(), None, "");
            let (state, config) = (Arc::clone(&state), config.cloned().unwrap_or_default());
            watches.spawn(async move {
                while let Some(event) = events.recv().await {
                    locked(&state).hear(&kind, event, &config);
                }
            });
        }
        Self {
            config: config.cloned(),
            state,
            _watches: watches,
        }
    }

    /// Whether this is what it follows.
    pub(crate) fn is(&self, config: Option<&Config>) -> bool {
        self.config.as_ref() == config
    }

    /// Lets a judge compare with what there is, if it has not `seen` that.
    pub(crate) fn give(&self, judge: &mut Judge, seen: &mut Option<u64>) {
        let state = locked(&self.state);
        let known = match state.unknown() {
            Some(why) => {
                *seen = None;
                Err(why)
            }
            None if *seen == Some(state.version) => return,
            None => {
                *seen = Some(state.version);
                Ok(state.inventory.clone())
            }
        };
        drop(state);
        let given = judge.compare_with(known.as_ref().map_err(Clone::clone));
        if let Err(failure) = given {
            *seen = None;
            let why = format!("the objects in `data.inventory` cannot be used: {failure}");
            // It takes every reason.
            let _ = judge.compare_with(Err(why));
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Why what there is cannot be told.
    fn unknown(&self) -> Option<String> {
        if self.kinds.is_empty() {
            return Some(bulkhead_rego::NOTHING_SYNCED.to_owned());
        }
        self.kinds.iter().find_map(|(kind, followed)| {
            let why = match &followed.lost {
                Some((since, why)) if !followed.listed || since.elapsed() > STALE => why.as_str(),
                None if !followed.listed => "not listed yet",
                _ => return None,
            };
            Some(format!(
                "what stands in `data.inventory` is not known: {kind}: {why}"
            ))
        })
    }

    fn hear(&mut self, kind: &Kind, event: Event, config: &Config) {
        let Some(followed) = self.kinds.get_mut(kind) else {
            return;
        };
        match event {
            Event::Listed(objects) => {
                followed.lost = None;
                followed.listed = true;
                for gone in std::mem::take(&mut followed.names).into_values() {
                    self.inventory.remove(&gone);
                }
                for object in objects {
                    followed.put(&mut self.inventory, object, config);
                }
            }
            Event::Applied(object) => {
                followed.lost = None;
                followed.put(&mut self.inventory, object, config);
            }
            Event::Deleted(object) => {
                followed.names.remove(&name(&object));
                self.inventory.remove(&object);
            }
            Event::Lost(why) => {
                followed.lost.get_or_insert_with(|| (Instant::now(), why));
                return;
            }
            _ => {
                followed.lost = None;
                return;
            }
        }
        self.version += 1;
    }
}

impl Followed {
    fn put(&mut self, inventory: &mut Inventory, object: Value, config: &Config) {
        let name = name(&object);
        if config.excludes(Process::Sync, &name.0) {
            return;
        }
        inventory.put(&object);
        let text = |key: &str| object.get(key).cloned().unwrap_or_default();
        let metadata = serde_json::json!({"namespace": name.0, "name": name.1});
        let path = serde_json::json!({
            "apiVersion": text("apiVersion"), "kind": text("kind"), "metadata": metadata,
        });
        self.names.insert(name, path);
    }
}

fn name(object: &Value) -> (String, String) {
    let text = |pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    (text("/metadata/namespace"), text("/metadata/name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ingress(name: &str) -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
               "metadata": {"namespace": "a", "name": name}})
    }

    #[test]
    fn what_is_not_listed_or_long_lost_is_not_known() {
        let kind = Kind::new("networking.k8s.io/v1", "Ingress");
        let config = Config::default();
        let mut state = State::default();
        assert!(state.unknown().unwrap().contains("Config"));
        state.kinds.insert(kind.clone(), Followed::default());
        assert!(state.unknown().unwrap().contains("not listed yet"));
        state.hear(&kind, Event::Lost("forbidden".to_owned()), &config);
        assert!(state.unknown().unwrap().contains("forbidden"));
        state.hear(
            &kind,
            Event::Listed(vec![ingress("x"), ingress("y")]),
            &config,
        );
        assert_eq!(state.unknown(), None);
        let version = state.version;
        state.hear(&kind, Event::Lost("gone".to_owned()), &config);
        assert_eq!(state.unknown(), None, "for a while what was known holds");
        let long = Instant::now().checked_sub(STALE * 2).unwrap();
        state.kinds.get_mut(&kind).unwrap().lost = Some((long, "gone".to_owned()));
        assert!(state.unknown().unwrap().contains("gone"));
        state.hear(&kind, Event::Listed(vec![ingress("y")]), &config);
        assert_eq!(state.kinds[&kind].names.len(), 1);
        state.hear(&kind, Event::Deleted(ingress("y")), &config);
        assert!(state.kinds[&kind].names.is_empty() && state.version > version);
    }
}
