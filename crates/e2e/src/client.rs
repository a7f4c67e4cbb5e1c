//! Who asks, and what the answer must be.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Client, Request, Response};
use bulkhead_attack::{Account, Credential, Door};
use serde_json::Value;

use crate::bed::{Bed, eventually};

impl Bed {
    /// Sends a request as the cluster's administrator, straight to the API server.
    pub(crate) fn admin(&self, request: &Request) -> anyhow::Result<Response> {
        let sending = self.field.as_admin(request);
        self.wait(sending)
            .context("the API server does not answer the administrator")
    }

    /// The same, and it must succeed.
    pub(crate) fn do_as_admin(&self, request: &Request) -> anyhow::Result<Value> {
        succeeded(&self.admin(request)?)
    }

    /// Waits until what stands at a path is gone.
    pub(crate) fn gone(&self, path: &str) -> anyhow::Result<()> {
        eventually(&format!("`{path}` is gone"), || {
            Ok((self.admin(&Request::get(path))?.status == 404).then_some(()))
        })
    }

    /// Sends a request as the first tenant's admin, through the gateway.
    pub(crate) fn tenant(&self, request: &Request) -> anyhow::Result<Response> {
        self.with(Door::Gateway, &Credential::Tenant, request)
    }

    /// The same, and it must succeed.
    pub(crate) fn do_as_tenant(&self, request: &Request) -> anyhow::Result<Value> {
        succeeded(&self.tenant(request)?)
    }

    /// Sends a request with the token of one of the first tenant's ServiceAccounts, straight to the
    /// API server.
    pub(crate) fn account(&self, account: Account, request: &Request) -> anyhow::Result<Response> {
        self.with(Door::ApiServer, &Credential::Account(account), request)
    }

    /// Sends a request at a door with a credential.
    pub(crate) fn with(
        &self,
        door: Door,
        credential: &Credential,
        request: &Request,
    ) -> anyhow::Result<Response> {
        self.send(&self.field.client(door, credential)?, request)
    }

    /// Sends a request with any client.
    pub(crate) fn send(&self, client: &Client, request: &Request) -> anyhow::Result<Response> {
        Ok(self.wait(client.send(request))?)
    }

    /// The namespace of the first tenant's.
    pub(crate) fn own(&self) -> &str {
        &self.field.attacker.namespace
    }

    /// The namespace of the second tenant's.
    pub(crate) fn theirs(&self) -> &str {
        &self.field.victim.namespace
    }

    /// A kube client of the administrator's.
    pub(crate) fn kube_admin(&self) -> anyhow::Result<kube::Client> {
        self.kube_with(&self.layout.admin_kubeconfig())
    }

    /// A kube client for a tenant's kubeconfig of the sandbox.
    pub(crate) fn kube(&self, tenant: &str) -> anyhow::Result<kube::Client> {
        self.kube_with(&self.layout.tenant_kubeconfig(tenant))
    }

    /// A kube client for a kubeconfig.
    pub(crate) fn kube_with(&self, kubeconfig: &std::path::Path) -> anyhow::Result<kube::Client> {
        let file = kube::config::Kubeconfig::read_from(kubeconfig)?;
        self.wait(async {
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
            Ok(kube::Client::try_from(config)?)
        })
    }
}

/// The body of an answer that must be a success.
pub(crate) fn succeeded(response: &Response) -> anyhow::Result<Value> {
    ensure!(
        response.is_success(),
        "refused: {} {}",
        response.status,
        response.message()
    );
    Ok(response.json())
}

/// An answer that must be this refusal, with each of these texts.
pub(crate) fn refused(response: &Response, status: u16, texts: &[&str]) -> anyhow::Result<()> {
    let message = response.message();
    ensure!(
        response.status == status,
        "expected {status}, got {} {message}",
        response.status
    );
    for text in texts {
        ensure!(message.contains(text), "expected `{text}` in: {message}");
    }
    Ok(())
}

/// The text at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The names in a list.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list.pointer("/items").and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .map(|item| text(item, "/metadata/name").to_owned())
        .collect()
}
