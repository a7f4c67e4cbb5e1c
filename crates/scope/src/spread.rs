//! A list or a watch over all of a caller's namespaces: one request for each, under the user of the
//! tenant that it belongs to.

use std::collections::BTreeSet;

use bulkhead_model::{NamespaceName, SyntheticUser, TenantName, Uid, labels};

use crate::body::Body;
use crate::caller::{Caller, Membership};
use crate::denial::Denial;
use crate::path::{Path, Resource};
use crate::query::QueryValue;
use crate::request::{ApiRequest, Verb};
use crate::scoped::{Credential, ScopedRequest};
use crate::selector::{LabelSelector, Operator, Requirement};

/// A list or a watch over all namespaces of a caller. Only [`crate::scope`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    request: ApiRequest,
    resource: Resource,
    person: String,
    parts: Vec<Part>,
    own: LabelSelector,
    tenant: TenantName,
    tenants: BTreeSet<(TenantName, Uid)>,
}

/// What is read of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    namespace: NamespaceName,
    tenant: TenantName,
    uid: Uid,
    user: SyntheticUser,
}

impl Part {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// The tenant that it belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }
}

/// Which state of a namespace a list is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At<'a> {
    /// The one that the client asks for.
    AsAsked,
    /// The newest.
    Newest,
    /// That of this resource version.
    Exact(u64),
    /// That of an earlier list, after what that list held, by the API server's own token.
    Continue(&'a str),
}

