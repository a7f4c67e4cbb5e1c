//! Policies in Rego, as the cluster has them: read every other second, and compiled once for each
//! of those that evaluate at the same time.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bulkhead_cluster::{Cluster, Kind, ObjectRef};
use bulkhead_model::{Json, json};
use bulkhead_rego::{
    Action, Inventory, Judge, Loader, Policies, Refusal, Review, bare_policy, load, policy_id,
};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use crate::answer::{Answer, Denial};
use crate::inventory::Synced;

/// How old the policies may be that requests are judged by.
const EVERY: Duration = Duration::from_secs(2);
/// The API server waits three seconds for the whole answer.
const LOOK: Duration = Duration::from_millis(800);
/// More refusals than this help nobody.
const MOST: usize = 10;

/// What the cluster's administrators have written.
pub(crate) struct Rego {
    cluster: Option<Cluster>,
    state: RwLock<Arc<State>>,
    /// Those that are not in use.
    judges: Mutex<Vec<Free>>,
    /// What policies compare with.
    synced: Mutex<Arc<Synced>>,
}

/// A judge that nobody uses, by the policies and the objects that it knows.
struct Free {
    generation: u64,
    seen: Option<u64>,
    judge: Judge,
}

#[derive(Default)]
struct State {
    generation: u64,
    /// Whether anybody has looked.
    known: bool,
    objects: Vec<Value>,
    policies: Policies,
    /// What got in without being asked about, and cannot be judged by.
    refused: Vec<Refusal>,
}

impl State {
    fn is_empty(&self) -> bool {
        self.known && self.objects.is_empty()
    }
}

impl Rego {
    /// Policies that nobody reads: of a webhook without a cluster there are none.
    pub(crate) fn fixed(objects: Vec<Value>) -> Self {
        let rego = Self {
            cluster: None,
            state: RwLock::default(),
            judges: Mutex::default(),
            synced: Mutex::default(),
        };
        rego.take(objects);
        rego
    }

    /// Reads the policies of a cluster, for as long as the process lives.
    pub(crate) fn start(cluster: &Cluster) -> Arc<Self> {
        let rego = Arc::new(Self {
            cluster: Some(cluster.clone()),
            state: RwLock::default(),
            judges: Mutex::default(),
            synced: Mutex::default(),
        });
        let reader = Arc::clone(&rego);
        tokio::spawn(async move {
            loop {
                reader.read().await;
                tokio::time::sleep(EVERY).await;
            }
        });
        rego
    }

    /// Whether it knows which policies there are.
    pub(crate) fn is_ready(&self) -> bool {
        self.state().known
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(&self) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        match cluster.rego_policies().await {
            Ok(objects) => self.take(objects.into_iter().map(bare_policy).collect()),
            // What is known stays in force.
            Err(error) => tracing::warn!(%error, "cannot read the policies"),
        }
    }

