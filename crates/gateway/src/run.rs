//! The gateway as a process.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use bulkhead_cluster::{Cluster, Forwarder, NamespaceCache, RevocationCache, TenantCache};
use bulkhead_serve::{Limits, Server, TlsFiles};

use crate::audit::{Books, Log, Target as AuditTarget};
use crate::gateway::Gateway;
use crate::limits::{Allowances, Limiter, Whose};
use crate::lists::Seal;
use crate::metrics::Metrics;
use crate::oidc::Issuers;
use crate::token::{Accepted, Tokens};

/// What a gateway is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Kubeconfig of the identity that reads Tenants and Namespaces and has tokens reviewed.
    pub reader_kubeconfig: PathBuf,
    /// Kubeconfig of the identity that impersonates tenants' synthetic users, and nothing else.
    pub forwarder_kubeconfig: PathBuf,
    /// PEM file of the authority whose client certificates name people. The API server must
    /// not trust it.
    pub client_ca: PathBuf,
    /// PEM file of the gateway's own certificate.
    pub tls_cert: PathBuf,
    /// PEM file of its private key.
    pub tls_key: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The audience of the ServiceAccount tokens that are accepted.
    pub audience: String,
    /// The issuers whose tokens name people: a file with Kubernetes' `AuthenticationConfiguration`.
    pub authentication_config: Option<PathBuf>,
    /// Whether IAM tokens of EKS are taken.
    pub aws_iam_tokens: bool,
    /// What each tenant and each person may take.
    pub allowances: Allowances,
    /// The kinds that are judged before they travel.
    pub carriers: bulkhead_controls::Carriers,
    /// Where the audit log goes.
    pub audit_log: AuditTarget,
    /// Where probes and `/metrics` are served by plain HTTP, if anywhere: tenants reach the other
    /// port, and what is counted is none of theirs.
    pub health: Option<SocketAddr>,
}

/// Audit lines that may wait to be written: some seconds of the busiest gateway's, 4 MiB at most.
const AUDIT_QUEUE: usize = 8192;

/// Serves until `stop` is ready.
///
/// # Errors
/// If a file is missing or no use, or the address cannot be listened on. An API server that
/// cannot be reached is no error: people are told 503 until it can.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    if config.reader_kubeconfig == config.forwarder_kubeconfig {
        bail!(
            "the reader and the forwarder must have a kubeconfig each: one identity with both rights could read what no tenant may"
        );
    }
    if config.audience.is_empty() {
        bail!("the audience is empty: the API server's own tokens would be taken");
    }
    let issuers = match &config.authentication_config {
        Some(path) => Issuers::read(path).await?,
        None => Issuers::none(),
    };
    let metrics = Arc::new(Metrics::new());
    let log = Log::open(&config.audit_log, AUDIT_QUEUE, &metrics)?;
    let books = Books { log, metrics };
    // What all replicas share and nobody else has.
    let secret = tokio::fs::read(&config.tls_key)
        .await
        .with_context(|| format!("cannot read `{}`", config.tls_key.display()))?;
    let reader = Cluster::connect(&config.reader_kubeconfig)
        .await
        .context("the reader")?;
    let gateway = Arc::new(Gateway {
        tenants: TenantCache::start(&reader),
        namespaces: NamespaceCache::start(&reader),
        revocations: RevocationCache::start(&reader),
        reader: Forwarder::connect(&config.reader_kubeconfig)
            .await
            .context("the reader")?,
        forwarder: Forwarder::connect(&config.forwarder_kubeconfig)
            .await
            .context("the forwarder")?,
        tokens: Tokens::new(
            reader,
            Accepted {
                audience: config.audience,
                issuers,
                iam: config.aws_iam_tokens,
            },
        ),
        listed: AtomicBool::new(false),
        books: books.clone(),
        allowances: config.allowances,
        carriers: config.carriers,
        tenant_limits: Limiter::new(Whose::Tenant),
        person_limits: Limiter::new(Whose::Person),
        seal: Arc::new(Seal::of(&secret)),
    });
    let server = Server::bind(bulkhead_serve::Config {
        listen: config.listen,
        tls: TlsFiles {
            certificate: config.tls_cert,
            key: config.tls_key,
            client_ca: Some(config.client_ca),
        },
        limits: Limits::default(),
    })
    .await?;
    tracing::info!(address = %server.address(), "the gateway listens");
    let opening = {
        let gateway = Arc::clone(&gateway);
        async move {
            tokio::join!(gateway.open(), gateway.tokens.accepted.issuers.follow());
        }
    };
    let health = health(config.health, Arc::clone(&gateway));
    let serving = server.run(
        move |request, peer| Arc::clone(&gateway).serve(request, peer),
        stop,
    );
    tokio::select! {
        () = serving => {}
        () = opening => {}
        result = health => result?,
    }
    books.log.flush().await;
    Ok(())
}

/// Serves probes and metrics, if anywhere, and does not return but for an error.
async fn health(address: Option<SocketAddr>, gateway: Arc<Gateway>) -> anyhow::Result<()> {
    let Some(address) = address else {
        return std::future::pending().await;
    };
    let metrics = Arc::clone(&gateway.books.metrics);
    let ready = move || gateway.fresh();
    let never = std::future::pending();
    bulkhead_serve::serve_health(address, ready, move || metrics.text(), never)
        .await
        .context("cannot serve health probes")
}
