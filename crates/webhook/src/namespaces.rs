//! Whose rules a namespace is under.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_cluster::{Cluster, Kind, NamespaceCache, NamespaceRecord, ObjectRef};
use bulkhead_model::{TenantRules, labels};

/// The API server waits three seconds for the whole answer.
const LIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A watch that breaks is back sooner than this; past it, the cache is a memory.
const STALE: Duration = Duration::from_secs(10);

/// The records of the tenants' namespaces.
pub(crate) struct Namespaces {
    cache: NamespaceCache,
    /// Whom to ask what the cache does not know.
    cluster: Option<Cluster>,
}

impl Namespaces {
    pub(crate) fn new(cache: NamespaceCache, cluster: Option<Cluster>) -> Self {
        Self { cache, cluster }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.cache.is_ready()
    }

    /// Whom to ask about other objects; none where nobody is to be asked.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// The rules of a namespace: as the cache has them, or, where it has none (the namespace may
    /// be younger than the last event) or is out of touch, as the API server has them now.
    /// Labels of the request's own object are never asked: whoever sent it wrote them.
    ///
    /// # Errors
    /// Why there are no rules to go by.
    pub(crate) async fn rules(&self, namespace: &str) -> Result<Arc<TenantRules>, String> {
        let stale = self.cache.stale_for().is_some_and(|age| age > STALE);
        let known = if stale {
            None
        } else {
            self.cache.get(namespace)
        };
        if let Some(rules) = known.as_ref().and_then(|record| record.rules.as_ref().ok()) {
            return Ok(Arc::clone(rules));
        }
        let Some(cluster) = &self.cluster else {
            return match known {
                Some(record) => record.rules.clone(),
                None => Err(format!(
                    "it is not known to have the label `{}`",
                    labels::TENANT
                )),
            };
        };
        let reference = ObjectRef::cluster(Kind::namespace(), namespace);
        let object = match tokio::time::timeout(LIVE_TIMEOUT, cluster.get(&reference)).await {
            Ok(Ok(Some(object))) => object,
            Ok(Ok(None)) => return Err("it does not exist".to_owned()),
            Ok(Err(error)) => {
                tracing::error!(?namespace, error = %error.chain(), "cannot look a namespace up");
                return Err("it cannot be looked up".to_owned());
            }
            Err(_) => {
                tracing::error!(?namespace, "looking a namespace up takes too long");
                return Err("it cannot be looked up in time".to_owned());
            }
        };
        match NamespaceRecord::of(&object) {
            Some(record) => record.rules,
            None => Err("its Namespace object cannot be read".to_owned()),
        }
    }
}
