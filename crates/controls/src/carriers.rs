//! Where pods, Services and claims stand: the one table that says which requests are judged, and
//! which webhook configurations bring them to us. A kind that is missing here, and that no
//! configuration names, is refused.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bulkhead_model::Json;
use bulkhead_model::view::{Pod, TemplatePath, TemplatePathError};
use bulkhead_model::{AdmissionRequest, FieldPath, Gvr};

use crate::claim::Claim;
use crate::service::Service;

/// A kind of object that the rules cover.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// API group, empty for the core.
    pub group: Cow<'static, str>,
    /// API version: the API server converts others for us. `*` for any.
    pub version: &'static str,
    /// Kind.
    pub kind: Cow<'static, str>,
    /// The plural name in URLs.
    pub resource: Cow<'static, str>,
    /// Subresources that change what is judged. Not `status`: a guard holds it.
    pub subresources: &'static [&'static str],
    /// What is in it.
    pub holds: &'static [Holds],
    /// Where else pod templates stand, in a kind that a configuration names.
    pub templates: Vec<TemplatePath>,
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
    kind(
        ("", "v1"),
        ("TokenRequest", "serviceaccounts"),
        &[Holds::Object],
        How {
            only: Some(Only {
                subresource: "token",
                group: "authentication.k8s.io",
            }),
            phase: Phase::Mutation,
            ..AS_STORED
        },
    ),
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
    kind(
        ("", "v1"),
        ("Pod", "pods"),
        &[Holds::Pod],
        How {
            subresources: &["ephemeralcontainers", "resize"],
            ..AS_STORED
        },
    ),
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

/// By which requests objects of a kind come.
struct How {
    subresources: &'static [&'static str],
    only: Option<Only>,
    phase: Phase,
}

const AS_STORED: How = How {
    subresources: &[],
    only: None,
    phase: Phase::Validation,
};

const fn gateway(name: &'static str, resource: &'static str) -> Carrier {
    const GROUP: &str = "gateway.networking.k8s.io";
    kind(
        (GROUP, ANY_VERSION),
        (name, resource),
        &[Holds::Object],
        AS_STORED,
    )
}

const fn core(name: &'static str, resource: &'static str, holds: &'static [Holds]) -> Carrier {
    grouped("", name, resource, holds)
}

const fn grouped(
    group: &'static str,
    name: &'static str,
    resource: &'static str,
    holds: &'static [Holds],
) -> Carrier {
    kind((group, "v1"), (name, resource), holds, AS_STORED)
}

const DEVICES: &str = "resource.k8s.io";

const fn devices(version: &'static str) -> Carrier {
    let names = ("ResourceClaim", "resourceclaims");
    kind((DEVICES, version), names, &[Holds::Object], AS_STORED)
}

const fn device_templates(version: &'static str) -> Carrier {
    let names = ("ResourceClaimTemplate", "resourceclaimtemplates");
    kind((DEVICES, version), names, &[Holds::Object], AS_STORED)
}

const fn kind(
    (group, version): (&'static str, &'static str),
    (kind, resource): (&'static str, &'static str),
    holds: &'static [Holds],
    how: How,
) -> Carrier {
    Carrier {
        group: Cow::Borrowed(group),
        version,
        kind: Cow::Borrowed(kind),
        resource: Cow::Borrowed(resource),
        subresources: how.subresources,
        holds,
        templates: Vec::new(),
        only: how.only,
        phase: how.phase,
    }
}

/// The kinds that the rules cover: Kubernetes' own, and those with pod templates that a
/// configuration names. Judging is a method of it ([`Carriers::judge`]); [`crate::judge`] and the
/// like know Kubernetes' own alone.
#[derive(Debug, Clone, Default)]
pub struct Carriers {
    named: Vec<Carrier>,
}

/// What a configuration says of a kind: `rollouts.argoproj.io/Rollout=.spec.template`, the name of
/// its CustomResourceDefinition (plural name and group), the kind, and the way to its templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodTemplate {
    resource: String,
    group: String,
    kind: String,
    path: TemplatePath,
}

