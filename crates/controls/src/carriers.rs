//! Where pods, Services and claims stand: the one table that says which requests are judged, and
//! which webhook configurations bring them to us. A kind that is missing here is refused.

use bulkhead_model::Json;
use bulkhead_model::view::Pod;
use bulkhead_model::{AdmissionRequest, FieldPath, Gvr};

use crate::claim::Claim;
use crate::service::Service;

/// A kind of object that the rules cover.
#[derive(Debug)]
pub struct Carrier {
    /// API group, empty for the core.
    pub group: &'static str,
    /// API version: the API server converts others for us. `*` for any.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// The plural name in URLs.
    pub resource: &'static str,
    /// Subresources that change what is judged. Not `status`: a guard holds it.
    pub subresources: &'static [&'static str],
    /// What is in it.
    pub holds: &'static [Holds],
    /// Set where this is no object of the resource, but what is sent to a subresource of it.
    pub only: Option<Only>,
    /// When it is judged.
    pub phase: Phase,
}

/// A subresource whose objects have a kind of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Only {
    /// Its name.
    pub subresource: &'static str,
    /// The API group of the kind.
    pub group: &'static str,
}

/// A phase of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// As it was sent: afterwards the API server has filled in what a tenant could have chosen, and
    /// nobody can tell any more.
    Mutation,
    /// As it will be stored.
    Validation,
}

/// What stands in a carrier, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// The object is a pod.
    Pod,
    /// A pod template at this dotted path.
    Template(&'static str),
    /// The object is a Service.
    Service,
    /// The object is a PersistentVolumeClaim.
    Claim,
    /// The object itself, whatever it is: only rules over objects look at it.
    Object,
    /// A list of claim templates at this dotted path.
    ClaimTemplates(&'static str),
}

const TEMPLATE: &[Holds] = &[Holds::Template("spec.template")];

/// Every kind that the rules cover.
pub static CARRIERS: &[Carrier] = &[
    core("ServiceAccount", "serviceaccounts", &[Holds::Object]),
    Carrier {
        only: Some(Only {
            subresource: "token",
            group: "authentication.k8s.io",
        }),
        phase: Phase::Mutation,
        ..core("TokenRequest", "serviceaccounts", &[Holds::Object])
    },
    grouped(
        "rbac.authorization.k8s.io",
        "Role",
        "roles",
        &[Holds::Object],
    ),
    grouped(
        "rbac.authorization.k8s.io",
        "RoleBinding",
        "rolebindings",
        &[Holds::Object],
    ),
    Carrier {
        subresources: &["ephemeralcontainers", "resize"],
        ..core("Pod", "pods", &[Holds::Pod])
    },
    core(
        "PodTemplate",
        "podtemplates",
        &[Holds::Template("template")],
    ),
    core("ReplicationController", "replicationcontrollers", TEMPLATE),
    core("Service", "services", &[Holds::Service]),
    core(
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        &[Holds::Claim],
    ),
    grouped("apps", "ReplicaSet", "replicasets", TEMPLATE),
    grouped("apps", "Deployment", "deployments", TEMPLATE),
    grouped("apps", "DaemonSet", "daemonsets", TEMPLATE),
    grouped(
        "apps",
        "StatefulSet",
        "statefulsets",
        &[
            Holds::Template("spec.template"),
            Holds::ClaimTemplates("spec.volumeClaimTemplates"),
        ],
    ),
    grouped("batch", "Job", "jobs", TEMPLATE),
    grouped(
        "batch",
        "CronJob",
        "cronjobs",
        &[Holds::Template("spec.jobTemplate.spec.template")],
    ),
    grouped(
        "networking.k8s.io",
        "NetworkPolicy",
        "networkpolicies",
        &[Holds::Object],
    ),
    grouped(
        "policy",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        &[Holds::Object],
    ),
    // Before 1.34 there is no `v1` that the API server could convert to.
    devices("v1"),
    devices("v1beta2"),
    devices("v1beta1"),
    device_templates("v1"),
    device_templates("v1beta2"),
    device_templates("v1beta1"),
    grouped(
        "networking.k8s.io",
        "Ingress",
        "ingresses",
        &[Holds::Object],
    ),
    gateway("BackendTLSPolicy", "backendtlspolicies"),
    gateway("Gateway", "gateways"),
    gateway("GRPCRoute", "grpcroutes"),
    gateway("HTTPRoute", "httproutes"),
    gateway("ListenerSet", "listenersets"),
    gateway("ReferenceGrant", "referencegrants"),
    gateway("TCPRoute", "tcproutes"),
    gateway("TLSRoute", "tlsroutes"),
    gateway("UDPRoute", "udproutes"),
];

/// A version that stands for all: of kinds whose versions come and go and look alike to the rules.
pub(crate) const ANY_VERSION: &str = "*";

const fn gateway(kind: &'static str, resource: &'static str) -> Carrier {
    Carrier {
        version: ANY_VERSION,
        ..grouped(
            "gateway.networking.k8s.io",
            kind,
            resource,
            &[Holds::Object],
        )
    }
}

const fn core(kind: &'static str, resource: &'static str, holds: &'static [Holds]) -> Carrier {
    grouped("", kind, resource, holds)
}

const fn grouped(
    group: &'static str,
    kind: &'static str,
    resource: &'static str,
    holds: &'static [Holds],
) -> Carrier {
    Carrier {
        group,
        version: "v1",
        kind,
        resource,
        subresources: &[],
        holds,
        only: None,
        phase: Phase::Validation,
    }
}

const fn devices(version: &'static str) -> Carrier {
    const GROUP: &str = "resource.k8s.io";
    Carrier {
        version,
        ..grouped(GROUP, "ResourceClaim", "resourceclaims", &[Holds::Object])
    }
}

const fn device_templates(version: &'static str) -> Carrier {
    const KIND: &str = "ResourceClaimTemplate";
    Carrier {
        kind: KIND,
        resource: "resourceclaimtemplates",
        ..devices(version)
    }
}

/// Whether [`crate::judge`] judges requests for this resource.
#[must_use]
pub fn covers(resource: &Gvr, subresource: Option<&str>) -> bool {
    CARRIERS
        .iter()
        .any(|carrier| carrier.serves(resource, subresource))
}

/// The carrier that a request is about.
pub(crate) fn of(request: &AdmissionRequest<'_>) -> Option<&'static Carrier> {
    CARRIERS.iter().find(|carrier| {
        carrier.serves(&request.resource, request.sub_resource.as_deref())
            && carrier.kind_group() == request.kind.group
            && carrier.is_version(&request.kind.version)
            && carrier.kind == request.kind.kind
    })
}

impl Carrier {
    fn is_version(&self, version: &str) -> bool {
        self.version == ANY_VERSION || self.version == version
    }

    fn serves(&self, resource: &Gvr, subresource: Option<&str>) -> bool {
        self.resource == resource.resource
            && self.group == resource.group
            && self.is_version(&resource.version)
            && match (subresource.filter(|sub| !sub.is_empty()), self.only) {
                (None, only) => only.is_none(),
                (Some(sub), None) => self.subresources.contains(&sub),
                (Some(sub), Some(only)) => only.subresource == sub,
            }
    }

    /// The API group of the kind, which a subresource may take from elsewhere.
    #[must_use]
    pub fn kind_group(&self) -> &'static str {
        self.only.map_or(self.group, |only| only.group)
    }

    /// Whether the object only says how pods are to be made.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.holds
            .iter()
            .any(|held| matches!(held, Holds::Template(_)))
    }

    /// Every pod of an object of this kind.
    pub(crate) fn pods<'a>(&self, object: &'a Json<'a>) -> impl Iterator<Item = Pod<'a>> {
        self.holds.iter().filter_map(move |held| match *held {
            Holds::Pod => Pod::find(object, ""),
            Holds::Template(at) => Pod::find(object, at),
            Holds::Service | Holds::Claim | Holds::ClaimTemplates(_) | Holds::Object => None,
        })
    }

    /// Every Service of an object of this kind.
    pub(crate) fn services<'a>(&self, object: &'a Json<'a>) -> impl Iterator<Item = Service<'a>> {
        let found = self.holds.contains(&Holds::Service);
        found.then(|| Service::of(object)).into_iter()
    }

    /// Every claim of an object of this kind, those that its pods' volumes carry among them.
    pub(crate) fn claims<'a>(&self, object: &'a Json<'a>) -> impl Iterator<Item = Claim<'a>> {
        let own = self
            .holds
            .contains(&Holds::Claim)
            .then(|| Claim::of(object));
        let templates = self.holds.iter().flat_map(move |held| match *held {
            Holds::ClaimTemplates(at) => Some(Claim::templates(object, at)),
            _ => None,
        });
        let ephemeral = self
            .pods(object)
            .flat_map(|pod| pod.volumes().filter_map(Claim::of_volume));
        own.into_iter().chain(templates.flatten()).chain(ephemeral)
    }
}

