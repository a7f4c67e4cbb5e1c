//! `webhook`, `controller`, `gateway`: the processes of a cluster. The flags are the fields of
//! their configurations.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_controls::{Carriers, PodTemplate};
use bulkhead_gateway::{Allowance, Allowances, AuditTarget};
use bulkhead_serve::LogFormat;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Args)]
pub(crate) struct Webhook {
    /// How it reaches the API server, as a ServiceAccount that may read Tenants and Namespaces.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    #[command(flatten)]
    kinds: Kinds,
    #[command(flatten)]
    serving: Serving,
}

/// What of the cluster's own kinds makes pods.
#[derive(Args)]
pub(crate) struct Kinds {
    /// A kind of a CustomResourceDefinition that holds pod templates, and where, such as
    /// `rollouts.argoproj.io/Rollout=.spec.template` or
    /// `rayclusters.ray.io/RayCluster=.spec.workerGroupSpecs[*].template`. May be repeated.
    #[arg(long = "pod-template", value_name = "PLURAL.GROUP/KIND=PATH")]
    pub(crate) pod_templates: Vec<PodTemplate>,
}

impl Kinds {
    /// Kubernetes' own kinds and these.
    pub(crate) fn carriers(&self) -> anyhow::Result<Carriers> {
        Carriers::with(self.pod_templates.iter().cloned()).context("--pod-template")
    }
}

#[derive(Args)]
pub(crate) struct Controller {
    /// How it reaches the API server, as the controller's ServiceAccount.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Where to serve `/healthz` and `/readyz`, by plain HTTP.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health: SocketAddr,
    /// What tells this controller from others in the Lease, such as the Pod's name. Of several, one leads.
    #[arg(long, value_name = "NAME", default_value = "controller")]
    identity: String,
    /// How long others wait for a leader that is silent.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease_duration: u64,
    /// For how long a leader goes on that cannot renew its Lease; less than the duration.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    renew_deadline: u64,
    /// How long between two tries to get or renew the Lease.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    retry_period: u64,
    /// How often policies in Rego are asked about objects that exist already; 0: never. Policies that change are audited at once.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(0..=86400))]
    audit_interval: u64,
    #[command(flatten)]
    logging: Logging,
}

#[derive(Args)]
pub(crate) struct Gateway {
    /// The identity that reads Tenants and Namespaces and has tokens reviewed.
    #[arg(long, value_name = "FILE")]
    reader_kubeconfig: PathBuf,
    /// The identity that impersonates tenants' synthetic users, and nothing else.
    #[arg(long, value_name = "FILE")]
    forwarder_kubeconfig: PathBuf,
    /// The authority (PEM) whose client certificates name people. The API server must not trust it.
    #[arg(long, value_name = "FILE")]
    client_ca: PathBuf,
    /// The audience of the ServiceAccount tokens that are accepted.
    #[arg(long, default_value = bulkhead_model::labels::AUDIENCE)]
    audience: String,
    /// The OpenID Connect issuers whose tokens name people: a file with Kubernetes'
    /// `AuthenticationConfiguration`. What of it is not done here (CEL expressions) is refused.
    #[arg(long, value_name = "FILE")]
    authentication_config: Option<PathBuf>,
    /// Take IAM tokens of EKS (`aws eks get-token`), which the API server then has reviewed.
    #[arg(long)]
    aws_iam_tokens: bool,
    #[command(flatten)]
    kinds: Kinds,
    #[command(flatten)]
    limits: GatewayLimits,
    /// Where the audit log goes, a line of JSON for each request: a file, or `-` for the standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    audit_log: PathBuf,
    /// Where to serve `/healthz`, `/readyz` and `/metrics`, by plain HTTP; nowhere if left out.
    #[arg(long, value_name = "ADDRESS")]
    health: Option<SocketAddr>,
    #[command(flatten)]
    serving: Serving,
}

/// What is over is refused with 429 and `Retry-After`.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct GatewayLimits {
    /// Requests that a tenant may make in a second, all its people together.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    tenant_requests_per_second: u32,
    /// Requests that it may make at once after a pause.
    #[arg(long, value_name = "NUMBER", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    tenant_burst: u32,
    /// Requests that it may have under way at a time, watches and sessions aside.
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    tenant_calls: u32,
    /// Watches and followed logs that it may have open at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    tenant_watches: u32,
    /// Sessions (exec, attach, port-forward) that it may have open at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    tenant_sessions: u32,
    /// The same for each person, over all tenants.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    person_requests_per_second: u32,
    /// The same for each person.
    #[arg(long, value_name = "NUMBER", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    person_burst: u32,
    /// The same for each person.
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    person_calls: u32,
    /// The same for each person.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    person_watches: u32,
    /// The same for each person.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    person_sessions: u32,
}

