//! From JSON to a policy. Every field is known and has its type, or it is said where not: a field
//! that is misspelt restricts nothing.

use std::collections::BTreeMap;

use bulkhead_model::FieldPath;
use serde_json::{Map, Value};

use crate::KIND;
use crate::policy::{
    AllowedHostPath, GroupRule, IdRange, PodSecurityPolicy, PortRange, RuntimeClasses, SeLinux,
    SeLinuxRule, Spec, UserRule,
};

/// What of an object is no PodSecurityPolicy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {message}")]
pub struct Misread {
    /// Where.
    pub path: FieldPath,
    /// What is wrong there: lower case, with what was expected.
    pub message: String,
}

/// Reads a policy of any API group: its kind is the caller's to know. A field of `null` is unset.
///
/// # Errors
/// Every field that is unknown or of a wrong type.
pub fn parse(object: &Value) -> Result<PodSecurityPolicy, Vec<Misread>> {
    let mut wrong = Vec::new();
    let mut root = Fields::of(object, FieldPath::default(), &mut wrong);
    root.ignore(&["apiVersion", "kind", "status"]);
    let written: Map<String, Value> = ["metadata", "spec"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), object.get(key)?.clone())))
        .collect();
    let mut policy = PodSecurityPolicy {
        written: Value::Object(written),
        ..PodSecurityPolicy::default()
    };
    root.nested("metadata", |metadata| {
        policy.name = metadata.text("name");
        policy.namespace = metadata.text("namespace");
        policy.annotations = metadata.strings_by_name("annotations");
        // What else stands there is the same for all kinds, and the API server's to judge.
        metadata.forget();
    });
    let spec = root.nested("spec", spec);
    root.done();
    if let Some(spec) = spec {
        policy.spec = spec;
    } else if wrong.is_empty() {
        wrong.push(Misread {
            path: FieldPath::of("spec"),
            message: format!("a {KIND} has a `spec`"),
        });
    }
    if wrong.is_empty() {
        Ok(policy)
    } else {
        Err(wrong)
    }
}

fn spec(spec: &mut Fields<'_, '_>) -> Spec {
    Spec {
        privileged: spec.flag("privileged").unwrap_or_default(),
        default_add_capabilities: spec.strings("defaultAddCapabilities"),
        required_drop_capabilities: spec.strings("requiredDropCapabilities"),
        allowed_capabilities: spec.strings("allowedCapabilities"),
        volumes: spec.strings("volumes").unwrap_or_default(),
        host_network: spec.flag("hostNetwork").unwrap_or_default(),
        host_ports: spec
            .list("hostPorts", |range| PortRange {
                min: range.port("min"),
                max: range.port("max"),
            })
            .unwrap_or_default(),
        host_pid: spec.flag("hostPID").unwrap_or_default(),
        host_ipc: spec.flag("hostIPC").unwrap_or_default(),
        se_linux: spec
            .nested("seLinux", |rule| SeLinuxRule {
                rule: rule.text("rule"),
                options: rule.nested("seLinuxOptions", |label| SeLinux {
                    user: label.text("user"),
                    role: label.text("role"),
                    kind: label.text("type"),
                    level: label.text("level"),
                }),
            })
            .unwrap_or_default(),
        run_as_user: spec
            .nested("runAsUser", |rule| UserRule {
                rule: rule.text("rule"),
                ranges: rule.ranges().unwrap_or_default(),
            })
            .unwrap_or_default(),
        run_as_group: spec.nested("runAsGroup", groups),
        supplemental_groups: spec
            .nested("supplementalGroups", groups)
            .unwrap_or_default(),
        fs_group: spec.nested("fsGroup", groups).unwrap_or_default(),
        read_only_root_filesystem: spec.flag("readOnlyRootFilesystem").unwrap_or_default(),
        default_allow_privilege_escalation: spec.flag("defaultAllowPrivilegeEscalation"),
        allow_privilege_escalation: spec.flag("allowPrivilegeEscalation"),
        allowed_host_paths: spec
            .list("allowedHostPaths", |path| AllowedHostPath {
                path_prefix: path.text("pathPrefix"),
                read_only: path.flag("readOnly").unwrap_or_default(),
            })
            .unwrap_or_default(),
        allowed_flex_volumes: spec
            .list("allowedFlexVolumes", |volume| volume.text("driver"))
            .unwrap_or_default(),
        allowed_csi_drivers: spec
            .list("allowedCSIDrivers", |driver| driver.text("name"))
            .unwrap_or_default(),
        allowed_unsafe_sysctls: spec.strings("allowedUnsafeSysctls").unwrap_or_default(),
        forbidden_sysctls: spec.strings("forbiddenSysctls").unwrap_or_default(),
        allowed_proc_mount_types: spec.strings("allowedProcMountTypes").unwrap_or_default(),
        runtime_class: spec.nested("runtimeClass", |class| RuntimeClasses {
            allowed: class.strings("allowedRuntimeClassNames"),
            default: class.some_text("defaultRuntimeClassName"),
        }),
    }
}

fn groups(rule: &mut Fields<'_, '_>) -> GroupRule {
    GroupRule {
        rule: rule.text("rule"),
        ranges: rule.ranges(),
    }
}

