//! `adopt`: namespaces become the tenant's. An administrator's act: a guard asks for the right
//! `adopt` on Tenants.

use bulkhead_cluster::{Cluster, Kind, ObjectRef};
use bulkhead_model::labels;
use serde_json::{Value, json};

use super::table::{items, mark, text};
use super::{Wait, get, is_observed, namespaces, wait};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The tenant's name.
    name: String,
    /// Namespaces to take in that no tenant has: what is in them becomes the tenant's to change.
    #[arg(long = "namespace", short = 'n', value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    let tenant = get(cluster, name).await?;
    let uid = text(&tenant, "/metadata/uid");
    anyhow::ensure!(
        tenant.pointer("/metadata/deletionTimestamp").is_none(),
        "`{name}` is being deleted: what it adopts would be deleted too"
    );
    let mut due: Vec<Value> = namespaces(cluster, name).await?;
    due.retain(|namespace| mark(namespace, "labels", labels::TENANT_UID) != Some(uid));
    for namespace in &arguments.namespaces {
        let reference = ObjectRef::cluster(Kind::namespace(), namespace);
        let Some(found) = cluster.get(&reference).await? else {
            anyhow::bail!("there is no namespace `{namespace}`");
        };
        match mark(&found, "labels", labels::TENANT) {
            Some(other) if other != name => {
                anyhow::bail!("`{namespace}` is the tenant `{other}`'s; release it there first")
            }
            Some(_) => {}
            None => due.push(found),
        }
    }
    if due.is_empty() {
        anstream::println!("`{name}` has nothing to adopt");
        return Ok(());
    }
    for namespace in &due {
        let patch = json!({"metadata": {
            "uid": namespace.pointer("/metadata/uid"),
            "resourceVersion": namespace.pointer("/metadata/resourceVersion"),
            "labels": {labels::TENANT: name, labels::TENANT_UID: uid},
        }});
        cluster
            .merge_patch(&ObjectRef::of(namespace)?, &patch)
            .await?;
        anstream::println!("adopted `{}`", text(namespace, "/metadata/name"));
    }
    let adopted: Vec<&str> = due.iter().map(|n| text(n, "/metadata/name")).collect();
    let done = |tenant: Option<&Value>| {
        tenant.is_none_or(|tenant| {
            let open = |name: &&str| {
                items(tenant, "/status/namespaces").iter().any(|status| {
                    text(status, "/name") == *name
                        && status.get("isolated") == Some(&Value::Bool(true))
                })
            };
            is_observed(tenant) && adopted.iter().all(open)
        })
    };
    wait(cluster, name, &arguments.wait, "at home in them", done).await?;
    anstream::println!("all of them are isolated and open");
    Ok(())
}