    fn take(&self, objects: Vec<Value>) {
        let old = self.state();
        if old.known && old.objects == objects {
            return;
        }
        let (policies, refused) = load(&objects);
        for refusal in &refused {
            tracing::error!(%refusal, "a policy cannot be used, which denies");
        }
        self.follow(&policies);
        let state = State {
            generation: old.generation + 1,
            known: true,
            objects,
            policies,
            refused,
        };
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        self.judges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Follows what these policies compare with, and nothing that none of them asks for.
    fn follow(&self, policies: &Policies) {
        let wanted = policies.asks_for_inventory();
        let config = Some(&policies.config).filter(|_| wanted);
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = self.cluster.as_ref().filter(|_| !synced.is(config)) {
            *synced = Arc::new(Synced::start(cluster, config));
        }
    }

    /// What the policies say to a request. `body` is the whole AdmissionReview.
    pub(crate) async fn judge(self: &Arc<Self>, body: Bytes, namespace: Option<&str>) -> Answer {
        let state = self.state();
        if state.is_empty() {
            return Answer::Allowed;
        }
        if !state.known {
            return denied("the policies of the cluster are not known yet");
        }
        if let Some(refusal) = state.refused.first() {
            return denied(format!("a policy cannot be used: {refusal}"));
        }
        let namespace = match (namespace, state.policies.templates.is_empty()) {
            (Some(name), false) => self.namespace(name).await,
            _ => None,
        };
        let rego = Arc::clone(self);
        let judged =
            tokio::task::spawn_blocking(move || rego.evaluate(&state, &body, namespace.as_ref()));
        judged.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an evaluation broke off");
            denied("the policies could not be evaluated")
        })
    }

    async fn namespace(&self, name: &str) -> Option<Value> {
        let reference = ObjectRef::cluster(Kind::namespace(), name);
        match timeout(LOOK, self.cluster.as_ref()?.get(&reference)).await {
            Ok(Ok(found)) => found,
            // A constraint that asks for the namespace's labels says so, and denies.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn evaluate(&self, state: &State, body: &[u8], namespace: Option<&Value>) -> Answer {
        let Ok(review) = json::parse(body) else {
            return denied("the AdmissionReview cannot be read");
        };
        let Some(request) = review.get("request") else {
            return denied("the AdmissionReview has no request");
        };
        let mut judge = match self.borrow(state) {
            Ok(judge) => judge,
            Err(refusals) => {
                return denied(format!("a policy cannot be used: {}", told(&refusals)));
            }
        };
        let namespace = namespace.map(Json::from);
        let found = judge.judge.review(&Review {
            request,
            namespace: namespace.as_ref(),
        });
        let mut judges = self.judges.lock().unwrap_or_else(PoisonError::into_inner);
        judges.push(judge);
        drop(judges);
        let of = |action: Action| {
            let of = found
                .iter()
                .filter(move |violation| violation.action == action);
            of.map(ToString::to_string).collect::<Vec<_>>()
        };
        let (refused, warned) = (of(Action::Deny), of(Action::Warn));
        match (refused.is_empty(), warned.is_empty()) {
            (false, _) => denied(refused.join("\n")),
            (true, false) => Answer::Warned(warned),
            (true, true) => Answer::Allowed,
        }
    }

    /// A judge that nobody uses, or a new one, and what it compares with as that is now.
    fn borrow(&self, state: &State) -> Result<Free, Vec<Refusal>> {
        let mut judges = self.judges.lock().unwrap_or_else(PoisonError::into_inner);
        judges.retain(|free| free.generation == state.generation);
        let free = judges.pop();
        drop(judges);
        let mut free = match free {
            Some(free) => free,
            None => Free {
                generation: state.generation,
                seen: None,
                judge: state.policies.judge(&Inventory::default())?,
            },
        };
        if state.policies.asks_for_inventory() {
            let synced = {
                let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(&synced)
            };
            synced.give(&mut free.judge, &mut free.seen);
        }
        Ok(free)
    }

    /// Whether a policy that is written could be used, together with those that are there.
    pub(crate) async fn check(self: &Arc<Self>, object: Option<Value>) -> Answer {
        let Some(object) = object else {
            return Answer::Allowed;
        };
        self.read().await;
        let state = self.state();
        let checked = tokio::task::spawn_blocking(move || refusals(&state, object));
        match checked.await {
            Ok(refusals) if refusals.is_empty() => Answer::Allowed,
            Ok(refusals) => denied(told(&refusals)),
            Err(error) => {
                tracing::error!(%error, "a check broke off");
                denied("the policy could not be checked")
            }
        }
    }
}

fn denied(message: impl Into<String>) -> Answer {
    Answer::Denied(Denial {
        controls: vec!["policy"],
        ..Denial::forbidden(message)
    })
}

fn told(refusals: &[Refusal]) -> String {
    let texts = refusals.iter().take(MOST).map(ToString::to_string);
    texts.collect::<Vec<_>>().join("\n")
}

/// What is wrong once this object is there, and was not before.
fn refusals(state: &State, object: Value) -> Vec<Refusal> {
    let mut objects = state.objects.clone();
    let id = policy_id(&object);
    objects.retain(|known| policy_id(known) != id);
    let taken = {
        let mut loader = Loader::default();
        loader.object(&id, &object)
    };
    if !taken {
        return Vec::new();
    }
    objects.push(object);
    let (policies, mut refusals) = load(&objects);
    if refusals.is_empty() {
        refusals = policies
            .judge(&Inventory::default())
            .err()
            .unwrap_or_default();
    }
    refusals.retain(|refusal| !state.refused.contains(refusal));
    refusals
}
