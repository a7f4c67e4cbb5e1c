//! Makes tenants' namespaces safe, keeps them so, and takes them down in order.
//!
//! Events of the cluster put keys into a queue; workers take a key, read what is, decide
//! (`decide`, plain functions), and write the difference. Nothing is remembered that matters:
//! a controller that is killed anywhere and started again ends up at the same.
//!
//! Something more to reconcile is a variant of `context::Key`, a file with its `reconcile`, an
//! arm in `reconcile` here, and a feed in `work` that adds keys when something happens. Keys
//! run side by side, but no key twice at a time; whatever else is learnt of a tenant goes into
//! its status through `tenants`. All writes go through `context.cluster`, whose fence is down
//! once another leads; each must be conditional (a UID or a resource version) or come out the
//! same when made twice.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
pub use bulkhead_cluster::LeaseTimes;
use bulkhead_cluster::{Cluster, Election};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::context::{Caches, Context, Key, ReconcileError};
use crate::metrics::Metrics;
use crate::queue::Outcome;

mod apply;
mod audit;
mod context;
mod decide;
mod dispatch;
mod events;
mod grants;
mod hostnames;
mod metrics;
mod namespaces;
mod nodes;
mod prefixes;
mod queue;
mod quotas;
mod rego;
mod shards;
mod tenants;

/// How many keys are worked on at a time.
const WORKERS: usize = 8;

/// The Lease in Bulkhead's namespace that the leading controller holds.
pub const LEASE: &str = "bulkhead-controller";

/// What the controller needs to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller's own credential.
    pub kubeconfig: PathBuf,
    /// Where `/healthz` and `/readyz` are served, by plain HTTP.
    pub health: SocketAddr,
    /// What tells this process from other controllers, such as a Pod's name. A suffix is added
    /// that a restarted process does not have.
    pub identity: String,
    /// The times of the election.
    pub lease: LeaseTimes,
    /// How often policies in Rego are asked about what exists already; zero: never.
    pub audit_interval: std::time::Duration,
}

/// Runs until `stop`. Of several controllers one leads and writes; the others stand by, with
/// caches that are up to date.
///
/// # Errors
/// If the kubeconfig cannot be used, the health address cannot be listened on, or a watch ends
/// for good. An API server that is down is no error: it is waited for.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&config.kubeconfig).await?;
    let caches = Caches::start(&cluster);
    let identity = format!("{}_{}", config.identity, suffix());
    let mut election = Election::new(&cluster, LEASE, identity, config.lease);
    let metrics = Metrics::new();
    let ready = {
        let caches = caches.clone();
        move || caches.are_ready()
    };
    let text = {
        let (metrics, caches) = (metrics.clone(), caches.clone());
        move || metrics.text(&caches)
    };
    let health = bulkhead_serve::serve_health(config.health, ready, text, std::future::pending());
    let result = tokio::select! {
        () = stop => {
            tracing::info!("stopping");
            Ok(())
        }
        result = health => result.context("cannot serve health probes"),
        result = lead(&cluster, &caches, &metrics, &mut election, config.audit_interval) => result,
    };
    // Whatever ran has been dropped by now, so the next leader need not wait.
    match tokio::time::timeout(config.lease.retry, election.release()).await {
        Ok(Err(error)) => tracing::warn!(error = error.chain(), "cannot let go of the lease"),
        Err(_) => tracing::warn!("cannot let go of the lease in time"),
        Ok(Ok(())) => {}
    }
    result
}

/// Works while this process leads, and stands by while another does.
async fn lead(
    cluster: &Cluster,
    caches: &Caches,
    metrics: &Metrics,
    election: &mut Election,
    audit_interval: std::time::Duration,
) -> anyhow::Result<()> {
    // Without a complete picture a tenant's namespace looks like nobody's.
    caches.ready().await;
    loop {
        election.lead().await;
        tracing::info!("leading");
        metrics.note_leading(true);
        // Made anew for each term: nothing that an earlier one remembered is trusted.
        let context = Arc::new(Context::new(
            metrics.count_writes(&cluster.fenced(election.fence())),
            caches.clone(),
            metrics.clone(),
        ));
        tokio::select! {
            biased;
            why = election.hold() => {
                metrics.note_leading(false);
                tracing::warn!(why, "leading no more: nothing is written from here on");
            }
            result = work(&context, audit_interval) => return result,
        }
    }
}

/// Feeds the queue and works on it. Ends only by an error; dropped, everything stops at once.
async fn work(context: &Arc<Context>, audit_interval: std::time::Duration) -> anyhow::Result<()> {
    tracing::info!(
        tenants = context.tenants.all().len(),
        namespaces = context.namespaces.all().len(),
        "reconciling"
    );
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let context = context.clone();
        workers.spawn(async move { worker(&context).await });
    }
    context.queue.add(Key::Shards);
    // Each puts keys into the queue, for ever. What reconciles them is in [`reconcile`].
    let feeds: Vec<(&str, BoxFuture<'_, ()>)> = vec![
        ("of Tenants", dispatch::tenants(context).boxed()),
        ("of Namespaces", dispatch::namespaces(context).boxed()),
        ("of what isolates", dispatch::drift(context).boxed()),
        (
            "of the forwarder's shards",
            dispatch::shards(context).boxed(),
        ),
        ("of nodes", nodes::feed(context).boxed()),
        ("of accounts", quotas::feed(context).boxed()),
        ("by the clock", dispatch::resync(context).boxed()),
        ("of constraint templates", rego::kinds(context).boxed()),
        ("of audits", audit::audit(context, audit_interval).boxed()),
        ("of hostnames", hostnames::collect(context).boxed()),
    ];
    let (names, feeds): (Vec<&str>, Vec<BoxFuture<'_, ()>>) = feeds.into_iter().unzip();
    let ended = tokio::select! {
        ((), index, _) = futures::future::select_all(feeds) => {
            names.get(index).copied().unwrap_or_default()
        }
        _ = workers.join_next() => "by a worker",
    };
    anyhow::bail!("the watch {ended} has ended")
}

/// Tells two lives of a process apart: a lease of the one before is not ours to write under.
fn suffix() -> String {
    let random = RandomState::new().hash_one(std::process::id());
    format!("{random:016x}")
}

async fn worker(context: &Context) {
    loop {
        let key = context.queue.take().await;
        let outcome = match AssertUnwindSafe(reconcile(context, &key))
            .catch_unwind()
            .await
        {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.is_conflict() => {
                tracing::debug!(?key, error = error.line(), "changed meanwhile");
                Outcome::Failed
            }
            Ok(Err(error)) => {
                tracing::warn!(?key, error = error.line(), "cannot reconcile");
                Outcome::Failed
            }
            Err(_) => {
                tracing::error!(?key, "reconciling panicked");
                Outcome::Failed
            }
        };
        context.metrics.note_outcome(&key, outcome);
        context.queue.finish(key, outcome);
        context.metrics.note_waiting(context.queue.len());
        if context.is_start_over() {
            tracing::info!("all observed: nothing is left to do");
        }
    }
}

async fn reconcile(context: &Context, key: &Key) -> Result<Outcome, ReconcileError> {
    match key {
        Key::Shards => shards::reconcile(context).await.map(|()| Outcome::Done),
        Key::Tenant(name) => tenants::reconcile(context, name).await,
        Key::Namespace(name) => namespaces::reconcile(context, name).await,
        Key::Node(name) => nodes::reconcile(context, name).await,
    }
}