/// Why a configuration of kinds cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodTemplateError {
    /// Not of the form.
    #[error(
        "`{0}` names no kind with pod templates: expected PLURAL.GROUP/KIND=PATH, such as `rollouts.argoproj.io/Rollout=.spec.template`"
    )]
    Form(String),
    /// No path.
    #[error(transparent)]
    Path(#[from] TemplatePathError),
    /// One of Kubernetes' own kinds, whose pods are found already.
    #[error(
        "the templates of `{0}` are Kubernetes' own and judged already: name only kinds of CustomResourceDefinitions"
    )]
    Known(String),
    /// One resource under two kinds.
    #[error("`{0}` has one kind, not two")]
    Kinds(String),
}

impl FromStr for PodTemplate {
    type Err = PodTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || PodTemplateError::Form(text.to_owned());
        let (names, path) = text.split_once('=').ok_or_else(form)?;
        let (definition, kind) = names.split_once('/').ok_or_else(form)?;
        let (resource, group) = definition.split_once('.').ok_or_else(form)?;
        let label = |label: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !label.is_empty() && label.bytes().all(plain)
        };
        let kinds = kind.bytes().all(|b| b.is_ascii_alphanumeric()) && !kind.is_empty();
        if !label(resource) || !group.contains('.') || !group.split('.').all(label) || !kinds {
            return Err(form());
        }
        Ok(Self {
            resource: resource.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            path: path.parse()?,
        })
    }
}

impl fmt::Display for PodTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            group,
            kind,
            path,
        } = self;
        write!(f, "{resource}.{group}/{kind}={path}")
    }
}

impl Carriers {
    /// Kubernetes' own kinds alone.
    pub const BUILT_IN: &'static Self = &Self { named: Vec::new() };

