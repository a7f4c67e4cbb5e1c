//! Pods, wherever they stand: in a Pod, or in the template of what makes Pods.

use super::Fields;
use super::template_path::{Taken, TemplatePath};
use crate::finding::FieldPath;
use crate::json::Json;

/// A pod: metadata and spec, and where they stand in the object that was sent.
// Dozens of rules look at the same few fields, so these are looked for once.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    at: Root<'a>,
    metadata: Fields<'a>,
    spec: Fields<'a>,
    security: Fields<'a>,
    containers: [&'a [Json<'a>]; 3],
}

/// Where a pod stands in the object that was sent.
#[derive(Debug, Clone, Copy)]
enum Root<'a> {
    /// At a dotted path.
    At(&'static str),
    /// At one of the places that a path leads to.
    Along {
        object: &'a Json<'a>,
        path: &'a TemplatePath,
        taken: Taken,
    },
}

impl Root<'_> {
    fn path(self) -> FieldPath {
        match self {
            Self::At(dotted) => FieldPath::of(dotted),
            Self::Along {
                object,
                path,
                taken,
            } => path.place(object, taken),
        }
    }
}

impl<'a> Pod<'a> {
    /// The pod that stands at a dotted path of an object; the empty path for a Pod itself.
    /// None if there is nothing there.
    #[must_use]
    pub fn find(object: &'a Json<'a>, at: &'static str) -> Option<Self> {
        let value = at
            .split('.')
            .filter(|s| !s.is_empty())
            .try_fold(object, |value, key| value.get(key))?;
        (!value.is_null()).then(|| Self::new(Root::At(at), value))
    }

    /// Every pod that a path leads to. Where something on the way is of another type than it should
    /// be there is none: [`TemplatePath::templates`] tells that.
    #[must_use]
    pub fn along(object: &'a Json<'a>, path: &'a TemplatePath) -> Vec<Self> {
        let mut found = Vec::new();
        let walked = path.walk(object, &mut |taken, value| {
            let at = Root::Along {
                object,
                path,
                taken,
            };
            found.push(Self::new(at, value));
        });
        walked.map_or(Vec::new(), |()| found)
    }

    fn new(at: Root<'a>, value: &'a Json<'a>) -> Self {
        let spec = Fields::of(value.get("spec"));
        Self {
            at,
            metadata: Fields::of(value.get("metadata")),
            spec,
            security: spec.at("securityContext"),
            containers: ContainerKind::ALL.map(|kind| spec.list(kind.field())),
        }
    }

    /// The pod's `spec`.
    #[must_use]
    pub fn spec(self) -> Fields<'a> {
        self.spec
    }

    /// The pod's `metadata`.
    #[must_use]
    pub fn metadata(self) -> Fields<'a> {
        self.metadata
    }

    /// The pod-level `securityContext`.
    #[must_use]
    pub fn security_context(self) -> Fields<'a> {
        self.security
    }

    /// The path of a place in the pod, from the root of the object that was sent.
    #[must_use]
    pub fn path(self, dotted: &'static str) -> FieldPath {
        self.at.path().then(dotted)
    }

    /// Every container: init containers, ordinary ones, ephemeral ones.
    pub fn containers(self) -> impl Iterator<Item = Container<'a>> {
        let lists = ContainerKind::ALL.into_iter().zip(self.containers);
        lists.flat_map(move |(kind, list)| {
            list.iter()
                .enumerate()
                .map(move |(index, value)| Container {
                    at: self.at,
                    kind,
                    index,
                    value,
                    of_pod: self.security,
                })
        })
    }

    /// Every volume.
    pub fn volumes(self) -> impl Iterator<Item = Volume<'a>> {
        let list = self.spec.list("volumes").iter().enumerate();
        list.map(move |(index, value)| Volume {
            at: self.at,
            index,
            value,
        })
    }
}

/// Which list of the pod a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `initContainers`, sidecars among them.
    Init,
    /// `containers`.
    Ordinary,
    /// `ephemeralContainers`.
    Ephemeral,
}

impl ContainerKind {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 3] = [Self::Init, Self::Ordinary, Self::Ephemeral];

    /// The list's name in the pod's spec.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Ordinary => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// One container of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    /// Where its pod stands.
    at: Root<'a>,
    /// The list it stands in.
    pub kind: ContainerKind,
    /// Where in that list.
    pub index: usize,
    value: &'a Json<'a>,
    /// The security context of its pod.
    of_pod: Fields<'a>,
}

