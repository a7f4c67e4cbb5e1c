//! Tenants whose settings demand something of their objects, so that what is demanded can be tried,
//! and kinds that a cluster need not have.

use std::time::Duration;

use bulkhead_model::labels;
use serde_json::{Value, json};

use crate::field::{Field, FieldError};
use crate::setup::{expect, remove};
use crate::wire::Request;

/// The namespace of a tenant with nodes of its own, which there are none of.
pub(crate) const DEDICATED: &str = "attack-dedicated-app";
/// The namespace of a tenant that is held to whatever a Tenant can demand.
pub(crate) const CONFINED: &str = "attack-confined-app";

const TENANTS: &str = "/apis/bulkhead.dev/v1alpha1/tenants";
const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// A machine may be busy, and a controller has to read everything back before a namespace opens.
const PATIENCE: Duration = Duration::from_secs(60);

fn tenants() -> [(&'static str, Value); 2] {
    [
        (
            DEDICATED,
            json!({"nodes": {"placement": "Dedicated", "selector": {"matchLabels": {"attack/pool": "none"}}}}),
        ),
        (
            CONFINED,
            json!({
                "nodes": {"placement": "Labelled", "selector": {"matchLabels": {"node-restriction.kubernetes.io/attack-pool": "own"}}},
                "podSecurity": {
                    "allowedHostPaths": [{"pathPrefix": "/srv/attack"}],
                    "selinuxLevel": "PerTenant",
                    "userNamespaces": "Required",
                },
                "storageClasses": {"allowed": ["own"]},
                "ingressClasses": {"allowed": ["own"]},
                "hostnames": {"allowed": ["own.example"]},
            }),
        ),
    ]
}

fn tenant_of(namespace: &str) -> &str {
    namespace.strip_suffix("-app").unwrap_or(namespace)
}

/// Routes, as far as admission looks at them.
fn routes() -> Value {
    json!({
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for attacks"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

pub(crate) async fn prepare(field: &Field) -> Result<(), FieldError> {
    make(field, "the kind HTTPRoute", KINDS, &routes()).await?;
    for (namespace, settings) in tenants() {
        let tenant = tenant_of(namespace);
        let mut spec = json!({"members": [{"kind": "User", "name": format!("{tenant}-admin"), "role": "Admin"}]});
        if let (Value::Object(spec), Value::Object(settings)) = (&mut spec, settings) {
            spec.extend(settings);
        }
        let object = json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": tenant}, "spec": spec,
        });
        make(field, tenant, TENANTS, &object).await?;
        let request = Request::get(format!("{TENANTS}/{tenant}"));
        let made = expect(&field.admin, format!("read `{tenant}`"), &request).await?;
        let object = json!({"metadata": {"name": namespace, "labels": {
            labels::TENANT: tenant, labels::TENANT_UID: made.pointer("/metadata/uid"),
        }}});
        make(field, namespace, "/api/v1/namespaces", &object).await?;
    }
    for (namespace, _) in tenants() {
        let request = Request::get(format!("/api/v1/namespaces/{namespace}"));
        until(field, &format!("open `{namespace}`"), &request, |found| {
            let open = found
                .pointer("/metadata/annotations")
                .and_then(|annotations| annotations.get(labels::ISOLATED));
            open.is_some()
        })
        .await?;
    }
    let collection = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
    until(field, "list routes", &Request::get(collection), |_| true).await
}

pub(crate) async fn clean(field: &Field) -> Result<(), FieldError> {
    for (namespace, _) in tenants() {
        remove(&field.admin, &format!("/api/v1/namespaces/{namespace}")).await?;
        remove(&field.admin, &format!("{TENANTS}/{}", tenant_of(namespace))).await?;
    }
    remove(
        &field.admin,
        &format!("{KINDS}/httproutes.gateway.networking.k8s.io"),
    )
    .await
}

/// Creates an object, unless a run that was killed has left it. What the run before has taken away
/// may still be going.
async fn make(field: &Field, what: &str, at: &str, object: &Value) -> Result<(), FieldError> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    let path = format!("{at}/{}", name.unwrap_or_default());
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = Request::post(at, object);
        let error = match expect(&field.admin, format!("create {what}"), &request).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let again = match &error {
            FieldError::Refused { status: 409, .. } => {
                match expect(&field.admin, format!("read {what}"), &Request::get(&path)).await {
                    Ok(found) if found.pointer("/metadata/deletionTimestamp").is_none() => {
                        return Ok(());
                    }
                    found => matches!(found, Ok(_) | Err(FieldError::Refused { status: 404, .. })),
                }
            }
            // Right after a start the other Tenants are not known yet.
            FieldError::Refused { message, .. } => message.contains("not known yet"),
            _ => false,
        };
        if !again || tokio::time::Instant::now() > end {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until(
    field: &Field,
    what: &str,
    request: &Request,
    ready: impl Fn(&Value) -> bool,
) -> Result<(), FieldError> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let late = match expect(&field.admin, what.to_owned(), request).await {
            Ok(found) if ready(&found) => return Ok(()),
            Ok(_) => FieldError::Late(what.to_owned()),
            Err(error) => error,
        };
        if tokio::time::Instant::now() > end {
            return Err(late);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
