//! `delete`, and the report with which it ends.

use std::fmt::Write as _;

use anyhow::ensure;
use bulkhead_cluster::{Cluster, DeleteOptions, Kind, ObjectRef};
use bulkhead_model::labels;
use serde_json::Value;

use super::table::{mark, text};
use super::{Wait, get, namespaces, reference, wait};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The tenant's name.
    name: String,
    /// Yes: its namespaces go with everything in them.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

/// What is left of a tenant that is gone.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) name: String,
    /// How many namespaces it had.
    pub(super) had: usize,
    /// Namespaces that still carry its name.
    pub(super) namespaces: Vec<String>,
    /// Objects of its own in Bulkhead's namespace.
    pub(super) claims: Vec<String>,
    /// Volumes that its claims were bound to: name, reclaim policy, phase; none: gone.
    pub(super) volumes: Vec<(String, String, Option<String>)>,
    /// Ledger entries that still name it.
    pub(super) entries: Vec<String>,
    /// Shards in which the gateway may still act as its users.
    pub(super) shards: Vec<String>,
}

pub(super) async fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    let tenant = get(cluster, name).await?;
    let uid = text(&tenant, "/metadata/uid").to_owned();
    let mut theirs = namespaces(cluster, name).await?;
    theirs.retain(|namespace| mark(namespace, "labels", labels::TENANT_UID) == Some(&uid));
    let names: Vec<&str> = theirs.iter().map(|n| text(n, "/metadata/name")).collect();
    ensure!(
        arguments.yes,
        "this deletes `{name}` and everything in {}; say `--yes` if that is meant",
        if names.is_empty() {
            "no namespace".to_owned()
        } else {
            names.join(", ")
        }
    );
    let volumes = volumes(cluster, &names).await?;
    cluster
        .delete(&reference(name), &DeleteOptions::uid(&uid))
        .await?;
    let gone = |tenant: Option<&Value>| tenant.is_none_or(|t| text(t, "/metadata/uid") != uid);
    wait(cluster, name, &arguments.wait, "gone", gone).await?;
    let left = left(cluster, (name, &uid), names.len(), volumes).await?;
    anstream::print!("{}", report(&left));
    ensure!(
        left.namespaces.is_empty() && left.claims.is_empty() && left.shards.is_empty(),
        "something of `{name}` is left that should not be"
    );
    Ok(())
}

/// The volumes that claims in these namespaces are bound to, and their reclaim policies.
async fn volumes(cluster: &Cluster, namespaces: &[&str]) -> anyhow::Result<Vec<Value>> {
    let mut volumes = cluster
        .list(&Kind::new("v1", "PersistentVolume"), None, "")
        .await?;
    volumes.retain(|volume| namespaces.contains(&text(volume, "/spec/claimRef/namespace")));
    Ok(volumes)
}

async fn left(
    cluster: &Cluster,
    (name, uid): (&str, &str),
    had: usize,
    volumes: Vec<Value>,
) -> anyhow::Result<Left> {
    let selector = format!("{}={name}", labels::TENANT);
    let named = |objects: Vec<Value>| -> Vec<String> {
        let names = objects.iter().map(|object| {
            format!(
                "{} {}",
                text(object, "/kind"),
                text(object, "/metadata/name")
            )
        });
        names.collect()
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let system = Some(labels::SYSTEM_NAMESPACE);
    let roles = cluster
        .list(&Kind::new(rbac, "Role"), system, &selector)
        .await?;
    let bindings = cluster
        .list(&Kind::new(rbac, "RoleBinding"), system, &selector)
        .await?;
    let held = format!("{}={uid}", labels::TENANT_UID);
    let entries = cluster.list(&Kind::ledger_entry(), None, &held).await?;
    let all_roles = cluster
        .list(&Kind::new(rbac, "ClusterRole"), None, "")
        .await?;
    let user = format!("{}{name}:", labels::SYNTHETIC_PREFIX);
    let shards = all_roles.into_iter().filter(|role| {
        text(role, "/metadata/name").starts_with(labels::FORWARDER_SHARD_PREFIX)
            && role
                .pointer("/rules")
                .is_some_and(|rules| rules.to_string().contains(&user))
    });
    let mut after = Vec::new();
    for volume in volumes {
        let now = cluster.get(&ObjectRef::of(&volume)?).await?;
        after.push((
            text(&volume, "/metadata/name").to_owned(),
            text(&volume, "/spec/persistentVolumeReclaimPolicy").to_owned(),
            now.map(|now| text(&now, "/status/phase").to_owned()),
        ));
    }
    Ok(Left {
        name: name.to_owned(),
        had,
        namespaces: named(namespaces(cluster, name).await?),
        claims: named([roles, bindings].concat()),
        volumes: after,
        entries: named(entries),
        shards: named(shards.collect()),
    })
}

/// The report, for people.
pub(super) fn report(left: &Left) -> String {
    let mut out = format!("`{}` is gone\n", left.name);
    let or_none = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let mut line = |what: &str, found: &str| {
        let _ = writeln!(out, "  {what:<26}{found}");
    };
    line(
        "namespaces left",
        &format!("{} (it had {})", or_none(&left.namespaces), left.had),
    );
    line("rights left", &or_none(&left.claims));
    line(
        "credentials that work",
        &match left.shards.as_slice() {
            [] => {
                "none: the gateway acts as no user of it, its ServiceAccounts are gone".to_owned()
            }
            shards => format!("its users are still in {}", shards.join(", ")),
        },
    );
    line("ledger entries at rest", &or_none(&left.entries));
    if left.volumes.is_empty() {
        line("volumes", "none");
    }
    for (name, reclaim, phase) in &left.volumes {
        let found = match phase {
            None => format!("{name} is gone"),
            Some(phase) if reclaim == "Retain" => {
                format!("{name} is {phase} and stays with its data (Retain): delete it by hand")
            }
            Some(phase) => format!("{name} is {phase}; its reclaim policy is {reclaim}"),
        };
        line("volume", &found);
    }
    out
}