impl Spread {
    pub(crate) fn new(
        request: ApiRequest,
        resource: &Resource,
        caller: &Caller,
        first: &Membership,
    ) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for member in &caller.memberships {
            parts.extend(member.namespaces.iter().map(|namespace| Part {
                namespace: namespace.clone(),
                tenant: member.tenant.clone(),
                uid: member.uid.clone(),
                user: member.user.clone(),
            }));
        }
        parts.sort_by_cached_key(|part| key(&part.namespace));
        // A namespace is one tenant's: its labels say so.
        parts.dedup_by(|a, b| a.namespace == b.namespace);
        Self {
            request,
            resource: resource.clone(),
            person: caller.person.clone(),
            parts,
            own: own_namespaces(caller),
            tenant: first.tenant.clone(),
            tenants: caller
                .memberships
                .iter()
                .map(|m| (m.tenant.clone(), m.uid.clone()))
                .collect(),
        }
    }

    /// What was asked.
    #[must_use]
    pub fn request(&self) -> &ApiRequest {
        &self.request
    }

    /// Of what kind.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Who asks.
    #[must_use]
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The namespaces in the order of the API server's keys: `acme-1/` stands before `acme/`.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether all parts of another are parts of this one.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        other.parts.iter().all(|part| self.parts.contains(part))
    }

    /// The tenants of the parts, each once.
    #[must_use]
    pub fn tenants(&self) -> BTreeSet<&TenantName> {
        self.parts.iter().map(|part| &part.tenant).collect()
    }

    /// What two requests must have in common to be pages of one list: who asks, for what, in which
    /// namespaces of which tenants.
    #[must_use]
    pub fn identity(&self) -> String {
        let query = self.request.query();
        let selector = |name| match query.get(name) {
            Some(QueryValue::Labels(selector)) => selector.to_string(),
            Some(QueryValue::Fields(selector)) => selector.to_string(),
            _ => String::new(),
        };
        let mut lines = vec![
            self.person.clone(),
            self.resource.to_string(),
            selector("labelSelector"),
            selector("fieldSelector"),
        ];
        lines.extend(
            self.parts
                .iter()
                .map(|part| format!("{} {} {}", part.namespace, part.user, part.uid)),
        );
        lines.join("\n")
    }

    /// The list of one part.
    #[must_use]
    pub fn list(&self, part: &Part, at: At<'_>, limit: Option<u64>) -> ScopedRequest {
        let watched = self.request.verb() == Verb::Watch;
        let mut request = self.within(part, Verb::List);
        let query = request.query_mut();
        for name in WATCH_ONLY {
            query.take(name);
        }
        query.take("continue");
        query.take("limit");
        // A watch may say how new its state must be without saying of when.
        if at != At::AsAsked || query.get("resourceVersion").is_none() && watched {
            query.take("resourceVersion");
            query.take("resourceVersionMatch");
        }
        if let Some(limit) = limit {
            query.set("limit", QueryValue::Number(limit));
        }
        match at {
            At::AsAsked | At::Newest => {}
            At::Exact(version) => {
                query.set("resourceVersion", QueryValue::Text(version.to_string()));
                query.set("resourceVersionMatch", QueryValue::Text("Exact".into()));
            }
            At::Continue(token) => query.set("continue", QueryValue::Text(token.to_owned())),
        }
        self.sealed(request, part)
    }

    /// The watch of one part, from a resource version on, for so many seconds.
    #[must_use]
    pub fn watch(&self, part: &Part, from: u64, seconds: u64) -> ScopedRequest {
        let mut request = self.within(part, Verb::Watch);
        let query = request.query_mut();
        for name in [
            "continue",
            "limit",
            "resourceVersionMatch",
            "sendInitialEvents",
        ] {
            query.take(name);
        }
        query.set("watch", QueryValue::Bool(true));
        query.set("resourceVersion", QueryValue::Text(from.to_string()));
        query.set("allowWatchBookmarks", QueryValue::Bool(true));
        query.set("timeoutSeconds", QueryValue::Number(seconds));
        self.sealed(request, part)
    }

    /// The list of the caller's Namespaces, by the reader: as of a resource version, or the newest.
    #[must_use]
    pub fn namespaces(&self, at: Option<u64>) -> ScopedRequest {
        let resource = Resource {
            group: String::new(),
            version: "v1".into(),
            namespace: None,
            resource: "namespaces".into(),
            name: None,
            subresource: None,
        };
        let mut request = ApiRequest::of(Verb::List, Path::Resource(resource));
        let query = request.query_mut();
        query.set("labelSelector", QueryValue::Labels(self.own.clone()));
        if let Some(version) = at {
            query.set("resourceVersion", QueryValue::Text(version.to_string()));
            query.set("resourceVersionMatch", QueryValue::Text("Exact".into()));
        }
        let tenant = self.tenant.clone();
        ScopedRequest::sealed(request, Body::Empty, Credential::Reader, tenant, None)
    }

    /// Whether these Namespaces, each with its labels for tenant and UID, are the parts.
    #[must_use]
    pub fn is_of<'a>(
        &self,
        namespaces: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> bool {
        let known = |tenant: &str, uid: &str| {
            let mut tenants = self.tenants.iter();
            tenants.any(|(name, own)| name.as_str() == tenant && own.as_str() == uid)
        };
        // The selector lets labels of two tenants through that are mixed; those are nobody's.
        let theirs: BTreeSet<(&str, &str, &str)> = namespaces
            .into_iter()
            .filter(|(_, tenant, uid)| known(tenant, uid))
            .collect();
        let ours: BTreeSet<(&str, &str, &str)> = self
            .parts
            .iter()
            .map(|part| {
                (
                    part.namespace.as_str(),
                    part.tenant.as_str(),
                    part.uid.as_str(),
                )
            })
            .collect();
        ours == theirs
    }

    /// The refusal of someone who may read it in none of the namespaces.
    #[must_use]
    pub fn refused_everywhere(&self) -> Denial {
        let Resource {
            group, resource, ..
        } = &self.resource;
        Denial::forbidden(format!(
            "{resource} is forbidden: User \"{}\" cannot {} resource \"{resource}\" in API group \"{group}\" at the cluster scope",
            self.person,
            self.request.verb(),
        ))
        .about(group, resource, None)
    }

    /// The tenant that is acted for; of several, the first.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    fn within(&self, part: &Part, verb: Verb) -> ApiRequest {
        let mut resource = self.resource.clone();
        resource.namespace = Some(part.namespace.clone());
        let mut request = self.request.clone();
        request.narrow(verb, Path::Resource(resource));
        // The client's own deadline is for all of it, not for each part.
        request.query_mut().take("timeout");
        request
    }

    fn sealed(&self, request: ApiRequest, part: &Part) -> ScopedRequest {
        let credential = Credential::Forwarder {
            user: part.user.clone(),
            person: self.person.clone(),
        };
        ScopedRequest::sealed(
            request,
            Body::Empty,
            credential,
            part.tenant.clone(),
            Some(part.namespace.clone()),
        )
    }
}

/// Parameters that a list does not have.
const WATCH_ONLY: [&str; 4] = [
    "watch",
    "allowWatchBookmarks",
    "sendInitialEvents",
    "timeoutSeconds",
];

fn key(namespace: &NamespaceName) -> String {
    format!("{namespace}/")
}

/// The selector of the Namespaces of all of a caller's tenants.
pub(crate) fn own_namespaces(caller: &Caller) -> LabelSelector {
    let one_of = |key: &str, values: BTreeSet<String>| Requirement {
        key: key.to_owned(),
        operator: Operator::In(values),
    };
    LabelSelector::new(vec![
        one_of(
            labels::TENANT,
            caller
                .memberships
                .iter()
                .map(|m| m.tenant.to_string())
                .collect(),
        ),
        one_of(
            labels::TENANT_UID,
            caller
                .memberships
                .iter()
                .map(|m| m.uid.to_string())
                .collect(),
        ),
    ])
}

#[cfg(test)]
mod tests;
