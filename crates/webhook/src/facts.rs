//! Looks up, in the cluster, what the rules want to know.

use std::time::Duration;

use bulkhead_cluster::{Cluster, Kind, ObjectRef};
use bulkhead_controls::{Facts, ObjectKey, needed};
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

/// The kinds that may be looked up: group, plural name, version, kind. The webhook's role
/// (`bulkhead-webhook`) lets it read exactly these.
pub const READABLE: &[(&str, &str, &str, &str)] = &[
    ("", "namespaces", "v1", "Namespace"),
    ("", "persistentvolumeclaims", "v1", "PersistentVolumeClaim"),
    ("", "persistentvolumes", "v1", "PersistentVolume"),
    ("", "serviceaccounts", "v1", "ServiceAccount"),
    ("storage.k8s.io", "storageclasses", "v1", "StorageClass"),
];

/// Everything that the rules want for this request, read from the API server now. What cannot be
/// read in time, or at all, is [`bulkhead_controls::Fact::Unknown`].
pub(crate) async fn look_up(
    cluster: Option<&Cluster>,
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
) -> Facts {
    let mut facts = Facts::default();
    let deadline = Instant::now() + DEADLINE;
    let mut left = MOST;
    for _ in 0..ROUNDS {
        let keys = needed(request, rules, &facts);
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
    let (_, _, version, kind) = READABLE
        .iter()
        .find(|(group, resource, ..)| *group == key.group && *resource == key.resource)?;
    let api_version = match key.group {
        "" => (*version).to_owned(),
        group => format!("{group}/{version}"),
    };
    Some(ObjectRef {
        kind: Kind::new(&api_version, kind),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    })
}
