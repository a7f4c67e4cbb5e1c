//! Looks up, in the cluster, what the rules want to know.

use std::time::Duration;

use bulkhead_cluster::{Cluster, Kind, ObjectRef};
use bulkhead_controls::{Carriers, Facts, LookedUp, ObjectKey};
use bulkhead_model::{AdmissionRequest, TenantRules};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// For all lookups of a request together. With the namespace's own, it stays under the three seconds
/// that the API server waits.
const DEADLINE: Duration = Duration::from_millis(800);
/// From a pod to its claim, to the volume, to the class.
const ROUNDS: usize = 4;
/// More objects than this are not looked up for one request: what is left is unknown.
const MOST: usize = 64;

/// Everything that the rules want for this request, read from the API server now. What cannot be
/// read in time, or at all, is [`bulkhead_controls::Fact::Unknown`].
pub(crate) async fn look_up(
    cluster: Option<&Cluster>,
    carriers: &Carriers,
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
) -> Facts {
    let mut facts = Facts::default();
    let deadline = Instant::now() + DEADLINE;
    let mut left = MOST;
    for _ in 0..ROUNDS {
        let keys = carriers.needed(request, rules, &facts);
        if keys.is_empty() {
            break;
        }
        let mut reads = JoinSet::new();
        for key in keys {
            match (cluster, reference(&key), left.checked_sub(1)) {
                (Some(cluster), Some(reference), Some(rest)) => {
                    left = rest;
                    let cluster = cluster.clone();
                    reads.spawn(async move {
                        let read = timeout_at(deadline, cluster.get(&reference)).await;
                        (key, reference, read)
                    });
                }
                _ => facts.fail(key),
            }
        }
        while let Some(read) = reads.join_next().await {
            match read {
                Ok((key, _, Ok(Ok(object)))) => facts.learn(key, object.map(Into::into)),
                Ok((key, reference, Ok(Err(error)))) => {
                    tracing::error!(object = %reference, error = %error.chain(), "cannot look an object up");
                    facts.fail(key);
                }
                Ok((key, reference, Err(_))) => {
                    tracing::error!(object = %reference, "looking an object up takes too long");
                    facts.fail(key);
                }
                // What is missing is unknown.
                Err(error) => tracing::error!(%error, "a lookup broke off"),
            }
        }
    }
    facts
}

fn reference(key: &ObjectKey) -> Option<ObjectRef> {
    let kind = LookedUp::of(key)?;
    Some(ObjectRef {
        kind: Kind::new(&kind.api_version(), kind.kind),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    })
}
