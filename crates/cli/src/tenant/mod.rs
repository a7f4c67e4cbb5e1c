//! `bulkhead tenant`: what an administrator does with Tenants, with their own credential.

mod adopt;
mod change;
mod create;
mod delete;
mod describe;
mod kubeconfig;
mod mend;
mod revoke;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bulkhead_cluster::{Cluster, Kind, ObjectRef};
use bulkhead_model::labels;
use clap::{Args, Subcommand};
use serde_json::Value;

use self::table::{State, Table, items, text};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The administrator's kubeconfig. Without it KUBECONFIG is used, then `~/.kube/config`.
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than the current one.
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All tenants, and how they stand.
    List,
    /// One tenant: members, namespaces, usage, ranges, conditions, what is wrong and the mend.
    Describe(Name),
    /// Make a tenant, and wait until it is ready.
    Create(create::Arguments),
    /// Take in namespaces that carry the tenant's name but another UID, as after a restore from
    /// a backup. Nothing in them is lost.
    Adopt(adopt::Arguments),
    /// What runs keeps running and can be read; nothing may be changed. Waits until it holds.
    Cordon(change::Arguments),
    /// Lift the cordon. Waits until it is lifted.
    Uncordon(change::Arguments),
    /// Delete a tenant with everything in it, and report what is left.
    Delete(delete::Arguments),
    /// A kubeconfig for a member, with a client certificate of the gateway's authority that
    /// soon ends.
    Kubeconfig(kubeconfig::Arguments),
    /// Take client certificates of the gateway's authority back before they end.
    Revoke(revoke::Arguments),
}

#[derive(Args)]
struct Name {
    /// The tenant's name.
    name: String,
}

/// How long a change may take to be in force.
#[derive(Args)]
struct Wait {
    /// How long to wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // A sandbox has its administrator's kubeconfig.
    let path = match (&arguments.command, arguments.kubeconfig) {
        (Command::Kubeconfig(command), None) => command.administrator()?,
        (_, named) => named,
    };
    let path = kubeconfig_path(path)?;
    let cluster = Cluster::connect_as(&path, arguments.context.as_deref()).await?;
    match arguments.command {
        Command::List => list(&cluster).await,
        Command::Describe(Name { name }) => {
            let tenant = get(&cluster, &name).await?;
            let namespaces = namespaces(&cluster, &name).await?;
            anstream::print!("{}", describe::describe(&tenant, &namespaces));
            Ok(())
        }
        Command::Create(arguments) => create::run(&cluster, &arguments).await,
        Command::Adopt(arguments) => adopt::run(&cluster, &arguments).await,
        Command::Cordon(arguments) => change::cordon(&cluster, &arguments, true).await,
        Command::Uncordon(arguments) => change::cordon(&cluster, &arguments, false).await,
        Command::Delete(arguments) => delete::run(&cluster, &arguments).await,
        Command::Kubeconfig(arguments) => kubeconfig::run(&cluster, &arguments).await,
        Command::Revoke(arguments) => revoke::run(&cluster, &arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn kubeconfig_path(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path);
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable("KUBECONFIG") {
        return Ok(path.into());
    }
    let home = variable("HOME").context("expected `--kubeconfig`, KUBECONFIG or HOME")?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

async fn list(cluster: &Cluster) -> anyhow::Result<()> {
    let tenants = cluster.list(&Kind::tenant(), None, "").await?;
    anstream::print!("{}", list_text(&tenants));
    Ok(())
}

fn list_text(tenants: &[Value]) -> String {
    if tenants.is_empty() {
        return "no tenants\n".to_owned();
    }
    let mut table = Table::new(&[
        "NAME",
        "READY",
        "REASON",
        "NAMESPACES",
        "CORDONED",
        "CREATED",
    ]);
    for tenant in tenants {
        let (ready, reason) = match condition(tenant, "Ready") {
            Some(ready) => (text(ready, "/status"), text(ready, "/reason")),
            None => ("Unknown", "NotObserved"),
        };
        let cordoned = tenant.pointer("/spec/cordoned") == Some(&Value::Bool(true));
        table.row(
            State::of(ready),
            [
                text(tenant, "/metadata/name"),
                ready,
                reason,
                &items(tenant, "/status/namespaces").len().to_string(),
                if cordoned { "yes" } else { "no" },
                text(tenant, "/metadata/creationTimestamp"),
            ],
        );
    }
    table.text(0)
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef::cluster(Kind::tenant(), name)
}

async fn get(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let tenant = cluster.get(&reference(name)).await?;
    tenant.with_context(|| format!("there is no tenant `{name}`; see `bulkhead tenant list`"))
}

/// The namespaces that carry the tenant's name.
async fn namespaces(cluster: &Cluster, name: &str) -> anyhow::Result<Vec<Value>> {
    let selector = format!("{}={name}", labels::TENANT);
    Ok(cluster.list(&Kind::namespace(), None, &selector).await?)
}

/// A condition of a Tenant's status.
fn condition<'a>(tenant: &'a Value, kind: &str) -> Option<&'a Value> {
    items(tenant, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}

/// Whether a status speaks of the spec as it is now.
fn is_observed(tenant: &Value) -> bool {
    let at = |pointer: &str| tenant.pointer(pointer).and_then(Value::as_i64);
    at("/status/observedGeneration") >= at("/metadata/generation")
}

/// Looks again and again until a Tenant is as it should be. None: it is gone.
async fn wait(
    cluster: &Cluster,
    name: &str,
    limit: &Wait,
    what: &str,
    done: impl Fn(Option<&Value>) -> bool,
) -> anyhow::Result<Option<Value>> {
    let end = Instant::now() + Duration::from_secs(limit.timeout);
    loop {
        let tenant = cluster.get(&reference(name)).await?;
        if done(tenant.as_ref()) {
            return Ok(tenant);
        }
        if Instant::now() >= end {
            let why = tenant
                .as_ref()
                .and_then(|tenant| condition(tenant, "Ready"))
                .map_or("the controller has not looked at it", |ready| {
                    text(ready, "/message")
                });
            bail!("`{name}` is not {what} after {} s: {why}", limit.timeout);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests;
