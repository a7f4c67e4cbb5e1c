//! One line for each request: who asked for what, as whom, and what came of it.

use std::net::SocketAddr;
use std::time::Instant;

use bulkhead_scope::{ApiRequest, Caller, Credential, Denial, Membership, Path, ScopedRequest};
use http::StatusCode;

/// What is known of a request so far.
pub(crate) struct Audit {
    pub(crate) id: String,
    began: Instant,
    client: SocketAddr,
    who: String,
    method: String,
    verb: &'static str,
    resource: String,
    namespace: String,
    name: String,
    tenant: String,
    role: String,
    reason: String,
    control: &'static str,
    decision: &'static str,
}

impl Audit {
    pub(crate) fn new(id: String, client: SocketAddr, method: &str) -> Self {
        Self {
            id,
            began: Instant::now(),
            client,
            who: String::new(),
            method: method.chars().take(16).collect(),
            verb: "",
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            tenant: String::new(),
            role: String::new(),
            reason: String::new(),
            control: "",
            decision: "answered",
        }
    }

    pub(crate) fn who(&mut self, name: String) {
        self.who = name;
    }

    /// All that the person could act as; [`Self::scoped`] says which it was.
    pub(crate) fn member(&mut self, caller: &Caller) {
        let join = |of: fn(&Membership) -> String| {
            caller
                .memberships
                .iter()
                .map(of)
                .collect::<Vec<_>>()
                .join(",")
        };
        self.tenant = join(|member| member.tenant.to_string());
        self.role = join(|member| member.user.role.to_string());
    }

    pub(crate) fn asked(&mut self, request: &ApiRequest) {
        self.verb = request.verb().as_str();
        match request.path() {
            Path::Document(document) => self.resource = document.to_string(),
            Path::Resource(resource) => {
                let kind = [Some(&resource.resource), resource.subresource.as_ref()];
                let kind: Vec<&str> = kind.into_iter().flatten().map(String::as_str).collect();
                self.resource = kind.join("/");
                if !resource.group.is_empty() {
                    self.resource = format!("{}.{}", self.resource, resource.group);
                }
                self.namespace = resource
                    .namespace
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                self.name = resource.name.clone().unwrap_or_default();
            }
        }
    }

    pub(crate) fn scoped(&mut self, request: &ScopedRequest) {
        self.tenant = request.tenant().to_string();
        if let Credential::Forwarder { user, .. } = request.credential() {
            self.role = user.role.to_string();
        }
        if let Some(name) = request.created_namespace() {
            self.name = name.to_string();
        }
        self.decision = "forwarded";
    }

    pub(crate) fn refused(&mut self, denial: &Denial) {
        self.decision = "refused";
        self.control = denial.control.unwrap_or_default();
        self.reason.clone_from(&denial.message);
    }

    pub(crate) fn log(&self, status: StatusCode) {
        tracing::info!(
            target: "bulkhead::audit",
            audit_id = %self.id,
            client = %self.client,
            who = %self.who,
            tenant = %self.tenant,
            role = %self.role,
            method = %self.method,
            verb = self.verb,
            resource = %self.resource,
            namespace = %self.namespace,
            name = %self.name,
            decision = self.decision,
            control = self.control,
            reason = %self.reason,
            status = status.as_u16(),
            ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
