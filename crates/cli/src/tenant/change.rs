//! `cordon` and `uncordon`.

use bulkhead_cluster::Cluster;
use serde_json::{Value, json};

use super::table::text;
use super::{Wait, condition, get, is_observed, reference, wait};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The tenant's name.
    name: String,
    #[command(flatten)]
    wait: Wait,
}

/// Cordons a tenant or lifts the cordon, and waits until every namespace knows: until then its
/// ServiceAccounts could still write, or could not yet.
pub(super) async fn cordon(
    cluster: &Cluster,
    arguments: &Arguments,
    cordoned: bool,
) -> anyhow::Result<()> {
    let name = &arguments.name;
    get(cluster, name).await?;
    let patch = json!({"spec": {"cordoned": cordoned}});
    cluster.merge_patch(&reference(name), &patch).await?;
    let what = if cordoned { "cordoned" } else { "uncordoned" };
    let done = |tenant: Option<&Value>| {
        tenant.is_none_or(|tenant| is_observed(tenant) && is_in_force(tenant, cordoned))
    };
    match wait(cluster, name, &arguments.wait, what, done).await? {
        Some(_) => anstream::println!("`{name}` is {what}, in all of its namespaces"),
        None => anyhow::bail!("`{name}` was deleted meanwhile"),
    }
    Ok(())
}

fn is_in_force(tenant: &Value, cordoned: bool) -> bool {
    match condition(tenant, "Cordoned") {
        Some(condition) => cordoned && text(condition, "/status") == "True",
        None => !cordoned,
    }
}
