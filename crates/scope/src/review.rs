//! Self-reviews: answers about the caller's own rights, true through the gateway.

use bulkhead_model::labels;
use serde_json::{Value, json};

use crate::body::{Body, text_at};
use crate::caller::{Caller, Membership};
use crate::denial::{Denial, FOREIGN_NAMESPACE};
use crate::discovery;
use crate::path::{Path, Resource};
use crate::request::Verb;
use crate::served;
use crate::sight::{Include, Sight};

/// The reviews that may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelfReview {
    Subject,
    Access,
    Rules,
}

impl SelfReview {
    pub(crate) fn of(resource: &Resource) -> Option<Self> {
        let Resource {
            group,
            version,
            namespace: None,
            resource,
            name: None,
            subresource: None,
        } = resource
        else {
            return None;
        };
        match (group.as_str(), version.as_str(), resource.as_str()) {
            ("authentication.k8s.io", "v1", "selfsubjectreviews") => Some(Self::Subject),
            ("authorization.k8s.io", "v1", "selfsubjectaccessreviews") => Some(Self::Access),
            ("authorization.k8s.io", "v1", "selfsubjectrulesreviews") => Some(Self::Rules),
            _ => None,
        }
    }
}

/// Where the answer comes from.
pub(crate) enum Review<'a> {
    /// From upstream, as this member.
    Upstream(&'a Membership),
    /// From upstream, for each of the caller's namespaces: one yes is enough.
    Each,
    /// From here.
    Answer(Value),
}

/// Decides who answers a review; may narrow what it asks.
pub(crate) fn review<'a>(
    kind: SelfReview,
    caller: &'a Caller,
    first: &'a Membership,
    body: &mut Body,
) -> Result<Review<'a>, Denial> {
    let Body::Object(object) = body else {
        return Err(Denial::bad_request(
            "a review needs a body: the review object",
        ));
    };
    match kind {
        SelfReview::Subject => Ok(Review::Answer(whoami(caller))),
        SelfReview::Rules => match text_at(object, &["spec", "namespace"])? {
            None | Some("") => Ok(Review::Upstream(first)),
            Some(namespace) => caller
                .owner(namespace)
                .map(Review::Upstream)
                .ok_or_else(|| {
                    Denial::not_found("", "namespaces", namespace).by(FOREIGN_NAMESPACE)
                }),
        },
        SelfReview::Access => access(caller, first, object),
    }
}

fn access<'a>(
    caller: &'a Caller,
    first: &'a Membership,
    object: &mut Value,
) -> Result<Review<'a>, Denial> {
    const ATTRIBUTES: [&str; 2] = ["spec", "resourceAttributes"];
    let field = |name: &str| -> Result<String, Denial> {
        let [spec, attributes] = ATTRIBUTES;
        Ok(text_at(object, &[spec, attributes, name])?
            .unwrap_or_default()
            .to_owned())
    };
    let (namespace, name, resource) = (field("namespace")?, field("name")?, field("resource")?);
    let (group, verb, subresource) = (field("group")?, field("verb")?, field("subresource")?);
    if let Some(path) = non_resource(object)? {
        return Ok(match Path::parse(&path) {
            Ok(Path::Document(document)) if !discovery::is_hidden(&document) => {
                Review::Upstream(first)
            }
            _ => Review::Answer(answer(
                object,
                false,
                "the gateway does not serve that path",
            )),
        });
    }
    if !subresource.is_empty() && !served::carries(&subresource) {
        let reason = format!("the gateway does not serve the subresource `{subresource}`");
        return Ok(Review::Answer(answer(object, false, &reason)));
    }
    let known = Verb::named(&verb);
    let cluster = served::is_cluster_kind(&group, &resource);
    let part = match subresource.as_str() {
        "" => resource.clone(),
        subresource => format!("{resource}/{subresource}"),
    };
    if let Some(verb) = known.filter(|_| !matches!(resource.as_str(), "" | "*"))
        && !discovery::works(&group, &part, !cluster, verb)
    {
        let reason = format!("the gateway does not serve `{verb}` of `{part}`");
        return Ok(Review::Answer(answer(object, false, &reason)));
    }
    if let Some(sight) = Sight::of_kind(&group, &resource, caller, Include::None) {
        let seen = known.is_some() && (name.is_empty() || sight.may_name(&name));
        let reason = match seen {
            true => "what your tenants may use of it is shown",
            false => "your tenants may not use it",
        };
        return Ok(Review::Answer(answer(object, seen, reason)));
    }
    // Rights on a Namespace are rights inside it, whatever the review says; and the list is the
    // gateway's own to give.
    let namespaces = group.is_empty() && resource == "namespaces";
    let namespace = match namespaces {
        true if name.is_empty() && matches!(verb.as_str(), "list" | "watch") => {
            return Ok(Review::Answer(answer(
                object,
                true,
                "the list holds your own namespaces",
            )));
        }
        // Everybody in the group has the right to ask; a guard looks at who may.
        true if verb == "create" => {
            return Ok(
                match caller.memberships.iter().find(|m| m.creates_namespaces()) {
                    Some(member) => Review::Upstream(member),
                    None => Review::Answer(answer(
                        object,
                        false,
                        "only the role `admin` creates namespaces",
                    )),
                },
            );
        }
        true if !name.is_empty() => {
            if let Some(fields) = object
                .pointer_mut("/spec/resourceAttributes")
                .and_then(Value::as_object_mut)
            {
                fields.insert("namespace".into(), name.as_str().into());
            }
            name
        }
        _ => namespace,
    };
    if namespace.is_empty() {
        // The gateway makes such a list of those of the namespaces in which it is allowed.
        let over_all = matches!(verb.as_str(), "list" | "watch")
            && subresource.is_empty()
            && !matches!(resource.as_str(), "" | "*")
            && !served::is_cluster_kind(&group, &resource);
        return Ok(match over_all {
            true => Review::Each,
            false => Review::Upstream(first),
        });
    }
    Ok(match caller.owner(&namespace) {
        Some(member) => Review::Upstream(member),
        None => {
            let reason = Denial::not_found("", "namespaces", &namespace).message;
            Review::Answer(answer(object, false, &reason))
        }
    })
}

/// The path that a review asks about, if it asks about one.
fn non_resource(object: &Value) -> Result<Option<String>, Denial> {
    let path = text_at(object, &["spec", "nonResourceAttributes", "path"])?;
    Ok(path.map(str::to_owned))
}

/// Who the caller is: the person, and the users that stand for it at the API server.
fn whoami(caller: &Caller) -> Value {
    let users: Vec<String> = caller
        .memberships
        .iter()
        .map(|m| m.user.to_string())
        .collect();
    let tenants: Vec<&str> = caller
        .memberships
        .iter()
        .map(|m| m.tenant.as_str())
        .collect();
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "status": {"userInfo": {
            "username": caller.person,
            "groups": [labels::TENANTS_GROUP],
            "extra": {"bulkhead.dev/acts-as": users, "bulkhead.dev/tenants": tenants},
        }},
    })
}

fn answer(object: &Value, allowed: bool, reason: &str) -> Value {
    json!({
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": object.get("spec").cloned().unwrap_or_default(),
        "status": {"allowed": allowed, "reason": reason},
    })
}
