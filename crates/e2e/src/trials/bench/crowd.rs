//! Many tenants at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::Client;
use serde_json::{Value, json};

use super::{AT_ONCE, Size};
use crate::client::text;

const TENANTS: &str = "/apis/bulkhead.dev/v1alpha1/tenants";
/// What their names start with.
pub(super) const NAMED: &str = "bench-";

/// Sends a request whose answer must be a success.
pub(super) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let media_type = match method {
        "PATCH" => "application/apply-patch+yaml",
        _ => "application/json",
    };
    let body = body.map(ToString::to_string).unwrap_or_default();
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .body(body.into_bytes())?;
    client
        .request::<Value>(request)
        .await
        .with_context(|| format!("{method} {path}"))
}

/// Makes Tenants with a quota each, and their namespaces, as an administrator does.
pub(super) async fn arrive(client: &Client, size: Size) -> anyhow::Result<()> {
    let tenant = |index: usize| async move {
        let name = format!("{NAMED}{index:05}");
        let object = json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name},
            "spec": {
                "members": [{"kind": "User", "name": format!("{name}-admin"), "role": "Admin"}],
                "resources": {"quota": {"hard": {"pods": "1000", "requests.cpu": "1k", "limits.memory": "1Ti"}}},
            },
        });
        let made = send(client, "POST", TENANTS, Some(&object)).await?;
        let uid = text(&made, "/metadata/uid");
        for number in 0..size.namespaces {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": format!("{name}-{number}"), "labels": {
                    "bulkhead.dev/tenant": name, "bulkhead.dev/tenant-uid": uid,
                }},
            });
            send(client, "POST", "/api/v1/namespaces", Some(&object)).await?;
        }
        anyhow::Ok(())
    };
    let all = stream::iter((0..size.tenants).map(tenant)).buffer_unordered(AT_ONCE);
    all.try_collect::<Vec<()>>().await.map(drop)
}

/// Waits until all of them are Ready with all of their namespaces open.
pub(super) async fn ready(client: &Client, size: Size, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let open = open(client).await?;
        if open >= size.tenants * size.namespaces && are_ready(client).await? >= size.tenants {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{open} namespaces are open, and no more come"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// How many namespaces are open. As metadata alone, so that asking costs little.
async fn open(client: &Client) -> anyhow::Result<usize> {
    let request = http::Request::get("/api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant")
        .header(
            "accept",
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        )
        .body(Vec::new())?;
    let list = client.request::<Value>(request).await?;
    let ours = items(&list).filter(|item| {
        text(item, "/metadata/name").starts_with(NAMED)
            && item
                .pointer("/metadata/annotations/bulkhead.dev~1isolated")
                .is_some()
    });
    Ok(ours.count())
}

async fn are_ready(client: &Client) -> anyhow::Result<usize> {
    let list = send(client, "GET", TENANTS, None).await?;
    let ready = items(&list).filter(|tenant| {
        let conditions = tenant
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let current =
            tenant.pointer("/status/observedGeneration") == tenant.pointer("/metadata/generation");
        text(tenant, "/metadata/name").starts_with(NAMED)
            && current
            && conditions.into_iter().flatten().any(|condition| {
                text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
            })
    });
    let names: BTreeSet<&str> = ready.map(|tenant| text(tenant, "/metadata/name")).collect();
    Ok(names.len())
}

/// The objects of a list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    let items = list.pointer("/items").and_then(Value::as_array);
    items.into_iter().flatten()
}