/// What stands at a dotted path, and the path.
pub(crate) fn at<'a>(
    object: &'a Json<'a>,
    dotted: &'static str,
) -> (Option<&'a Json<'a>>, FieldPath) {
    let value = dotted
        .split('.')
        .filter(|s| !s.is_empty())
        .try_fold(object, |value, key| value.get(key));
    (
        value.filter(|value| !value.is_null()),
        FieldPath::of(dotted),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gvr(group: &str, resource: &str) -> Gvr {
        Gvr {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
        }
    }

    #[test]
    fn what_changes_a_pod_is_covered_and_its_status_is_not() {
        for (group, resource, sub, expect) in [
            ("", "pods", None, true),
            ("", "pods", Some(""), true),
            ("", "pods", Some("ephemeralcontainers"), true),
            ("", "pods", Some("resize"), true),
            ("", "pods", Some("status"), false),
            ("apps", "deployments", None, true),
            ("apps", "deployments", Some("scale"), false),
            ("extensions", "deployments", None, false),
            ("batch", "cronjobs", None, true),
            ("", "configmaps", None, false),
            ("", "serviceaccounts", None, true),
            ("", "serviceaccounts", Some("token"), true),
            ("", "serviceaccounts", Some("status"), false),
        ] {
            assert_eq!(
                covers(&gvr(group, resource), sub),
                expect,
                "{resource}/{sub:?}"
            );
        }
    }
}
