//! The decision: what a caller may have of what is asked, sealed for the way upstream.

use bulkhead_model::{NamespaceName, SyntheticUser, TenantName, labels};
use serde_json::Value;

use crate::MAX_WATCH_SECONDS;
use crate::body::{self, Body, text_at};
use crate::caller::{Caller, Membership};
use crate::denial::{Denial, FOREIGN_NAMESPACE, TENANT_LABEL_CHANGE};
use crate::discovery;
use crate::path::{Path, Resource};
use crate::query::QueryValue;
use crate::request::{ApiRequest, Verb};
use crate::review::{Review, SelfReview, review};
use crate::served;
use crate::sight::{Include, Sight};
use crate::spread::{Spread, own_namespaces};

/// A request that may go upstream. Only [`scope`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopedRequest {
    request: ApiRequest,
    body: Body,
    credential: Credential,
    tenant: TenantName,
    namespace: Option<NamespaceName>,
    sight: Option<Sight>,
}

/// As whom a request goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// By the forwarder, impersonating a synthetic user on behalf of a person.
    Forwarder {
        /// The user whose rights decide.
        user: SyntheticUser,
        /// Who is behind it.
        person: String,
    },
    /// By the reader, which sees every Namespace and the kinds of the cluster that tenants see a
    /// part of: only for the list of Namespaces, under a label selector that the caller cannot
    /// widen, and for what a [`Sight`] narrows.
    Reader,
}

/// What comes of a request that is not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It goes upstream.
    Forward(Box<ScopedRequest>),
    /// The gateway answers it (201) with this object.
    Answer(Value),
    /// It is made of one request for each of the caller's namespaces.
    Spread(Box<Spread>),
    /// A review: each of these is asked, until one is allowed. The answer is for what was asked.
    Each {
        /// One review for each of the caller's namespaces.
        requests: Vec<ScopedRequest>,
        /// The `spec` of the review as it was asked.
        spec: Value,
    },
}

impl ScopedRequest {
    pub(crate) fn sealed(
        request: ApiRequest,
        body: Body,
        credential: Credential,
        tenant: TenantName,
        namespace: Option<NamespaceName>,
    ) -> Self {
        Self {
            request,
            body,
            credential,
            tenant,
            namespace,
            sight: None,
        }
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.request.verb().method()
    }

    /// The request target, printed from typed values.
    #[must_use]
    pub fn target(&self) -> String {
        self.request.target()
    }

    /// The request as it goes upstream.
    #[must_use]
    pub fn request(&self) -> &ApiRequest {
        &self.request
    }

    /// The body as it goes upstream.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// As whom.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The tenant that is acted for; of several, for what belongs to none, the first.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// What of the answer the caller sees; none if it sees all of it.
    #[must_use]
    pub fn sight(&self) -> Option<&Sight> {
        self.sight.as_ref()
    }

    /// Whether a caller sees as much of the cluster's kinds as when the request was made.
    #[must_use]
    pub fn sees_the_same(&self, caller: &Caller) -> bool {
        match (&self.sight, self.request.path()) {
            (Some(sight), Path::Resource(resource)) => {
                Sight::of(resource, caller, sight.include()).as_ref() == Some(sight)
            }
            _ => true,
        }
    }

    /// The namespace whose loss ends what streams.
    #[must_use]
    pub fn namespace(&self) -> Option<&NamespaceName> {
        self.namespace.as_ref()
    }

    /// The Namespace that the request makes.
    #[must_use]
    pub fn created_namespace(&self) -> Option<&NamespaceName> {
        match self.request.path() {
            Path::Resource(r) if r.is_namespaces() && self.request.verb() == Verb::Create => {
                self.namespace.as_ref()
            }
            _ => None,
        }
    }
}

impl Credential {
    /// The impersonation headers; none for the reader. The API server unescapes an extra's key
    /// after it has lower-cased the header's name, so its `/` travels as `%2f`.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        match self {
            Self::Reader => Vec::new(),
            Self::Forwarder { user, person } => vec![
                ("impersonate-user".into(), user.to_string()),
                ("impersonate-group".into(), labels::TENANTS_GROUP.into()),
                (
                    format!(
                        "impersonate-extra-{}",
                        labels::USER_EXTRA.replace('/', "%2f")
                    ),
                    person.clone(),
                ),
            ],
        }
    }
}

