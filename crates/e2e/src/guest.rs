//! Tenants that come and go within a trial.

use anyhow::{Context as _, ensure};
use bulkhead_attack::Kubeconfig;
use bulkhead_attack::wire::{Client, Request, Response};
use bulkhead_sandbox::kubeconfig::{Credential, Kubeconfig as KubeconfigFile};
use bulkhead_sandbox::pki::{Authority, AuthorityName, Subject};
use serde_json::{Value, json};

use crate::bed::{Bed, eventually};
use crate::client::{succeeded, text};

/// A tenant of one trial's own. Deleted by [`Guest::leave`]; what a failed trial leaves goes with the
/// sandbox.
pub(crate) struct Guest<'a> {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) client: Client,
    bed: &'a Bed,
}

impl<'a> Guest<'a> {
    /// Makes a Tenant whose admin is `NAME-admin`, and its namespace `NAME-app` through the gateway,
    /// and waits until that is open.
    pub(crate) fn arrive(bed: &'a Bed, name: &str, extra: &Value) -> anyhow::Result<Self> {
        let mut spec = json!({"members": [{"kind": "User", "name": format!("{name}-admin"), "role": "Admin"}]});
        if let (Value::Object(spec), Value::Object(extra)) = (&mut spec, extra) {
            spec.extend(extra.clone());
        }
        let tenant = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec});
        let request = Request::post("/apis/bulkhead.dev/v1alpha1/tenants", &tenant);
        // Right after a start of the API server the other Tenants are not known yet.
        eventually("the Tenant is taken", || {
            let response = bed.admin(&request)?;
            let again = response.message().contains("are not known yet");
            if again {
                return Ok(None);
            }
            Ok(Some(succeeded(&response)))
        })??;
        let client = certificate(bed, name)?;
        let guest = Self {
            name: name.to_owned(),
            namespace: format!("{name}-app"),
            client,
            bed,
        };
        guest.make_namespace(&guest.namespace)?;
        eventually("the guest's namespace opens", || {
            let pods = format!("/api/v1/namespaces/{}/pods?dryRun=All", guest.namespace);
            let probe = json!({"metadata": {"name": "probe"}, "spec": bulkhead_attack::good_pod()});
            Ok(bed
                .admin(&Request::post(pods, &probe))?
                .is_success()
                .then_some(()))
        })?;
        Ok(guest)
    }

    /// Creates a namespace through the gateway, once that has heard of the tenant.
    pub(crate) fn make_namespace(&self, namespace: &str) -> anyhow::Result<()> {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        eventually("the guest may create its namespace", || {
            let response = self.send(&Request::post("/api/v1/namespaces", &object))?;
            match response.status {
                409 => Ok(Some(())),
                _ => succeeded(&response).map(|_| Some(())),
            }
        })
    }

    /// Sends a request as the guest's admin, through the gateway.
    pub(crate) fn send(&self, request: &Request) -> anyhow::Result<Response> {
        self.bed.send(&self.client, request)
    }

    /// Where the Tenant object is.
    pub(crate) fn path(&self) -> String {
        format!("/apis/bulkhead.dev/v1alpha1/tenants/{}", self.name)
    }

    /// Deletes the Tenant, and waits until it and its namespaces are gone.
    pub(crate) fn leave(self) -> anyhow::Result<()> {
        self.bed.do_as_admin(&Request::delete(self.path()))?;
        self.bed.gone(&self.path())
    }
}

/// A client with a certificate of the gateway's authority for `NAME-admin`.
fn certificate(bed: &Bed, name: &str) -> anyhow::Result<Client> {
    let pki = bed.layout.pki();
    let person = format!("{name}-admin");
    let issued = Authority::load(AuthorityName::GatewayClients, &pki)?
        .issue(&Subject::client(&person, None))?;
    let authority = std::fs::read_to_string(AuthorityName::Servers.certificate(&pki))?;
    let file = KubeconfigFile {
        cluster: "bulkhead",
        server: &bed.state.gateway,
        authority: &authority,
        user: &person,
        credential: Credential::Certificate {
            certificate: &issued.certificate,
            key: &issued.key,
        },
        namespace: None,
    };
    let path = bed.scratch().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, file.to_yaml()?)?;
    Ok(Kubeconfig::read(&path)?.client()?)
}

/// The UID of a Tenant.
pub(crate) fn uid(bed: &Bed, name: &str) -> anyhow::Result<String> {
    let tenant = bed.do_as_admin(&Request::get(format!(
        "/apis/bulkhead.dev/v1alpha1/tenants/{name}"
    )))?;
    let uid = text(&tenant, "/metadata/uid").to_owned();
    ensure!(!uid.is_empty(), "tenant `{name}` has no UID");
    Some(uid).context("no UID")
}
