//! Installs Bulkhead into the sandbox's cluster, as an administrator would.

use std::time::Duration;

use anyhow::Context as _;
use bulkhead_cluster::Cluster;
use bulkhead_controls::{
    Carriers, Endpoint, WebhookClient, guards, policies, webhook_configurations,
};
use bulkhead_model::labels;
use bulkhead_sandbox::control_plane::{ControlPlane, Identities, https};
use bulkhead_sandbox::dir::write_private;
use bulkhead_sandbox::https::Client;
use bulkhead_sandbox::kubeconfig::{Credential, Kubeconfig};
use bulkhead_sandbox::{nodes, real_nodes};
use http::Method;
use serde_json::{Value, json};

use super::processes::IDENTITIES;

/// The tokens of our processes outlive any sandbox.
const TOKEN_SECONDS: u64 = 365 * 24 * 3600;
/// A policy that refuses one thing that nobody else does.
const CANARY: &str = "bulkhead-sandbox-canary";

/// The kind of Tenants, Bulkhead's own namespace, identities, rights and guards, the simulated
/// nodes; last a canary that shows when all of the guards hold.
pub(super) async fn objects(
    cluster: &Cluster,
    plane: &ControlPlane<'_>,
    ca: &str,
    nodes: u16,
    carriers: &Carriers,
) -> anyhow::Result<()> {
    let webhook = WebhookClient {
        endpoint: Endpoint::Url(https(plane.ports.webhook)),
        ca_bundle_pem: ca.to_owned(),
    };
    let mut objects = bulkhead_api::crds();
    objects.push(bulkhead_rego::template_crd());
    objects.push(bulkhead_rego::config_crd());
    objects.extend(bulkhead_rego::report_crds());
    objects.extend(bulkhead_isolation::install());
    objects.extend(nodes::rights_of_kwok());
    if plane.real_nodes {
        objects.push(real_nodes::rights());
    }
    objects.extend(nodes::nodes(nodes));
    objects.extend(guards::policies());
    objects.extend(policies::policies());
    objects.extend(canary());
    objects.extend(webhook_configurations(carriers, &webhook));
    for object in &objects {
        // Under a name of its own: the controller fills the shards that stand empty here.
        cluster.apply_as(object, INSTALLER).await?;
    }
    Ok(())
}

/// Waits until the API server judges by every policy that is installed. It takes policies up in the
/// order of their making, about once a second: when it judges by the last one, which is the canary,
/// it judges by all. The canary is removed then.
pub(super) async fn guards_hold(cluster: &Cluster, admin: &Client) -> anyhow::Result<()> {
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CANARY}});
    let path = "/api/v1/namespaces/default/configmaps?dryRun=All";
    while !admin
        .send(Method::POST, path, Some(&probe))
        .await?
        .message()
        .contains(CANARY_SAYS)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for object in canary().iter().rev() {
        let reference = bulkhead_cluster::ObjectRef::of(object)?;
        cluster
            .delete(&reference, &bulkhead_cluster::DeleteOptions::default())
            .await?;
    }
    Ok(())
}

/// The field manager of what is installed.
const INSTALLER: &str = "bulkhead-install";

const CANARY_SAYS: &str = "the canary sings";

fn canary() -> Vec<Value> {
    let api_version = "admissionregistration.k8s.io/v1";
    vec![
        json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": CANARY},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "resourceNames": [CANARY], "operations": ["CREATE"],
                }]},
                "validations": [{"expression": "false", "message": CANARY_SAYS}],
            },
        }),
        json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": CANARY},
            "spec": {"policyName": CANARY, "validationActions": ["Deny"]},
        }),
    ]
}

/// Writes the kubeconfigs of our processes, each with the token of its ServiceAccount.
pub(super) async fn identities(
    plane: &ControlPlane<'_>,
    made: &Identities,
    admin: &Client,
) -> anyhow::Result<()> {
    for name in IDENTITIES {
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{name}/token",
            labels::SYSTEM_NAMESPACE
        );
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        });
        let answer = admin.send(Method::POST, &path, Some(&request)).await?;
        let body = answer.json();
        let token = body.pointer("/status/token").and_then(Value::as_str);
        let token =
            token.with_context(|| format!("no token for `{name}`: {}", answer.message()))?;
        let kubeconfig = Kubeconfig {
            cluster: "bulkhead-sandbox",
            server: &plane.api_server_url(),
            authority: made.cluster.certificate(),
            user: name,
            credential: Credential::Token(token),
            namespace: None,
        };
        let file = plane.layout.identity_kubeconfig(name);
        write_private(&file, kubeconfig.to_yaml()?.as_bytes())
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(())
}