/// Decides whether a caller may have what is asked, and as whom it goes upstream.
///
/// # Errors
/// 403 if the caller is in no tenant, the tenant is cordoned, or the thing is not open to
/// tenants; 404 for everything that is not the caller's; 400 for a body that does not fit.
pub fn scope(request: ApiRequest, caller: &Caller, body: Body) -> Result<Outcome, Denial> {
    let Some(first) = caller.memberships.first() else {
        return Err(Denial::forbidden("you are a member of no tenant"));
    };
    match request.path().clone() {
        Path::Document(document) if discovery::is_hidden(&document) => {
            Err(Denial::no_such_resource().by(FOREIGN_NAMESPACE))
        }
        Path::Document(_) => {
            body_fits(request.verb(), &body)?;
            sealed(request, body, caller, first, None)
        }
        Path::Resource(resource) => match &resource.namespace {
            Some(namespace) => inside(request, &resource, namespace, caller, body),
            None if resource.is_namespaces() && resource.version == "v1" => {
                namespaces(request, &resource, caller, first, body)
            }
            None => outside(request, &resource, caller, first, body),
        },
    }
}

fn body_fits(verb: Verb, body: &Body) -> Result<(), Denial> {
    let fits = match verb {
        Verb::Get | Verb::List | Verb::Watch => matches!(body, Body::Empty),
        Verb::Create | Verb::Update => matches!(body, Body::Object(Value::Object(_))),
        Verb::Patch => match body {
            Body::Patch(crate::PatchType::Json, value) => value.is_array(),
            Body::Patch(_, value) => value.is_object(),
            _ => false,
        },
        Verb::Delete | Verb::DeleteCollection => {
            matches!(body, Body::Empty | Body::Object(Value::Object(_)))
        }
    };
    let expected = match verb {
        Verb::Get | Verb::List | Verb::Watch => "no body",
        Verb::Create | Verb::Update => "an object as body",
        Verb::Patch => "a patch as body: a list for JSON patches, else an object",
        Verb::Delete | Verb::DeleteCollection => "no body or DeleteOptions",
    };
    fits.then_some(())
        .ok_or_else(|| Denial::bad_request(format!("`{verb}` takes {expected}")))
}

fn no_body(verb: Verb, body: &Body) -> Result<(), Denial> {
    match body {
        Body::Empty => Ok(()),
        _ => Err(Denial::bad_request(format!(
            "`{verb}` takes no body where it opens a connection"
        ))),
    }
}

fn missing(namespace: &str) -> Denial {
    Denial::not_found("", "namespaces", namespace).by(FOREIGN_NAMESPACE)
}

/// The words of the guard of the same name, so that both refusals read alike.
const CORDONED: &str = "tenant-cordoned: the tenant is cordoned: what runs keeps running and can be read, and nothing may be changed; ask the platform's administrators";

fn check_cordon(writes: bool, member: &Membership) -> Result<(), Denial> {
    if writes && member.cordoned {
        return Err(Denial::forbidden(CORDONED).by("tenant-cordoned"));
    }
    Ok(())
}

/// Things in a namespace.
fn inside(
    request: ApiRequest,
    resource: &Resource,
    namespace: &NamespaceName,
    caller: &Caller,
    mut body: Body,
) -> Result<Outcome, Denial> {
    let member = caller
        .owner(namespace.as_str())
        .ok_or_else(|| missing(namespace.as_str()))?;
    served::check_subresource(resource, request.verb())?;
    check_cordon(request.writes(), member)?;
    // What is not the caller's is not there, whatever the body.
    if request.connection().is_some() {
        no_body(request.verb(), &body)?;
    } else {
        body_fits(request.verb(), &body)?;
    }
    if let Body::Object(value) | Body::Patch(_, value) = &mut body {
        if value.is_object() && !is_delete(request.verb()) {
            body::same_namespace(value, namespace.as_str())?;
        }
        if request.verb() == Verb::Create && resource.subresource.is_none() {
            body::stamp(value, labels::TENANT, member.tenant.as_str())?;
        }
    }
    sealed(request, body, caller, member, Some(namespace.clone()))
}

/// Namespaces themselves.
fn namespaces(
    request: ApiRequest,
    resource: &Resource,
    caller: &Caller,
    first: &Membership,
    body: Body,
) -> Result<Outcome, Denial> {
    let Some(name) = &resource.name else {
        body_fits(request.verb(), &body)?;
        return match request.verb() {
            Verb::List | Verb::Watch => Ok(namespace_list(request, caller, first)),
            Verb::Create => create_namespace(request, caller, body),
            _ => Err(Denial::method_not_allowed(
                "namespaces are deleted one by one, by name",
            )),
        };
    };
    let member = caller.owner(name).ok_or_else(|| missing(name))?;
    served::check_subresource(resource, request.verb())?;
    check_cordon(request.writes(), member)?;
    body_fits(request.verb(), &body)?;
    let namespace = member
        .namespaces
        .iter()
        .find(|n| n.as_str() == name)
        .cloned();
    sealed(request, body, caller, member, namespace)
}

