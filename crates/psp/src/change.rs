//! What a policy sets in a pod, as operations on its JSON.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_model::finding::push_step;
use serde_json::{Map, Value, json};

use crate::draft::{ContainerDraft, Draft};
use crate::pod::{APPARMOR, Container, Pod, SECCOMP_POD};
use crate::policy::SeLinux;

/// A value for a place: the operation `add` of RFC 6902, which replaces what stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The place, as a JSON pointer (RFC 6901).
    pub path: String,
    /// The value.
    pub value: Value,
}

/// Does changes to an object. Those whose place has no parent are left out; `Changes` makes the
/// parents first.
pub fn apply(object: &mut Value, changes: &[Change]) {
    for change in changes {
        let Some((parent, key)) = change.path.rsplit_once('/') else {
            continue;
        };
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            let key = key.replace("~1", "/").replace("~0", "~");
            fields.insert(key, change.value.clone());
        }
    }
}

/// Collects changes, and makes what they stand in.
pub(crate) struct Changes {
    list: Vec<Change>,
    made: BTreeSet<String>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            list: Vec::new(),
            made: BTreeSet::new(),
        }
    }

    /// Sets fields of an object, which is made if it is not there.
    pub(crate) fn set(
        &mut self,
        parent: &str,
        is_there: bool,
        fields: impl IntoIterator<Item = (String, Value)>,
    ) {
        let fields: Map<String, Value> = fields.into_iter().collect();
        if fields.is_empty() {
            return;
        }
        if !is_there && self.made.insert(parent.to_owned()) {
            self.list.push(Change {
                path: parent.to_owned(),
                value: Value::Object(fields),
            });
            return;
        }
        for (key, value) in fields {
            let mut path = format!("{parent}/");
            push_step(&mut path, &key);
            self.list.push(Change { path, value });
        }
    }

    pub(crate) fn into_list(self) -> Vec<Change> {
        self.list
    }
}

/// What differs between the pod and what a policy has made of it.
pub(crate) fn changes(pod: &Pod<'_>, draft: &Draft<'_>, policy: &str) -> Vec<Change> {
    let mut changes = Changes::new();
    let mut notes = BTreeMap::from([(crate::ADMITTED_BY.to_owned(), json!(policy))]);
    if draft.seccomp.as_deref() != pod.seccomp_note() {
        notes.insert(SECCOMP_POD.to_owned(), json!(draft.seccomp));
    }
    for (container, own) in pod.containers.iter().zip(&draft.containers) {
        if own.apparmor != container.apparmor.as_deref() {
            notes.insert(format!("{APPARMOR}{}", container.name), json!(own.apparmor));
        }
    }
    if !pod.has("metadata") {
        changes.set(
            "/metadata",
            false,
            [("annotations".to_owned(), json!(notes))],
        );
    } else {
        changes.set("/metadata/annotations", pod.annotations.is_set(), notes);
    }
    let mut context = Vec::new();
    let mut put = |key: &str, value: Value| context.push((key.to_owned(), value));
    if pod.supplemental_groups.is_none() && draft.groups.is_some() {
        put("supplementalGroups", json!(draft.groups));
    }
    if pod.fs_group != draft.fs_group {
        put("fsGroup", json!(draft.fs_group));
    }
    if let (None, Some(label)) = (&pod.se_linux, draft.se_linux) {
        put("seLinuxOptions", label_of(label));
    }
    changes.set("/spec/securityContext", pod.has_context, context);
    if pod.runtime_class != draft.runtime_class {
        let name = ("runtimeClassName".to_owned(), json!(draft.runtime_class));
        changes.set("/spec", true, [name]);
    }
    for (container, own) in pod.containers.iter().zip(&draft.containers) {
        let parent = format!(
            "/spec/{}/{}/securityContext",
            container.list, container.index
        );
        changes.set(&parent, container.has_context, of_container(container, own));
    }
    changes.into_list()
}

fn of_container(container: &Container<'_>, own: &ContainerDraft<'_>) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    for (key, differs, value) in [
        (
            "runAsUser",
            container.run_as_user != own.run_as_user,
            json!(own.run_as_user),
        ),
        (
            "runAsGroup",
            container.run_as_group != own.run_as_group,
            json!(own.run_as_group),
        ),
        (
            "runAsNonRoot",
            container.run_as_non_root != own.run_as_non_root,
            json!(own.run_as_non_root),
        ),
        (
            "readOnlyRootFilesystem",
            container.read_only_root != own.read_only_root,
            json!(own.read_only_root),
        ),
        (
            "allowPrivilegeEscalation",
            container.escalation != own.escalation,
            json!(own.escalation),
        ),
    ] {
        if differs {
            fields.push((key.to_owned(), value));
        }
    }
    if own.capabilities.as_deref() != container.capabilities.as_ref() {
        let mut lists = Map::new();
        for (key, list) in own
            .capabilities
            .iter()
            .flat_map(|own| [("add", &own.add), ("drop", &own.drop)])
        {
            if let Some(list) = list {
                lists.insert(key.to_owned(), json!(list));
            }
        }
        fields.push(("capabilities".to_owned(), Value::Object(lists)));
    }
    fields
}

/// A label as pods hold it.
fn label_of(label: &SeLinux) -> Value {
    let parts = [
        ("user", &label.user),
        ("role", &label.role),
        ("type", &label.kind),
        ("level", &label.level),
    ];
    let set = parts.into_iter().filter(|(_, part)| !part.is_empty());
    set.map(|(key, part)| (key.to_owned(), json!(part)))
        .collect::<Map<_, _>>()
        .into()
}
