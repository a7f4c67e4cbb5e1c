//! Pods by the node that they run on, and their eviction.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, typed};
use crate::error::{ClusterError, Failure};
use crate::resource::{Kind, ObjectRef};
use crate::transport::{Payload, call, with_query};

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Eviction {
    /// The pod is on its way out, or was gone before.
    Accepted,
    /// A budget does not let it go now. The text is the API server's.
    Blocked(String),
}

impl Cluster {
    /// The pods of all namespaces that are bound to a node. Never from a cache.
    ///
    /// # Errors
    /// [`ClusterError::List`], or the errors of naming the kind.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Value>, ClusterError> {
        let kind = Kind::new("v1", "Pod");
        let path = self.resource(&kind).await?.collection_path(&kind, None)?;
        let failed = |source| ClusterError::List {
            kind: kind.to_string(),
            source,
        };
        // A node holds some hundred pods at most, so they come at once.
        let target = with_query(
            &path,
            &[("fieldSelector", &format!("spec.nodeName={node}"))],
        );
        let mut list = call(&self.client, Method::GET, &target, Payload::None)
            .await
            .map_err(failed)?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => {
                Ok(items.into_iter().map(|item| typed(item, &kind)).collect())
            }
            Some(Value::Null) => Ok(Vec::new()),
            _ => Err(failed(Failure::Answer {
                problem: "`items` is missing".to_owned(),
            })),
        }
    }

    /// Asks for a pod's end, as far as the budgets of its owner allow. Another pod that has taken
    /// its name since is left alone.
    ///
    /// # Errors
    /// [`ClusterError::Evict`], or the errors of naming the pod.
    pub async fn evict(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Eviction, ClusterError> {
        let pod = ObjectRef::namespaced(Kind::new("v1", "Pod"), namespace, name);
        let path = self.resource(&pod.kind).await?.object_path(&pod)? + "/eviction";
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        match self.write(Method::POST, &path, Payload::Json(&body)).await {
            Ok(_) => Ok(Eviction::Accepted),
            Err(Failure::Status {
                code: 429, message, ..
            }) => Ok(Eviction::Blocked(message)),
            Err(Failure::Status {
                code: 404 | 409, ..
            }) => Ok(Eviction::Accepted),
            Err(source) => Err(ClusterError::Evict {
                pod: pod.to_string(),
                source,
            }),
        }
    }
}