impl GatewayLimits {
    fn allowances(&self) -> Allowances {
        Allowances {
            tenant: Allowance {
                requests_per_second: self.tenant_requests_per_second,
                burst: self.tenant_burst,
                calls: self.tenant_calls,
                watches: self.tenant_watches,
                sessions: self.tenant_sessions,
            },
            person: Allowance {
                requests_per_second: self.person_requests_per_second,
                burst: self.person_burst,
                calls: self.person_calls,
                watches: self.person_watches,
                sessions: self.person_sessions,
            },
        }
    }
}

#[derive(Args)]
struct Serving {
    /// The server's certificate (PEM). Read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    logging: Logging,
}

#[derive(Args)]
struct Logging {
    /// How log lines look: `text` or `json`. What is logged is for RUST_LOG to say.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

pub(crate) fn webhook(arguments: Webhook) -> anyhow::Result<ExitCode> {
    let Webhook {
        kubeconfig,
        kinds,
        serving:
            Serving {
                tls_cert,
                tls_key,
                listen,
                logging,
            },
    } = arguments;
    let config = bulkhead_webhook::Config {
        kubeconfig,
        tls_cert,
        tls_key,
        listen,
        carriers: kinds.carriers()?,
    };
    run(&logging, |stop| bulkhead_webhook::run(config, stop))
}

pub(crate) fn controller(arguments: Controller) -> anyhow::Result<ExitCode> {
    let Controller {
        kubeconfig,
        health,
        identity,
        lease_duration,
        renew_deadline,
        retry_period,
        audit_interval,
        logging,
    } = arguments;
    anyhow::ensure!(
        retry_period < renew_deadline && renew_deadline < lease_duration,
        "expected `--retry-period` < `--renew-deadline` < `--lease-duration`, or two could lead at once"
    );
    let config = bulkhead_controller::Config {
        kubeconfig,
        health,
        identity,
        lease: bulkhead_controller::LeaseTimes {
            duration: Duration::from_secs(lease_duration),
            renew_deadline: Duration::from_secs(renew_deadline),
            retry: Duration::from_secs(retry_period),
        },
        audit_interval: Duration::from_secs(audit_interval),
    };
    run(&logging, |stop| bulkhead_controller::run(config, stop))
}

pub(crate) fn gateway(arguments: Gateway) -> anyhow::Result<ExitCode> {
    let Gateway {
        reader_kubeconfig,
        forwarder_kubeconfig,
        client_ca,
        audience,
        authentication_config,
        aws_iam_tokens,
        kinds,
        limits,
        audit_log,
        health,
        serving,
    } = arguments;
    let Serving {
        tls_cert,
        tls_key,
        listen,
        logging,
    } = serving;
    let config = bulkhead_gateway::Config {
        reader_kubeconfig,
        forwarder_kubeconfig,
        client_ca,
        tls_cert,
        tls_key,
        listen,
        audience,
        authentication_config,
        aws_iam_tokens,
        allowances: limits.allowances(),
        carriers: kinds.carriers()?,
        audit_log: match audit_log.as_os_str().as_encoded_bytes() {
            b"-" => AuditTarget::Stdout,
            _ => AuditTarget::File(audit_log),
        },
        health,
    };
    run(&logging, |stop| bulkhead_gateway::run(config, stop))
}

/// Runs a process until SIGTERM or Ctrl-C.
fn run<F>(
    logging: &Logging,
    app: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    bulkhead_serve::init_tracing(logging.log_format);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("cannot catch signals")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot catch signals")?;
        let stop = Box::pin(async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        });
        app(stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn limits_that_nobody_names_are_the_gateways_own() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            limits: GatewayLimits,
        }
        let cli = Cli::try_parse_from(["x"]).unwrap();
        assert_eq!(cli.limits.allowances(), Allowances::default());
        let cli = Cli::try_parse_from(["x", "--tenant-calls", "7"]).unwrap();
        assert_eq!(cli.limits.allowances().tenant.calls, 7);
        assert!(Cli::try_parse_from(["x", "--person-burst", "0"]).is_err());
    }
}