impl<'a> Container<'a> {
    /// The container's own fields.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields::of(Some(self.value))
    }

    /// The container's own `securityContext`, not merged with the pod's.
    #[must_use]
    pub fn security_context(self) -> Fields<'a> {
        self.fields().at("securityContext")
    }

    /// A field of the security context as it takes effect: the container's own value, else the
    /// pod's; whole structs replace each other, as Kubernetes merges them.
    #[must_use]
    pub fn effective(self, key: &str) -> Option<&'a Json<'a>> {
        self.security_context()
            .get(key)
            .or_else(|| self.of_pod.get(key))
    }

    /// The path of a field of this container.
    #[must_use]
    pub fn path(self, dotted: &'static str) -> FieldPath {
        self.at
            .path()
            .then("spec")
            .then(self.kind.field())
            .index(self.index)
            .then(dotted)
    }

    /// The path of the value that takes effect for a key of the security context: the pod's
    /// where only the pod sets it, else the container's own.
    #[must_use]
    pub fn effective_path(self, key: &'static str) -> FieldPath {
        let own = self.security_context().get(key).is_some();
        if !own && self.of_pod.get(key).is_some() {
            self.at.path().then("spec.securityContext").then(key)
        } else {
            self.path("securityContext").then(key)
        }
    }
}

/// One volume of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Volume<'a> {
    /// Where its pod stands.
    at: Root<'a>,
    index: usize,
    value: &'a Json<'a>,
}

impl<'a> Volume<'a> {
    /// The volume's fields: `name` and its source.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields::of(Some(self.value))
    }

    /// The names of its sources, whatever they are: every field but `name`.
    pub fn sources(self) -> impl Iterator<Item = &'a str> {
        self.fields()
            .iter()
            .map(|(key, _)| key)
            .filter(|key| *key != "name")
    }

    /// The path of a field of this volume.
    #[must_use]
    pub fn path(self, dotted: &'static str) -> FieldPath {
        self.at
            .path()
            .then("spec.volumes")
            .index(self.index)
            .then(dotted)
    }

    /// The path of one of its sources.
    #[must_use]
    pub fn source_path(self, source: &str) -> FieldPath {
        self.path("").key(source)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_of_every_kind_come_with_their_paths() {
        let object = json!({"spec": {"template": {"spec": {
            "initContainers": [{}], "containers": [{}, {}], "ephemeralContainers": [{}],
        }}}});
        let object = Json::from(&object);
        let pod = Pod::find(&object, "spec.template").unwrap();
        let paths: Vec<String> = pod
            .containers()
            .map(|c| c.path("securityContext").to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "spec.template.spec.initContainers[0].securityContext",
                "spec.template.spec.containers[0].securityContext",
                "spec.template.spec.containers[1].securityContext",
                "spec.template.spec.ephemeralContainers[0].securityContext",
            ]
        );
        assert!(Pod::find(&object, "spec.jobTemplate").is_none());
    }

    #[test]
    fn a_container_overrides_its_pod_and_the_path_says_which() {
        let object = json!({"spec": {
            "securityContext": {"runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"securityContext": {"runAsUser": 0, "seccompProfile": null}}],
        }});
        let object = Json::from(&object);
        let c = Pod::find(&object, "").unwrap().containers().next().unwrap();
        assert_eq!(c.effective("runAsUser"), Some(&json!(0).into()));
        assert_eq!(
            c.effective_path("runAsUser").to_string(),
            "spec.containers[0].securityContext.runAsUser"
        );
        assert_eq!(
            c.effective("seccompProfile"),
            Some(&json!({"type": "RuntimeDefault"}).into())
        );
        assert_eq!(
            c.effective_path("seccompProfile").to_string(),
            "spec.securityContext.seccompProfile"
        );
        assert_eq!(
            c.effective_path("runAsNonRoot").to_string(),
            "spec.containers[0].securityContext.runAsNonRoot"
        );
    }

    #[test]
    fn a_volume_of_an_unknown_kind_is_seen() {
        let object =
            json!({"spec": {"volumes": [{"name": "v", "quantumDisk": {}, "hostPath": null}]}});
        let object = Json::from(&object);
        let volume = Pod::find(&object, "").unwrap().volumes().next().unwrap();
        assert_eq!(volume.sources().collect::<Vec<_>>(), ["quantumDisk"]);
        assert_eq!(
            volume.source_path("quantumDisk").to_string(),
            "spec.volumes[0].quantumDisk"
        );
    }
}