/// The fields of `spec`.
const SPEC: [&str; 24] = [
    "allowPrivilegeEscalation",
    "allowedCSIDrivers",
    "allowedCapabilities",
    "allowedFlexVolumes",
    "allowedHostPaths",
    "allowedProcMountTypes",
    "allowedUnsafeSysctls",
    "defaultAddCapabilities",
    "defaultAllowPrivilegeEscalation",
    "forbiddenSysctls",
    "fsGroup",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPorts",
    "privileged",
    "readOnlyRootFilesystem",
    "requiredDropCapabilities",
    "runAsGroup",
    "runAsUser",
    "runtimeClass",
    "seLinux",
    "supplementalGroups",
    "volumes",
];

/// How a field came to be unknown, as far as it shows: policies are pasted from documents that
/// break lines and lose indentation.
fn hint(key: &str, beside_spec: bool) -> String {
    let joined: String = key.split_whitespace().collect();
    let meant = |name: &&&str| **name == joined || key.split_whitespace().last() == Some(**name);
    if beside_spec && SPEC.contains(&key) {
        "; it belongs under `spec`: indent it".to_owned()
    } else if let Some(name) = SPEC.iter().find(meant) {
        format!(
            "; `{name}` is a field: what is too much here may be the end of a comment or a broken line"
        )
    } else {
        String::new()
    }
}

/// An object's fields that nobody has asked for yet.
struct Fields<'a, 'w> {
    left: BTreeMap<&'a str, &'a Value>,
    path: FieldPath,
    wrong: &'w mut Vec<Misread>,
}

impl<'a, 'w> Fields<'a, 'w> {
    fn of(value: &'a Value, path: FieldPath, wrong: &'w mut Vec<Misread>) -> Self {
        let left = value.as_object().map(|fields| {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            set.map(|(key, value)| (key.as_str(), value)).collect()
        });
        let mut fields = Self {
            left: left.unwrap_or_default(),
            path,
            wrong,
        };
        if !value.is_object() {
            fields.complain(fields.path.clone(), "must be an object".to_owned());
        }
        fields
    }

    fn complain(&mut self, path: FieldPath, message: String) {
        self.wrong.push(Misread { path, message });
    }

    fn at(&self, key: &str) -> FieldPath {
        self.path.clone().key(key)
    }

    fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.left.remove(*key);
        }
    }

    fn forget(&mut self) {
        self.left.clear();
    }

    /// What is left over is unknown.
    fn done(mut self) {
        for key in std::mem::take(&mut self.left).into_keys() {
            let path = self.at(key);
            let hint = hint(key, self.path.segments().is_empty());
            self.complain(path, format!("unknown field `{key}`{hint}"));
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.left.remove(key)?;
        let read = read(value);
        if read.is_none() {
            let path = self.at(key);
            self.complain(path, format!("must be {expected}"));
        }
        read
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.take(key, "a boolean", Value::as_bool)
    }

    fn some_text(&mut self, key: &'static str) -> Option<String> {
        self.take(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn text(&mut self, key: &'static str) -> String {
        self.some_text(key).unwrap_or_default()
    }

    fn id(&mut self, key: &'static str) -> i64 {
        self.take(key, "a whole number", Value::as_i64)
            .unwrap_or_default()
    }

    fn port(&mut self, key: &'static str) -> i32 {
        let read = |value: &Value| value.as_i64()?.try_into().ok();
        self.take(key, "a whole number of 32 bits", read)
            .unwrap_or_default()
    }

    fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        // An element of `null` is the empty string.
        let one = |value: &Value| match value {
            Value::Null => Some(String::new()),
            other => other.as_str().map(str::to_owned),
        };
        self.take(key, "a list of strings", |value| {
            value.as_array()?.iter().map(one).collect()
        })
    }

    fn strings_by_name(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let read = |value: &Value| {
            let pairs = value.as_object()?.iter();
            let text = |value: &Value| match value {
                Value::Null => Some(String::new()),
                other => other.as_str().map(str::to_owned),
            };
            pairs
                .map(|(key, value)| Some((key.clone(), text(value)?)))
                .collect()
        };
        self.take(key, "an object of strings", read)
            .unwrap_or_default()
    }

    fn ranges(&mut self) -> Option<Vec<IdRange>> {
        self.list("ranges", |range| IdRange {
            min: range.id("min"),
            max: range.id("max"),
        })
    }

    fn nested<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_, '_>) -> T,
    ) -> Option<T> {
        let value = self.left.remove(key)?;
        let path = self.at(key);
        let mut fields = Fields::of(value, path, self.wrong);
        let result = read(&mut fields);
        fields.done();
        Some(result)
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Fields<'_, '_>) -> T,
    ) -> Option<Vec<T>> {
        let list = self.take(key, "a list", |value| value.as_array())?;
        let path = self.at(key);
        let mut items = Vec::with_capacity(list.len());
        let nothing = Value::Object(Map::new());
        for (index, value) in list.iter().enumerate() {
            let value = if value.is_null() { &nothing } else { value };
            let at = path.clone().index(index);
            let mut fields = Fields::of(value, at, self.wrong);
            items.push(read(&mut fields));
            fields.done();
        }
        Some(items)
    }
}
