//! The gateway's right to impersonate: it names each tenant's users, and nobody else.

use std::collections::BTreeSet;

use bulkhead_cluster::ObjectRef;
use bulkhead_isolation::forwarder_shards;
use bulkhead_model::Tenant;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::context::{Context, Key, ReconcileError};
use crate::decide::plan::difference;
use crate::decide::standing::reachable;

/// Writes the shards that are not as they should be. Only those that should have changed since
/// they were last seen are read, unless everything has been forgotten ([`forget`]).
pub(crate) async fn reconcile(context: &Context) -> Result<(), ReconcileError> {
    let mut seen = context.shards.lock().await;
    let tenants = reachable(&context.tenants.all());
    let tenants: Vec<&Tenant> = tenants.iter().map(AsRef::as_ref).collect();
    let shards = forwarder_shards(&tenants);
    let left_out: BTreeSet<String> = shards.left_out.iter().map(ToString::to_string).collect();
    for tenant in context.note_left_out(left_out) {
        context.queue.add(Key::Tenant(tenant));
    }
    let mut due = Vec::new();
    for shard in shards.roles {
        let reference = ObjectRef::of(&shard)?;
        if seen.get(&reference.name) != Some(&shard) {
            due.push((reference, shard));
        }
    }
    let written: Vec<Result<(String, Value), ReconcileError>> = stream::iter(due)
        .map(|(reference, shard)| write(context, reference, shard))
        .buffer_unordered(8)
        .collect()
        .await;
    let mut result = Ok(());
    for shard in written {
        match shard {
            Ok((name, shard)) => drop(seen.insert(name, shard)),
            Err(error) => result = Err(error),
        }
    }
    result
}

/// Has the next reconciliation read every shard.
pub(crate) async fn forget(context: &Context) {
    context.shards.lock().await.clear();
}

async fn write(
    context: &Context,
    reference: ObjectRef,
    shard: Value,
) -> Result<(String, Value), ReconcileError> {
    let live = context.cluster.get(&reference).await?;
    if let Some(difference) = difference(&shard, live.as_ref()) {
        tracing::info!(shard = reference.name, difference, "writing");
        let live = context.cluster.apply(&shard).await?;
        if let Some(difference) = crate::decide::plan::difference(&shard, Some(&live)) {
            return Err(ReconcileError::Differs(format!(
                "{reference}: {difference}"
            )));
        }
    }
    Ok((reference.name, shard))
}