fn namespace_list(mut request: ApiRequest, caller: &Caller, first: &Membership) -> Outcome {
    let own = own_namespaces(caller);
    let theirs = match request.query_mut().take("labelSelector") {
        Some(QueryValue::Labels(selector)) => Some(selector),
        _ => None,
    };
    request.query_mut().set(
        "labelSelector",
        QueryValue::Labels(own.and(theirs.as_ref())),
    );
    cap_watch(&mut request);
    Outcome::Forward(Box::new(ScopedRequest {
        request,
        body: Body::Empty,
        credential: Credential::Reader,
        tenant: first.tenant.clone(),
        namespace: None,
        sight: None,
    }))
}

fn create_namespace(
    request: ApiRequest,
    caller: &Caller,
    mut body: Body,
) -> Result<Outcome, Denial> {
    let Body::Object(object) = &mut body else {
        return Err(Denial::bad_request("`create` takes an object as body"));
    };
    let name = text_at(object, &["metadata", "name"])?
        .unwrap_or_default()
        .to_owned();
    if name.is_empty() {
        return Err(Denial::forbidden(
            "`metadata.name` is missing: a tenant's namespace is created by its name, not by `generateName`",
        ));
    }
    let name = NamespaceName::parse(name)
        .map_err(|error| Denial::bad_request(format!("`metadata.name`: {error}")))?;
    let Some(member) = caller.memberships.iter().find(|m| m.prefix.covers(&name)) else {
        let prefixes: Vec<String> = caller
            .memberships
            .iter()
            .map(|m| format!("`{}`", m.prefix))
            .collect();
        return Err(Denial::forbidden(format!(
            "{FOREIGN_NAMESPACE}: namespaces \"{name}\" is forbidden: the names of your namespaces start with {}",
            prefixes.join(" or ")
        ))
        .about("", "namespaces", Some(name.as_str()))
        .by(FOREIGN_NAMESPACE));
    };
    if !member.creates_namespaces() {
        return Err(Denial::forbidden(format!(
            "namespaces \"{name}\" is forbidden: only the role `admin` creates namespaces, and yours in the tenant `{}` is `{}`",
            member.tenant, member.user.role
        ))
        .about("", "namespaces", Some(name.as_str())));
    }
    check_cordon(true, member)?;
    for which in ["labels", "annotations"] {
        let map = body::metadata_map(object, which)?;
        if let Some(key) = map.keys().find(|key| guarded(key)) {
            return Err(Denial::forbidden(format!(
                "{TENANT_LABEL_CHANGE}: `metadata.{which}[\"{key}\"]` is set by the platform: leave it out"
            ))
            .about("", "namespaces", Some(name.as_str()))
            .by(TENANT_LABEL_CHANGE));
        }
        if which == "labels" {
            map.insert(labels::TENANT.into(), member.tenant.as_str().into());
            map.insert(labels::TENANT_UID.into(), member.uid.as_str().into());
        } else {
            map.insert(labels::PREFIX.into(), member.prefix.as_str().into());
        }
    }
    sealed(request, body, caller, member, Some(name))
}

/// Keys that only the platform sets: our domain, its subdomains, Pod Security Admission's.
fn guarded(key: &str) -> bool {
    let domain = labels::GUARDED_DOMAIN;
    key.starts_with(labels::PSA_PREFIX)
        || key
            .strip_suffix(key.split_once('/').map_or("", |(_, name)| name))
            .is_some_and(|prefix| {
                prefix == domain
                    || prefix
                        .strip_suffix(domain)
                        .is_some_and(|sub| sub.ends_with('.'))
            })
}

/// What is in no namespace and no Namespace.
fn outside(
    request: ApiRequest,
    resource: &Resource,
    caller: &Caller,
    first: &Membership,
    mut body: Body,
) -> Result<Outcome, Denial> {
    if let Some(kind) = SelfReview::of(resource) {
        if request.verb() != Verb::Create {
            return Err(Denial::method_not_allowed("reviews are only there to POST"));
        }
        body_fits(request.verb(), &body)?;
        return match review(kind, caller, first, &mut body)? {
            Review::Upstream(member) => sealed(request, body, caller, member, None),
            Review::Each => each(&request, caller, &body),
            Review::Answer(answer) => Ok(Outcome::Answer(answer)),
        };
    }
    let include = Include::of(request.query().get("includeObject"));
    if let Some(sight) = Sight::of(resource, caller, include) {
        return shared(request, resource, sight, first, &body);
    }
    Err(match (request.verb(), &resource.name) {
        (Verb::List | Verb::Watch, None) if !served::is_cluster_scoped(resource) => {
            return everywhere(request, resource, caller, first, &body);
        }
        (_, None) => Denial::no_such_resource(),
        (_, Some(name)) => Denial::not_found(&resource.group, &resource.resource, name),
    }
    .by(FOREIGN_NAMESPACE))
}

