//! Client certificates of the gateway's authority that were taken back: the keys of a ConfigMap in
//! Bulkhead's namespace. The reader of all of the gateway's replicas watches it, an administrator
//! writes it, and a backup of the cluster holds it.

use std::collections::BTreeSet;

use bulkhead_model::Serial;
use bulkhead_model::labels::{REVOKED_CERTIFICATES, SYSTEM_NAMESPACE};
use serde_json::Value;

use crate::cache::{Cache, Record};
use crate::cluster::Cluster;
use crate::resource::{Kind, ObjectRef};

/// The certificates that were taken back.
pub type RevocationCache = Cache<RevokedCertificates>;

/// The ConfigMap, parsed where it came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevokedCertificates(BTreeSet<Serial>);

impl RevocationCache {
    /// Follows the list of a cluster. Starts a task; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::follow_in(cluster, Kind::config_map(), SYSTEM_NAMESPACE)
    }

    /// Where the list is.
    #[must_use]
    pub fn reference() -> ObjectRef {
        ObjectRef {
            kind: Kind::config_map(),
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            name: REVOKED_CERTIFICATES.to_owned(),
        }
    }

    /// Whether a certificate was taken back.
    #[must_use]
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.get(REVOKED_CERTIFICATES)
            .is_some_and(|list| list.0.contains(serial))
    }
}

impl Record for RevokedCertificates {
    fn parse(object: Value) -> Option<(String, Self)> {
        let name = object.pointer("/metadata/name")?.as_str()?;
        if name != REVOKED_CERTIFICATES {
            return None;
        }
        let data = object.get("data").and_then(Value::as_object);
        let keys = data.into_iter().flat_map(|data| data.keys());
        // What is no serial number is no certificate's.
        let serials = keys.filter_map(|key| match Serial::parse(key) {
            Ok(serial) => Some(serial),
            Err(error) => {
                tracing::warn!(%error, "a key in the list of revoked certificates");
                None
            }
        });
        Some((name.to_owned(), Self(serials.collect())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_the_one_config_map_count() {
        let map = |name: &str, data: Value| json!({"metadata": {"name": name, "namespace": SYSTEM_NAMESPACE}, "data": data});
        let cache = RevocationCache::fixed(vec![
            map("other", json!({"ff": ""})),
            map(
                REVOKED_CERTIFICATES,
                json!({"0A1B": "{}", "README": "by hand"}),
            ),
        ]);
        let revoked = |text: &str| cache.is_revoked(&Serial::parse(text).unwrap());
        assert!(revoked("a1b") && revoked("0a:1b"));
        assert!(!revoked("ff") && !revoked("a1"));
        let empty = RevocationCache::fixed(vec![map(REVOKED_CERTIFICATES, Value::Null)]);
        assert!(!empty.is_revoked(&Serial::parse("a1b").unwrap()));
    }
}
