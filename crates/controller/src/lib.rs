//! Makes tenants' namespaces safe, keeps them so, and takes them down in order.
//!
//! Events of the cluster put keys into a queue; workers take a key, read what is, decide
//! (`decide`, plain functions), and write the difference. Nothing is remembered that matters:
//! a controller that is killed anywhere and started again ends up at the same.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bulkhead_cluster::Cluster;
use futures::FutureExt as _;

use crate::context::{Context, Key, ReconcileError};
use crate::queue::Outcome;

mod apply;
mod context;
mod decide;
mod dispatch;
mod namespaces;
mod queue;
mod shards;
mod tenants;

/// How many keys are worked on at a time.
const WORKERS: usize = 8;

/// What the controller needs to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller's own credential.
    pub kubeconfig: PathBuf,
    /// Where `/healthz` and `/readyz` are served, by plain HTTP.
    pub health: SocketAddr,
}

/// Runs until `stop`.
///
/// # Errors
/// If the kubeconfig cannot be used, the health address cannot be listened on, or a watch ends
/// for good. An API server that is down is no error: it is waited for.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&config.kubeconfig).await?;
    let context = Arc::new(Context::new(cluster));
    let ready = {
        let context = context.clone();
        move || context.tenants.is_ready() && context.namespaces.is_ready()
    };
    let health = bulkhead_serve::serve_health(config.health, ready, std::future::pending());
    tokio::select! {
        () = stop => {
            tracing::info!("stopping");
            Ok(())
        }
        result = health => result.context("cannot serve health probes"),
        result = work(&context) => result,
    }
}

/// Feeds the queue and works on it. Ends only by an error.
async fn work(context: &Arc<Context>) -> anyhow::Result<()> {
    // Without a complete picture a tenant's namespace looks like nobody's.
    context.tenants.ready().await;
    context.namespaces.ready().await;
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
    let ended = tokio::select! {
        () = dispatch::tenants(context) => "of Tenants",
        () = dispatch::namespaces(context) => "of Namespaces",
        () = dispatch::drift(context) => "of what isolates",
        () = dispatch::shards(context) => "of the forwarder's shards",
        () = dispatch::resync(context) => "by the clock",
        _ = workers.join_next() => "by a worker",
    };
    anyhow::bail!("the watch {ended} has ended")
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
        context.queue.finish(key, outcome);
    }
}

async fn reconcile(context: &Context, key: &Key) -> Result<Outcome, ReconcileError> {
    match key {
        Key::Shards => shards::reconcile(context).await.map(|()| Outcome::Done),
        Key::Tenant(name) => tenants::reconcile(context, name).await,
        Key::Namespace(name) => namespaces::reconcile(context, name).await,
    }
}
