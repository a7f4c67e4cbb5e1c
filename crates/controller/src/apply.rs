//! Carrying out a plan.

use bulkhead_cluster::{Cluster, ClusterError, DeleteOptions, Kind, ObjectRef};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::decide::plan::Plan;

/// How many requests one reconciliation has under way at a time.
const AT_ONCE: usize = 8;

/// Does what the plan says. All of it is tried. The result is what was applied, as the API server
/// has stored it, or the first error.
pub(crate) async fn carry_out(cluster: &Cluster, plan: Plan) -> Result<Vec<Value>, ClusterError> {
    // A binding may be made only once its role is there to be looked at.
    let (roles, others) = plan
        .apply
        .into_iter()
        .partition(|object| is_a(object, "Role"));
    let roles = apply_all(cluster, roles).await;
    let others = apply_all(cluster, others).await;
    let pruned = prune(cluster, plan.prune).await;
    pruned?;
    Ok([roles?, others?].concat())
}

async fn apply_all(cluster: &Cluster, objects: Vec<Value>) -> Result<Vec<Value>, ClusterError> {
    let applied: Vec<Result<Value, ClusterError>> = stream::iter(objects)
        .map(|object| async move { apply(cluster, &object).await })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    applied.into_iter().collect()
}

/// Deletes objects, each only if it is the one of its UID.
pub(crate) async fn prune(
    cluster: &Cluster,
    objects: Vec<(ObjectRef, String)>,
) -> Result<(), ClusterError> {
    let deleted: Vec<Result<(), ClusterError>> = stream::iter(objects)
        .map(|(object, uid)| async move {
            match cluster.delete(&object, &DeleteOptions::uid(&uid)).await {
                // Another of its name has taken its place; the next look will tell.
                Err(error) if error.is_conflict() => Ok(()),
                other => other.map(drop),
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    deleted.into_iter().collect()
}

/// All objects of some kinds in a namespace that the selector fits.
pub(crate) async fn list(
    cluster: &Cluster,
    kinds: &[Kind],
    namespace: &str,
    selector: &str,
) -> Result<Vec<Value>, ClusterError> {
    let lists = kinds
        .iter()
        .map(|kind| cluster.list(kind, Some(namespace), selector));
    let lists: Vec<Vec<Value>> = try_join_all(lists).await?;
    Ok(lists.concat())
}

async fn apply(cluster: &Cluster, object: &Value) -> Result<Value, ClusterError> {
    match cluster.apply(object).await {
        // What a binding binds cannot be changed. One of our name that binds something else is
        // not ours, or was changed past recognition: it makes place.
        Err(error) if error.code() == Some(422) && is_a(object, "RoleBinding") => {
            tracing::warn!(error = error.chain(), "replacing a RoleBinding");
            cluster
                .delete(&ObjectRef::of(object)?, &DeleteOptions::default())
                .await?;
            cluster.apply(object).await
        }
        other => other,
    }
}

fn is_a(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}
