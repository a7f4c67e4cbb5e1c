//! What a pod says about itself, as far as policies ask. The pod is read once, for all policies.

use std::borrow::Cow;

use bulkhead_model::Json;

use crate::policy::SeLinux;
use crate::volumes::{Volume, volume};

/// The annotation that holds a pod's seccomp profile.
pub(crate) const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// What the annotation of a container's seccomp profile begins with.
pub(crate) const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// What the annotation of a container's AppArmor profile begins with.
pub(crate) const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A pod, as the API server takes it, or as a file says it: what the API server fills in before
/// it asks admission plugins is read as if it were filled in.
#[derive(Debug, Clone)]
pub struct Pod<'a> {
    pub(crate) object: &'a Json<'a>,
    pub(crate) annotations: Map<'a>,
    pub(crate) account: &'a str,
    pub(crate) has_context: bool,
    pub(crate) host_network: bool,
    pub(crate) host_pid: bool,
    pub(crate) host_ipc: bool,
    pub(crate) runtime_class: Option<&'a str>,
    pub(crate) supplemental_groups: Option<Vec<i64>>,
    pub(crate) fs_group: Option<i64>,
    pub(crate) run_as_user: Option<i64>,
    pub(crate) run_as_group: Option<i64>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) se_linux: Option<SeLinux>,
    pub(crate) seccomp: Option<String>,
    /// The seccomp annotation.
    pub(crate) noted_seccomp: Option<&'a str>,
    /// The seccomp annotation that is read where the pod has none.
    pub(crate) stored_seccomp: Option<Cow<'a, str>>,
    pub(crate) sysctls: Vec<&'a str>,
    pub(crate) volumes: Vec<Volume<'a>>,
    pub(crate) containers: Vec<Container<'a>>,
}

/// A container of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Container<'a> {
    /// The list that it stands in.
    pub(crate) list: &'static str,
    pub(crate) index: usize,
    pub(crate) name: &'a str,
    pub(crate) has_context: bool,
    pub(crate) run_as_user: Option<i64>,
    pub(crate) run_as_group: Option<i64>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) se_linux: Option<SeLinux>,
    pub(crate) seccomp: Option<String>,
    /// The seccomp profile in the annotation.
    pub(crate) seccomp_note: Option<&'a str>,
    /// The profile in the annotation, or the newer field's where there is no annotation.
    pub(crate) apparmor: Option<String>,
    pub(crate) privileged: Option<bool>,
    pub(crate) proc_mount: &'a str,
    pub(crate) capabilities: Option<Capabilities<'a>>,
    pub(crate) read_only_root: Option<bool>,
    pub(crate) escalation: Option<bool>,
    pub(crate) host_ports: Vec<i64>,
    /// The volumes it mounts, and whether read-only.
    pub(crate) mounts: Vec<(&'a str, bool)>,
}

impl Container<'_> {
    /// Its path, as the original writes it.
    pub(crate) fn path(&self) -> String {
        format!("spec.{}[{}]", self.list, self.index)
    }
}

/// Capabilities to add and to drop; lists that are unset and empty are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities<'a> {
    pub(crate) add: Option<Vec<&'a str>>,
    pub(crate) drop: Option<Vec<&'a str>>,
}

/// A field of a pod that has not the type that it must have. The API server takes no such pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` must be {expected}")]
pub struct Malformed {
    /// Where, in the pod.
    pub path: String,
    /// What it must be.
    pub expected: &'static str,
}

type Read<T> = Result<T, Malformed>;

