//! Which kinds and subresources are open to tenants. What is on no list is refused.

use crate::denial::{Denial, STATUS_WRITE};
use crate::path::Resource;
use crate::request::Verb;

/// Subresources that tenants may use, and how.
const SUBRESOURCES: [(&str, &[Verb]); 6] = [
    ("log", &[Verb::Get]),
    ("scale", &[Verb::Get, Verb::Update, Verb::Patch]),
    (
        "ephemeralcontainers",
        &[Verb::Get, Verb::Update, Verb::Patch],
    ),
    ("resize", &[Verb::Get, Verb::Update, Verb::Patch]),
    ("eviction", &[Verb::Create]),
    ("token", &[Verb::Create]),
];

/// Subresources that Kubernetes has and that this gateway does not carry.
pub(crate) const NOT_CARRIED: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Namespaced kinds of Kubernetes itself. A list over all namespaces of one of these is told
/// apart from a cluster-scoped kind, which does not exist for a tenant.
const NAMESPACED: [(&str, &str); 41] = [
    ("", "configmaps"),
    ("", "endpoints"),
    ("", "events"),
    ("", "limitranges"),
    ("", "persistentvolumeclaims"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "replicationcontrollers"),
    ("", "resourcequotas"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "controllerrevisions"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("coordination.k8s.io", "leasecandidates"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
    ("events.k8s.io", "events"),
    ("gateway.networking.k8s.io", "backendtlspolicies"),
    ("gateway.networking.k8s.io", "gateways"),
    ("gateway.networking.k8s.io", "grpcroutes"),
    ("gateway.networking.k8s.io", "httproutes"),
    ("gateway.networking.k8s.io", "listenersets"),
    ("gateway.networking.k8s.io", "referencegrants"),
    ("gateway.networking.k8s.io", "tcproutes"),
    ("gateway.networking.k8s.io", "tlsroutes"),
    ("gateway.networking.k8s.io", "udproutes"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "roles"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("storage.k8s.io", "csistoragecapacities"),
];

/// Whether a kind is known to live in namespaces.
pub(crate) fn is_namespaced(resource: &Resource) -> bool {
    NAMESPACED.contains(&(resource.group.as_str(), resource.resource.as_str()))
}

/// Refuses the subresources and virtual kinds that are not open to tenants.
pub(crate) fn check_subresource(resource: &Resource, verb: Verb) -> Result<(), Denial> {
    let about = |denial: Denial| {
        denial.about(
            &resource.group,
            &resource.resource,
            resource.name.as_deref(),
        )
    };
    if (resource.group.as_str(), resource.resource.as_str()) == ("", "bindings") {
        return Err(about(Denial::forbidden(format!(
            "{STATUS_WRITE}: only the scheduler binds pods to nodes"
        )))
        .by(STATUS_WRITE));
    }
    let Some(name) = resource.subresource.as_deref() else {
        return Ok(());
    };
    if let Some((_, verbs)) = SUBRESOURCES.iter().find(|(known, _)| *known == name) {
        if verbs.contains(&verb) {
            return Ok(());
        }
        return Err(about(Denial::method_not_allowed(format!(
            "the subresource `{name}` does not take the verb `{verb}`"
        ))));
    }
    if NOT_CARRIED.contains(&name) {
        return Err(about(Denial::not_implemented(format!(
            "the subresource `{name}` is not served by this gateway"
        ))));
    }
    Err(match name {
        "status" | "binding" | "finalize" if verb.writes() => about(Denial::forbidden(format!(
            "{STATUS_WRITE}: the subresource `{name}` is written by the platform's own components only"
        )))
        .by(STATUS_WRITE),
        _ => about(Denial::forbidden(format!(
            "the subresource `{name}` is not open to tenants: expected one of {}",
            SUBRESOURCES.map(|(known, _)| known).join(", ")
        ))),
    })
}

/// Whether [`check_subresource`] lets anything pass of this subresource; for access reviews.
pub(crate) fn carries(subresource: &str) -> bool {
    SUBRESOURCES.iter().any(|(known, _)| *known == subresource)
}
