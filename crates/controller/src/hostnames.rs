//! Gives hostnames back that nobody uses: claims whose objects were refused afterwards, or deleted.
//!
//! A claim is first found idle, and given up only if it still is when every request that was on its
//! way then has landed or failed. Whoever claims it again meanwhile wakes it up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bulkhead_cluster::{ClusterError, Ledger};
use bulkhead_controls::{NAMED, hostnames};
use bulkhead_model::{ClaimKind, Json};
use serde_json::Value;

use crate::context::Context;

/// How often all names are looked at.
const EVERY: Duration = Duration::from_secs(30);
/// A request lives a minute in the API server; nothing that was on its way is younger than this.
const REST: Duration = Duration::from_secs(75);

/// Looks at all hostnames again and again, for ever.
pub(crate) async fn collect(context: &Context) {
    let ledger = Ledger::new(&context.cluster);
    let mut found = BTreeMap::new();
    loop {
        tokio::time::sleep(EVERY).await;
        let looked = async {
            let listed = ledger.list(Some(ClaimKind::Hostname), None).await?;
            let uses = if listed.is_empty() {
                BTreeSet::new()
            } else {
                uses(context).await?
            };
            ledger
                .collect_hostnames(listed, &uses, &mut found, REST)
                .await
        };
        match looked.await {
            Ok(0) => {}
            Ok(freed) => tracing::info!(freed, "hostnames without use are free again"),
            Err(error) => {
                tracing::warn!(error = error.chain(), "cannot look through the hostnames");
            }
        }
    }
}

/// Every name for which an object in a tenant's namespace answers, with the tenant's UID. An error if
/// any kind that is served cannot be listed: what cannot be seen may be in use.
async fn uses(context: &Context) -> Result<BTreeSet<(String, String)>, ClusterError> {
    let mut uses = BTreeSet::new();
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, resource) in NAMED {
        groups.entry(group).or_default().push(resource);
    }
    for (group, resources) in groups {
        for (resource, kind) in context.cluster.served(group, &resources).await? {
            for object in context.cluster.list(&kind, None, "").await? {
                let namespace = object
                    .pointer("/metadata/namespace")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let record = context.namespaces.get(namespace);
                let Some(uid) = record.as_ref().and_then(|it| it.tenant_uid.as_ref()) else {
                    continue;
                };
                let object = Json::from(object);
                for name in hostnames(group, &resource, &object) {
                    uses.insert((uid.to_string(), name.to_owned()));
                }
            }
        }
    }
    Ok(uses)
}