impl<'a> Pod<'a> {
    /// Reads a Pod.
    ///
    /// # Errors
    /// If a field that policies ask about has a wrong type.
    pub fn read(object: &'a Json<'a>) -> Read<Self> {
        let root = Map::root(object)?;
        let metadata = root.map("metadata")?;
        let annotations = metadata.map("annotations")?;
        let spec = root.map("spec")?;
        if !spec.is_set() {
            return Err(Malformed {
                path: "spec".to_owned(),
                expected: "an object",
            });
        }
        let context = spec.map("securityContext")?;
        let host_network = spec.flag("hostNetwork")?.unwrap_or_default();
        let account = match spec.text("serviceAccountName")? {
            Some(name) if !name.is_empty() => name,
            _ => spec.text("serviceAccount")?.unwrap_or_default(),
        };
        let app_armor = app_armor(context)?;
        let mut containers = Vec::new();
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for (index, value) in spec.list(list)?.iter().enumerate() {
                let map = Map::of(value, || format!("spec.{list}[{index}]"))?;
                // Ports of ephemeral containers are not filled in; they may have none.
                let ports_of_host = host_network && list != "ephemeralContainers";
                containers.push(container(
                    map,
                    (list, index),
                    ports_of_host,
                    annotations,
                    app_armor.as_deref(),
                )?);
            }
        }
        let sysctls = context.list("sysctls")?.iter().map(|sysctl| {
            let map = Map::of(sysctl, || "spec.securityContext.sysctls".to_owned())?;
            Ok(map.text("name")?.unwrap_or_default())
        });
        Ok(Self {
            object,
            annotations,
            account,
            has_context: context.is_set(),
            host_network,
            host_pid: spec.flag("hostPID")?.unwrap_or_default(),
            host_ipc: spec.flag("hostIPC")?.unwrap_or_default(),
            runtime_class: spec.text("runtimeClassName")?,
            supplemental_groups: context.ids("supplementalGroups")?,
            fs_group: context.id("fsGroup")?,
            run_as_user: context.id("runAsUser")?,
            run_as_group: context.id("runAsGroup")?,
            run_as_non_root: context.flag("runAsNonRoot")?,
            se_linux: se_linux(context)?,
            seccomp: seccomp(context)?,
            noted_seccomp: annotations
                .value(SECCOMP_POD)
                .map(|value| value.as_str().unwrap_or_default()),
            stored_seccomp: None,
            sysctls: sysctls.collect::<Read<_>>()?,
            volumes: spec
                .list("volumes")?
                .iter()
                .map(volume)
                .collect::<Read<_>>()?,
            containers,
        })
    }

    /// The ServiceAccount that it runs as; empty if it names none, which no pod does after the
    /// API server's own ServiceAccount plugin.
    #[must_use]
    pub fn service_account(&self) -> &str {
        self.account
    }

    /// The annotation that names the policy by which it was admitted.
    #[must_use]
    pub fn admitted_by(&self) -> Option<&str> {
        self.annotation(crate::ADMITTED_BY)
    }

    /// The annotation that holds the pod's seccomp profile.
    pub(crate) fn seccomp_note(&self) -> Option<&str> {
        self.noted_seccomp.or(self.stored_seccomp.as_deref())
    }

    /// Whether a field of the object is set.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// An annotation.
    pub(crate) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations
            .value(key)
            .map(|value| value.as_str().unwrap_or_default())
    }
}

fn container<'a>(
    map: Map<'a>,
    (list, index): (&'static str, usize),
    ports_of_host: bool,
    annotations: Map<'a>,
    app_armor_of_pod: Option<&str>,
) -> Read<Container<'a>> {
    let context = map.map("securityContext")?;
    let name = map.text("name")?.unwrap_or_default();
    // Most pods have no annotation, and then no name of one needs to be made.
    let noted = match annotations.is_set() {
        true => annotations.text(&format!("{APPARMOR}{name}"))?,
        false => None,
    };
    let noted = noted.map(str::to_owned);
    let seccomp_note = match annotations.is_set() {
        true => annotations
            .value(&format!("{SECCOMP_CONTAINER}{name}"))
            .map(|value| value.as_str().unwrap_or_default()),
        false => None,
    };
    let field = app_armor(context)?.or_else(|| app_armor_of_pod.map(str::to_owned));
    let capabilities = context.map("capabilities")?;
    let strings = |key| -> Read<Option<Vec<&'a str>>> { capabilities.texts(key) };
    let mut host_ports = Vec::new();
    for port in map.list("ports")? {
        let port = Map::of(port, || format!("spec.{list}[{index}].ports"))?;
        let on_host = port.id("hostPort")?.unwrap_or_default();
        let filled = if on_host == 0 && ports_of_host {
            port.id("containerPort")?.unwrap_or_default()
        } else {
            on_host
        };
        host_ports.push(filled);
    }
    let mut mounts = Vec::new();
    for mount in map.list("volumeMounts")? {
        let mount = Map::of(mount, || format!("spec.{list}[{index}].volumeMounts"))?;
        let read_only = mount.flag("readOnly")?.unwrap_or_default();
        mounts.push((mount.text("name")?.unwrap_or_default(), read_only));
    }
    Ok(Container {
        list,
        index,
        name,
        has_context: context.is_set(),
        run_as_user: context.id("runAsUser")?,
        run_as_group: context.id("runAsGroup")?,
        run_as_non_root: context.flag("runAsNonRoot")?,
        se_linux: se_linux(context)?,
        seccomp: seccomp(context)?,
        seccomp_note,
        apparmor: noted.or(field),
        privileged: context.flag("privileged")?,
        proc_mount: context.text("procMount")?.unwrap_or("Default"),
        capabilities: match capabilities.is_set() {
            true => Some(Capabilities {
                add: strings("add")?,
                drop: strings("drop")?,
            }),
            false => None,
        },
        read_only_root: context.flag("readOnlyRootFilesystem")?,
        escalation: context.flag("allowPrivilegeEscalation")?,
        host_ports,
        mounts,
    })
}