    /// Kubernetes' own kinds and these.
    ///
    /// # Errors
    /// If one of them is Kubernetes' own, or has two names.
    pub fn with(
        templates: impl IntoIterator<Item = PodTemplate>,
    ) -> Result<Self, PodTemplateError> {
        let mut named: Vec<Carrier> = Vec::new();
        for template in templates {
            let PodTemplate {
                resource,
                group,
                kind,
                path,
            } = template;
            let name = || format!("{resource}.{group}");
            if CARRIERS.iter().any(|known| known.group == group) {
                return Err(PodTemplateError::Known(name()));
            }
            let same = named
                .iter_mut()
                .find(|other| other.resource == resource && other.group == group);
            match same {
                Some(other) if other.kind != kind => return Err(PodTemplateError::Kinds(name())),
                Some(other) => other.templates.push(path),
                None => named.push(Carrier {
                    group: Cow::Owned(group),
                    version: ANY_VERSION,
                    kind: Cow::Owned(kind),
                    resource: Cow::Owned(resource),
                    subresources: &[],
                    holds: &[Holds::Object],
                    templates: vec![path],
                    only: None,
                    phase: Phase::Validation,
                }),
            }
        }
        Ok(Self { named })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Carrier> {
        CARRIERS.iter().chain(&self.named)
    }

    /// Whether requests for this resource are judged.
    #[must_use]
    pub fn covers(&self, resource: &Gvr, subresource: Option<&str>) -> bool {
        self.iter()
            .any(|carrier| carrier.serves(resource, subresource))
    }

    /// The carrier that a request is about.
    pub(crate) fn of(&self, request: &AdmissionRequest<'_>) -> Option<&Carrier> {
        self.iter().find(|carrier| {
            carrier.serves(&request.resource, request.sub_resource.as_deref())
                && carrier.kind_group() == request.kind.group
                && carrier.is_version(&request.kind.version)
                && carrier.kind == request.kind.kind
        })
    }
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
    pub fn kind_group(&self) -> &str {
        self.only.map_or(&*self.group, |only| only.group)
    }

    /// Whether the object only says how pods are to be made.
    #[must_use]
    pub fn is_template(&self) -> bool {
        let template = |held: &Holds| matches!(held, Holds::Template(_));
        !self.templates.is_empty() || self.holds.iter().any(template)
    }

    /// Every pod of an object of this kind.
    pub(crate) fn pods<'a>(&'a self, object: &'a Json<'a>) -> impl Iterator<Item = Pod<'a>> {
        let held = self.holds.iter().filter_map(move |held| match *held {
            Holds::Pod => Pod::find(object, ""),
            Holds::Template(at) => Pod::find(object, at),
            Holds::Service | Holds::Claim | Holds::ClaimTemplates(_) | Holds::Object => None,
        });
        held.chain(
            self.templates
                .iter()
                .flat_map(move |path| Pod::along(object, path)),
        )
    }

    /// Every place of an object of this kind where a pod stands, and what stands there.
    #[must_use]
    pub fn places<'a>(&self, object: &'a Json<'a>) -> Vec<(FieldPath, &'a Json<'a>)> {
        let held = self.holds.iter().filter_map(|held| {
            let dotted = match *held {
                Holds::Pod => "",
                Holds::Template(dotted) => dotted,
                _ => return None,
            };
            let (value, path) = at(object, dotted);
            Some((path, value?))
        });
        let named = self
            .templates
            .iter()
            .filter_map(|path| path.templates(object).ok());
        held.chain(named.flatten()).collect()
    }

    /// Every Service of an object of this kind.
    pub(crate) fn services<'a>(&self, object: &'a Json<'a>) -> impl Iterator<Item = Service<'a>> {
        let found = self.holds.contains(&Holds::Service);
        found.then(|| Service::of(object)).into_iter()
    }

    /// Every claim of an object of this kind, those that its pods' volumes carry among them.
    pub(crate) fn claims<'a>(&'a self, object: &'a Json<'a>) -> impl Iterator<Item = Claim<'a>> {
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
                Carriers::BUILT_IN.covers(&gvr(group, resource), sub),
                expect,
                "{resource}/{sub:?}"
            );
        }
    }

    #[test]
    fn a_configuration_adds_kinds_that_kubernetes_does_not_have() {
        let parse = |text: &str| text.parse::<PodTemplate>();
        let rollouts = parse("rollouts.argoproj.io/Rollout=.spec.template").unwrap();
        let ray = ["headGroupSpec", "workerGroupSpecs[*]"].map(|at| {
            parse(&format!(
                "rayclusters.ray.io/RayCluster=.spec.{at}.template"
            ))
            .unwrap()
        });
        let carriers = Carriers::with([rollouts].into_iter().chain(ray)).unwrap();
        let named: Vec<_> = carriers
            .named
            .iter()
            .map(|it| (&*it.resource, it.templates.len()))
            .collect();
        assert_eq!(named, [("rollouts", 1), ("rayclusters", 2)]);
        assert!(carriers.covers(&gvr("argoproj.io", "rollouts"), None));
        assert!(!carriers.covers(&gvr("argoproj.io", "rollouts"), Some("status")));
        assert!(!Carriers::BUILT_IN.covers(&gvr("argoproj.io", "rollouts"), None));
        for text in [
            "",
            "rollouts/Rollout=.spec",
            "rollouts.argoproj.io=.spec",
            "rollouts.argoproj.io/Rollout",
            "rollouts.argoproj.io/Rollout=",
            "Rollouts.argoproj.io/Rollout=.spec.template",
            "rollouts.io/Rollout=.spec",
            "rollouts.argoproj.io/Roll out=.spec.template",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let known = parse("deployments.networking.k8s.io/Deployment=.spec.template").unwrap();
        assert!(matches!(
            Carriers::with([known]),
            Err(PodTemplateError::Known(_))
        ));
        let two = ["Rollout", "Other"]
            .map(|kind| parse(&format!("rollouts.argoproj.io/{kind}=.spec.template")).unwrap());
        assert!(matches!(
            Carriers::with(two),
            Err(PodTemplateError::Kinds(_))
        ));
    }
}
