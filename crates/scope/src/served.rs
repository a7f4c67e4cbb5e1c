//! Which kinds and subresources are open to tenants. What is on no list is refused.

use crate::denial::{Denial, STATUS_WRITE};
use crate::path::Resource;
use crate::request::Verb;

/// Subresources that tenants may use, and how.
const SUBRESOURCES: [(&str, &[Verb]); 9] = [
    ("log", &[Verb::Get]),
    ("scale", &[Verb::Get, Verb::Update, Verb::Patch]),
    (
        "ephemeralcontainers",
        &[Verb::Get, Verb::Update, Verb::Patch],
    ),
    ("resize", &[Verb::Get, Verb::Update, Verb::Patch]),
    ("eviction", &[Verb::Create]),
    ("token", &[Verb::Create]),
    ("exec", CONNECT),
    ("attach", CONNECT),
    ("portforward", CONNECT),
];

/// A connection is opened by either: WebSockets by GET, SPDY by POST.
const CONNECT: &[Verb] = &[Verb::Get, Verb::Create];

/// Subresources that Kubernetes has and that this gateway does not carry.
pub(crate) const NOT_CARRIED: [&str; 1] = ["proxy"];

/// Cluster-scoped kinds of Kubernetes itself and of Bulkhead, which do not exist for a tenant. An
/// empty name stands for all of a group. What is not here is asked for in the caller's namespaces,
/// one by one, and does not exist there if it is cluster-scoped.
const CLUSTER_SCOPED: [(&str, &str); 37] = [
    ("", "componentstatuses"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumes"),
    ("admissionregistration.k8s.io", ""),
    ("apiextensions.k8s.io", ""),
    ("apiregistration.k8s.io", ""),
    ("authentication.k8s.io", ""),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("bulkhead.dev", ""),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("certificates.k8s.io", "clustertrustbundles"),
    ("constraints.gatekeeper.sh", ""),
    ("flowcontrol.apiserver.k8s.io", ""),
    ("gateway.networking.k8s.io", "gatewayclasses"),
    ("internal.apiserver.k8s.io", ""),
    ("metrics.k8s.io", "nodes"),
    ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "ipaddresses"),
    ("networking.k8s.io", "servicecidrs"),
    ("node.k8s.io", ""),
    ("policy.networking.k8s.io", ""),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "devicetaintrules"),
    ("resource.k8s.io", "resourceslices"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
    ("templates.gatekeeper.sh", ""),
    ("wgpolicyk8s.io", "clusterpolicyreports"),
];

/// Whether a kind is known to live in no namespace.
pub(crate) fn is_cluster_scoped(resource: &Resource) -> bool {
    is_cluster_kind(&resource.group, &resource.resource)
}

/// The same for a group and a plural name.
pub(crate) fn is_cluster_kind(group: &str, resource: &str) -> bool {
    CLUSTER_SCOPED
        .iter()
        .any(|(known, name)| *known == group && (name.is_empty() || *name == resource))
}

/// Groups of which every kind lives in no namespace.
pub(crate) fn whole_groups() -> impl Iterator<Item = &'static str> {
    CLUSTER_SCOPED
        .iter()
        .filter(|(_, name)| name.is_empty())
        .map(|(group, _)| *group)
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
    // Only pods have them; whatever another kind calls so would be no connection upstream.
    if ["exec", "attach", "portforward"].contains(&name) && resource.connection().is_none() {
        return Err(Denial::no_such_resource());
    }
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

/// The subresources that are open, with the verbs that they take.
pub(crate) fn subresources() -> &'static [(&'static str, &'static [Verb])] {
    &SUBRESOURCES
}

/// Whether Kubernetes has a subresource that the gateway does not carry.
pub(crate) fn is_not_carried(subresource: &str) -> bool {
    NOT_CARRIED.contains(&subresource)
}

/// Whether a subresource is open to a verb.
pub(crate) fn takes(subresource: &str, verb: Verb) -> bool {
    subresources()
        .iter()
        .any(|(known, verbs)| *known == subresource && verbs.contains(&verb))
}

/// Whether [`check_subresource`] lets anything pass of this subresource; for access reviews.
pub(crate) fn carries(subresource: &str) -> bool {
    SUBRESOURCES.iter().any(|(known, _)| *known == subresource)
}
