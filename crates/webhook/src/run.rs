//! The process.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bulkhead_cluster::{Cluster, NamespaceCache, TenantCache};
use bulkhead_serve::{Limits, Server, TlsFiles};

use crate::policies::PodPolicies;
use crate::quota::Quotas;
use crate::routes::Webhook;

/// What the webhook is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// How it reaches the API server, as a ServiceAccount that may read Tenants and Namespaces.
    pub kubeconfig: PathBuf,
    /// Its certificate, in PEM. Read again when it changes.
    pub tls_cert: PathBuf,
    /// The certificate's key, in PEM.
    pub tls_key: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The kinds that it judges.
    pub carriers: bulkhead_controls::Carriers,
}

/// Answers the API server until `stop` is ready. It listens from the start and is ready
/// (`/readyz`) once it knows the tenants and their namespaces; until then it looks each namespace up.
///
/// # Errors
/// If the kubeconfig or the certificate is no use, or the address cannot be listened on.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&config.kubeconfig)
        .await
        .context("cannot start the webhook")?;
    let server = Server::bind(bulkhead_serve::Config {
        listen: config.listen,
        tls: TlsFiles {
            certificate: config.tls_cert,
            key: config.tls_key,
            client_ca: None,
        },
        limits: Limits::default(),
    })
    .await
    .context("cannot start the webhook")?;
    let namespaces = NamespaceCache::start(&cluster);
    let tenants = TenantCache::start(&cluster);
    tracing::info!(address = %server.address(), "the webhook listens");
    let quotas = Quotas::start(&cluster, namespaces.clone(), identity());
    let policies = PodPolicies::start(&cluster);
    let webhook = Webhook::new(namespaces, tenants, cluster, quotas, policies);
    let webhook = Arc::new(webhook.judging(config.carriers));
    let handler = move |request, _| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.respond(request).await }
    };
    server.run(handler, stop).await;
    tracing::info!("the webhook has stopped");
    Ok(())
}

/// What tells this process from all others that lease from the ledger, now and later.
fn identity() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