fn se_linux(context: Map<'_>) -> Read<Option<SeLinux>> {
    let label = context.map("seLinuxOptions")?;
    if !label.is_set() {
        return Ok(None);
    }
    let part = |key| Ok(label.text(key)?.unwrap_or_default().to_owned());
    Ok(Some(SeLinux {
        user: part("user")?,
        role: part("role")?,
        kind: part("type")?,
        level: part("level")?,
    }))
}

/// The seccomp profile, as the annotation would say it; empty if it cannot be said.
fn seccomp(context: Map<'_>) -> Read<Option<String>> {
    profile(context.map("seccompProfile")?, |_| String::new())
}

/// The AppArmor profile of the field that came after PodSecurityPolicies, as the annotation would
/// say it. The API server keeps both in step when it stores a pod.
fn app_armor(context: Map<'_>) -> Read<Option<String>> {
    profile(context.map("appArmorProfile")?, |kind| {
        kind.unwrap_or_default().to_owned()
    })
}

/// A profile as an annotation says it; `other` says what is no known type.
fn profile(profile: Map<'_>, other: fn(Option<&str>) -> String) -> Read<Option<String>> {
    if !profile.is_set() {
        return Ok(None);
    }
    let local = profile.text("localhostProfile")?;
    Ok(Some(match (profile.text("type")?, local) {
        (Some("Unconfined"), _) => "unconfined".to_owned(),
        (Some("RuntimeDefault"), _) => "runtime/default".to_owned(),
        (Some("Localhost"), Some(path)) => format!("localhost/{path}"),
        (kind, _) => other(kind),
    }))
}

/// An object whose fields have the types that they must have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map<'a>(Option<&'a Json<'a>>);

impl<'a> Map<'a> {
    fn root(object: &'a Json<'a>) -> Read<Self> {
        Self::of(object, String::new)
    }

    pub(crate) fn of(value: &'a Json<'a>, path: impl Fn() -> String) -> Read<Self> {
        match value {
            Json::Null => Ok(Self(None)),
            Json::Object(_) => Ok(Self(Some(value))),
            _ => Err(Malformed {
                path: path(),
                expected: "an object",
            }),
        }
    }

    /// Whether it is there at all.
    pub(crate) fn is_set(self) -> bool {
        self.0.is_some()
    }

    /// A field that is set.
    pub(crate) fn value(self, key: &str) -> Option<&'a Json<'a>> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Json<'a>) -> Option<T>,
    ) -> Read<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(Malformed {
                path: key.to_owned(),
                expected,
            }),
        }
    }

    pub(crate) fn map(self, key: &str) -> Read<Self> {
        let found = self.typed(key, "an object", |value| value.is_object().then_some(value))?;
        Ok(Self(found))
    }

    pub(crate) fn list(self, key: &str) -> Read<&'a [Json<'a>]> {
        Ok(self
            .typed(key, "a list", Json::as_array)?
            .unwrap_or_default())
    }

    pub(crate) fn flag(self, key: &str) -> Read<Option<bool>> {
        self.typed(key, "a boolean", Json::as_bool)
    }

    pub(crate) fn text(self, key: &str) -> Read<Option<&'a str>> {
        self.typed(key, "a string", Json::as_str)
    }

    pub(crate) fn id(self, key: &str) -> Read<Option<i64>> {
        self.typed(key, "a whole number", Json::as_i64)
    }

    fn ids(self, key: &str) -> Read<Option<Vec<i64>>> {
        self.typed(key, "a list of whole numbers", |value| {
            value.as_array()?.iter().map(Json::as_i64).collect()
        })
    }

    fn texts(self, key: &str) -> Read<Option<Vec<&'a str>>> {
        self.typed(key, "a list of strings", |value| {
            value.as_array()?.iter().map(Json::as_str).collect()
        })
    }
}
