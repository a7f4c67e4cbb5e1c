//! `create`: a Tenant from flags, for what a manifest would be too much.

use bulkhead_cluster::Cluster;
use serde_json::{Value, json};

use super::table::text;
use super::{Wait, condition, is_observed, wait};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The tenant's name.
    name: String,
    /// A user who is an admin.
    #[arg(long, value_name = "USER")]
    admin: Vec<String>,
    /// A user who is a developer.
    #[arg(long, value_name = "USER")]
    developer: Vec<String>,
    /// A user who is a viewer.
    #[arg(long, value_name = "USER")]
    viewer: Vec<String>,
    /// A group whose members are admins.
    #[arg(long, value_name = "GROUP")]
    admin_group: Vec<String>,
    /// What the names of its namespaces start with; the tenant's name and `-` if left out.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Print the Tenant as YAML and make nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Arguments {
    pub(super) fn tenant(&self) -> Value {
        let people = [
            ("User", &self.admin, "Admin"),
            ("User", &self.developer, "Developer"),
            ("User", &self.viewer, "Viewer"),
            ("Group", &self.admin_group, "Admin"),
        ];
        let members: Vec<Value> = people
            .iter()
            .flat_map(|(kind, names, role)| {
                let member = move |name| json!({"kind": kind, "name": name, "role": role});
                names.iter().map(member)
            })
            .collect();
        let mut spec = json!({"members": members});
        if let (Some(prefix), Some(spec)) = (&self.prefix, spec.as_object_mut()) {
            spec.insert("namespaceOptions".to_owned(), json!({"prefix": prefix}));
        }
        json!({
            "apiVersion": bulkhead_api::API_VERSION, "kind": bulkhead_api::KIND,
            "metadata": {"name": self.name}, "spec": spec,
        })
    }
}

pub(super) async fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let tenant = arguments.tenant();
    if arguments.dry_run {
        anstream::print!("{}", serde_norway::to_string(&tenant)?);
        return Ok(());
    }
    cluster.create(&tenant).await?;
    // A conflict does not pass by waiting.
    let done = |tenant: Option<&Value>| {
        let ready = tenant
            .filter(|t| is_observed(t))
            .and_then(|t| condition(t, "Ready"));
        ready.is_some_and(|ready| {
            text(ready, "/status") == "True" || text(ready, "/reason") == "PrefixConflict"
        })
    };
    let name = &arguments.name;
    let tenant = wait(cluster, name, &arguments.wait, "ready", done).await?;
    let ready = tenant
        .as_ref()
        .and_then(|tenant| condition(tenant, "Ready"));
    match ready {
        Some(ready) if text(ready, "/status") == "True" => {
            anstream::println!("`{name}` is ready");
            Ok(())
        }
        Some(ready) => anyhow::bail!("`{name}` was made, but: {}", text(ready, "/message")),
        None => anyhow::bail!("`{name}` was deleted meanwhile"),
    }
}
