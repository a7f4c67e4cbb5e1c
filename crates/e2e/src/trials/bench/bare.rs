//! The least that anybody could do: the same objects, applied and listed by a client that knows
//! nothing.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::Client;
use serde_json::{Value, json};

use super::crowd::{NAMED, items, send};
use crate::client::text;

/// What the controller makes in each namespace: the list of it, and its kind.
const KINDS: [(&str, &str, &str); 5] = [
    (
        "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
        "RoleBinding",
    ),
    ("/apis/rbac.authorization.k8s.io/v1", "roles", "Role"),
    (
        "/apis/networking.k8s.io/v1",
        "networkpolicies",
        "NetworkPolicy",
    ),
    ("/api/v1", "limitranges", "LimitRange"),
    ("/api/v1", "resourcequotas", "ResourceQuota"),
];
/// What else it reads when it starts.
const READ: [&str; 3] = [
    "/apis/bulkhead.dev/v1alpha1/tenants",
    "/apis/bulkhead.dev/v1alpha1/ledgerentries",
    "/api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant",
];
const MANAGED: &str = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dbulkhead";
/// More would only take longer.
const MOST: usize = 3_000;

/// One object to apply: where its kind is in a namespace, its namespace, and itself.
pub(super) struct Object {
    root: String,
    resource: &'static str,
    namespace: String,
    value: Value,
}

/// The tenants' objects as the controller has made them, namespace by namespace.
pub(super) async fn objects(client: &Client) -> anyhow::Result<Vec<Object>> {
    let mut all = Vec::new();
    for (root, resource, kind) in KINDS {
        let list = send(client, "GET", &format!("{root}/{resource}?{MANAGED}"), None).await?;
        for item in items(&list) {
            let namespace = text(item, "/metadata/namespace").to_owned();
            if !namespace.starts_with(NAMED) {
                continue;
            }
            let mut value = item.clone();
            let api = root
                .trim_start_matches("/apis/")
                .trim_start_matches("/api/");
            if let Some(fields) = value.as_object_mut() {
                fields.remove("status");
                fields.insert("apiVersion".to_owned(), json!(api));
                fields.insert("kind".to_owned(), json!(kind));
                // As many labels, but nobody's: the controller leaves them alone.
                let metadata = json!({
                    "name": text(item, "/metadata/name"),
                    "labels": {"app.example.com/managed-by": "bench", "example.com/tenant": "bench"},
                });
                fields.insert("metadata".to_owned(), metadata);
            }
            all.push(Object {
                root: root.to_owned(),
                resource,
                namespace,
                value,
            });
        }
    }
    all.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    all.truncate(MOST);
    Ok(all)
}

/// Applies copies in namespaces of their own, so many at a time. The result is how many in a second,
/// the namespaces counted as objects.
pub(super) async fn apply(
    client: &Client,
    objects: &[Object],
    suffix: &str,
    at_once: usize,
) -> anyhow::Result<f64> {
    let renamed = |namespace: &str| namespace.replacen(NAMED, &format!("bare-{suffix}-"), 1);
    let mut namespaces: Vec<String> = objects
        .iter()
        .map(|object| renamed(&object.namespace))
        .collect();
    namespaces.dedup();
    let began = Instant::now();
    let made = stream::iter(&namespaces).map(|name| async move {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"example.com/tenant": "bench"}}});
        patch(client, &format!("/api/v1/namespaces/{name}"), &object).await
    });
    made.buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    let made = stream::iter(objects).map(|object| async move {
        let (root, resource, namespace) =
            (&object.root, object.resource, renamed(&object.namespace));
        let name = text(&object.value, "/metadata/name");
        let path = format!("{root}/namespaces/{namespace}/{resource}/{name}");
        patch(client, &path, &object.value).await
    });
    made.buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    Ok((namespaces.len() + objects.len()) as f64 / began.elapsed().as_secs_f64())
}

async fn patch(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let path = format!("{path}?fieldManager=bench&force=true");
    send(client, "PATCH", &path, Some(object)).await.map(drop)
}

/// Lists all that the controller reads when it starts, every kind at the same time.
pub(super) async fn list(client: &Client) -> anyhow::Result<Duration> {
    let kinds = KINDS.map(|(root, resource, _)| format!("{root}/{resource}?{MANAGED}"));
    let paths = kinds.into_iter().chain(READ.map(str::to_owned));
    let began = Instant::now();
    let lists = paths.map(|path| async move { send(client, "GET", &path, None).await.map(drop) });
    futures::future::try_join_all(lists).await?;
    Ok(began.elapsed())
}
