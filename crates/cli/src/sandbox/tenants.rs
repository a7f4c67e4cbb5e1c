//! The tenants of a sandbox: their objects, the credentials of their people, and what they then make
//! themselves, through the gateway.

use std::time::Duration;

use anyhow::Context as _;
use bulkhead_api::{API_VERSION, Condition, KIND};
use bulkhead_cluster::{Cluster, ObjectRef};
use bulkhead_model::{Prefix, TenantName};
use bulkhead_sandbox::control_plane::{ControlPlane, Identities, https};
use bulkhead_sandbox::dir::write_private;
use bulkhead_sandbox::https::{Answer, Client};
use bulkhead_sandbox::kubeconfig::{Credential, Kubeconfig};
use bulkhead_sandbox::pki::Subject;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// What is tried again is tried this often.
const RETRY: Duration = Duration::from_millis(50);

/// Checks the names that the user gave, before anything is started.
pub(super) fn parse(names: &[String]) -> anyhow::Result<Vec<TenantName>> {
    let mut tenants: Vec<(TenantName, Prefix)> = Vec::new();
    for name in names {
        let tenant = TenantName::parse(name.as_str()).context("--tenants")?;
        let prefix = Prefix::parse(format!("{tenant}-")).context("--tenants")?;
        if let Some((other, _)) = tenants.iter().find(|(_, other)| other.overlaps(&prefix)) {
            anyhow::bail!(
                "--tenants: `{tenant}` and `{other}` cannot both exist: a namespace named `{prefix}…` could be either's"
            );
        }
        tenants.push((tenant, prefix));
    }
    anyhow::ensure!(
        !tenants.is_empty(),
        "--tenants: expected at least one name, such as `acme,globex`"
    );
    Ok(tenants.into_iter().map(|(tenant, _)| tenant).collect())
}

/// The name of a tenant's first namespace.
fn namespace(tenant: &TenantName) -> String {
    format!("{tenant}-app")
}

/// Makes the Tenant, and waits until the controller says that it is ready.
pub(super) async fn create(cluster: &Cluster, tenant: &TenantName) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": tenant},
        "spec": {"members": [
            {"kind": "User", "name": format!("{tenant}-admin"), "role": "Admin"},
            // For machines: a token of this account, with the gateway's audience.
            {"kind": "ServiceAccount", "name": format!("{}/deployer", namespace(tenant)), "role": "Developer"},
        ]},
    });
    cluster.create(&object).await?;
    let reference = ObjectRef::of(&object)?;
    loop {
        let live = cluster.get(&reference).await?.unwrap_or_default();
        let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
        let ready =
            |c: &&Value| field(c, "type") == Condition::READY && field(c, "status") == "True";
        if conditions
            .into_iter()
            .flatten()
            .any(|condition| ready(&condition))
        {
            return Ok(());
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Writes the kubeconfig of the tenant's administrator, and gives a client that uses it.
pub(super) fn admit(
    plane: &ControlPlane<'_>,
    made: &Identities,
    tenant: &TenantName,
) -> anyhow::Result<Client> {
    let person = format!("{tenant}-admin");
    let issued = made
        .gateway_clients
        .issue(&Subject::client(&person, None))?;
    let (server, authority) = (https(plane.ports.gateway), made.servers.certificate());
    let kubeconfig = Kubeconfig {
        cluster: "bulkhead",
        server: &server,
        authority,
        user: &person,
        credential: Credential::Certificate {
            certificate: &issued.certificate,
            key: &issued.key,
        },
        namespace: Some(&namespace(tenant)),
    };
    let file = plane.layout.tenant_kubeconfig(tenant.as_str());
    write_private(&file, kubeconfig.to_yaml()?.as_bytes())
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(Client::new(&server, Some(authority), Some(&issued))?)
}

/// The tenant makes its namespace and a workload in it, and waits for its pod.
pub(super) async fn settle_in(
    person: &Client,
    tenant: &TenantName,
    image: &str,
) -> anyhow::Result<()> {
    let namespace = namespace(tenant);
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    insist(person, "/api/v1/namespaces", &object).await?;
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{"name": "web", "image": image}],
                },
            },
        },
    });
    insist(
        person,
        &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        &web,
    )
    .await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dweb");
    loop {
        let answer = person.send(Method::GET, &pods, None).await?;
        let phase = answer
            .json()
            .pointer("/items/0/status/phase")
            .cloned()
            .unwrap_or_default();
        if phase == "Running" {
            return Ok(());
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Creates an object. A gateway and a controller that have just started may need a moment until
/// they have heard of the tenant: refusals are taken for final only after a while.
async fn insist(person: &Client, path: &str, object: &Value) -> anyhow::Result<Answer> {
    const TRIES: u32 = 100;
    for tried in 1.. {
        let answer = person.send(Method::POST, path, Some(object)).await?;
        match answer.status {
            StatusCode::CREATED => return Ok(answer),
            StatusCode::CONFLICT if tried > 1 => return Ok(answer),
            status if tried == TRIES => {
                anyhow::bail!("`POST {path}` gives {status}: {}", answer.message())
            }
            _ => tokio::time::sleep(RETRY).await,
        }
    }
    unreachable!("the last try returns")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str]) -> Result<usize, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        parse(&names)
            .map(|tenants| tenants.len())
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn tenants_have_names_of_their_own() {
        assert_eq!(check(&["acme", "globex"]), Ok(2));
        assert_eq!(check(&["acme", "acm"]), Ok(2));
        for (bad, says) in [
            (&["Acme"][..], "`Acme` is not a tenant name"),
            (&[""][..], "`` is not a tenant name"),
            (&["acme", "acme"][..], "cannot both exist"),
            (
                &["acme", "acme-prod"][..],
                "a namespace named `acme-prod-…` could be either's",
            ),
            (&[][..], "at least one name"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(
                error.contains("--tenants") && error.contains(says),
                "{error}"
            );
        }
    }
}