/// What tenants see a part of.
fn shared(
    mut request: ApiRequest,
    resource: &Resource,
    sight: Sight,
    first: &Membership,
    body: &Body,
) -> Result<Outcome, Denial> {
    let Resource {
        group,
        resource,
        name,
        ..
    } = resource;
    if request.writes() {
        return Err(Denial::forbidden(format!(
            "{resource} are the platform's: tenants read those that they may use, and change none"
        ))
        .about(group, resource, name.as_deref())
        .by(FOREIGN_NAMESPACE));
    }
    body_fits(request.verb(), body)?;
    if let Some(name) = name.as_deref().filter(|name| !sight.may_name(name)) {
        return Err(Denial::not_found(group, resource, name).by(FOREIGN_NAMESPACE));
    }
    let query = request.query_mut();
    // Pages are cut before what is the caller's is picked out, and their tokens name what is not.
    if query.take("continue").is_some() {
        return Err(Denial::expired("the list has no further pages: list again"));
    }
    query.take("limit");
    // Who sees an object is seen by all of it.
    query.set("includeObject", QueryValue::Text("Object".into()));
    if let Some(own) = sight.selector().filter(|_| name.is_none()) {
        let theirs = match query.take("labelSelector") {
            Some(QueryValue::Labels(selector)) => Some(selector),
            _ => None,
        };
        query.set(
            "labelSelector",
            QueryValue::Labels(own.and(theirs.as_ref())),
        );
    }
    cap_watch(&mut request);
    Ok(Outcome::Forward(Box::new(ScopedRequest {
        request,
        body: Body::Empty,
        credential: Credential::Reader,
        tenant: first.tenant.clone(),
        namespace: None,
        sight: Some(sight),
    })))
}

/// An access review for each of the caller's namespaces.
fn each(request: &ApiRequest, caller: &Caller, body: &Body) -> Result<Outcome, Denial> {
    let mut requests = Vec::new();
    for member in &caller.memberships {
        for namespace in &member.namespaces {
            let mut body = body.clone();
            if let Body::Object(review) = &mut body
                && let Some(attributes) = review.pointer_mut("/spec/resourceAttributes")
                && let Some(attributes) = attributes.as_object_mut()
            {
                attributes.insert("namespace".into(), namespace.as_str().into());
            }
            if let Outcome::Forward(request) = sealed(request.clone(), body, caller, member, None)?
            {
                requests.push(*request);
            }
        }
    }
    let spec = body.value().and_then(|review| review.get("spec"));
    let spec = spec.cloned().unwrap_or_default();
    Ok(Outcome::Each { requests, spec })
}

/// A list or a watch over all namespaces, of which the caller's are meant.
fn everywhere(
    request: ApiRequest,
    resource: &Resource,
    caller: &Caller,
    first: &Membership,
    body: &Body,
) -> Result<Outcome, Denial> {
    body_fits(request.verb(), body)?;
    let spread = Spread::new(request, resource, caller, first);
    if spread.parts().is_empty() {
        return Err(Denial::forbidden(format!(
            "{} is forbidden: you have no namespace yet in which there could be any",
            resource.resource
        ))
        .about(&resource.group, &resource.resource, None)
        .by(FOREIGN_NAMESPACE));
    }
    Ok(Outcome::Spread(Box::new(spread)))
}

fn is_delete(verb: Verb) -> bool {
    matches!(verb, Verb::Delete | Verb::DeleteCollection)
}

fn cap_watch(request: &mut ApiRequest) {
    if request.verb() == Verb::Watch {
        let asked = match request.query().get("timeoutSeconds") {
            Some(QueryValue::Number(n)) if *n > 0 => *n,
            _ => MAX_WATCH_SECONDS,
        };
        let capped = QueryValue::Number(asked.min(MAX_WATCH_SECONDS));
        request.query_mut().set("timeoutSeconds", capped);
    }
}

fn sealed(
    mut request: ApiRequest,
    mut body: Body,
    caller: &Caller,
    member: &Membership,
    namespace: Option<NamespaceName>,
) -> Result<Outcome, Denial> {
    cap_watch(&mut request);
    if let (true, Body::Object(options)) = (is_delete(request.verb()), &mut body) {
        body::merge_delete_options(options, request.query_mut())?;
    }
    let credential = Credential::Forwarder {
        user: member.user.clone(),
        person: caller.person.clone(),
    };
    let tenant = member.tenant.clone();
    Ok(Outcome::Forward(Box::new(ScopedRequest {
        request,
        body,
        credential,
        tenant,
        namespace,
        sight: None,
    })))
}
