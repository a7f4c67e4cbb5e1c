//! Kinds of the cluster that tenants read: of each kind the objects that they may use, and of each
//! object what is no business of the platform's or of another tenant's.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_model::classes::ClassList;
use bulkhead_model::nodes::Placement;
use bulkhead_model::{Tenant, TenantName, labels};
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::path::Resource;
use crate::query::QueryValue;
use crate::selector::{LabelSelector, Operator, Requirement};
use crate::served;

/// A kind of the cluster's of which tenants see a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Nodes,
    CustomKinds,
    StorageClasses,
    IngressClasses,
    GatewayClasses,
    PriorityClasses,
    RuntimeClasses,
    DeviceClasses,
}

/// Group, plural name, kind, and which objects of it are shown.
const KINDS: [(&str, &str, Kind, &str); 8] = [
    (
        "",
        "nodes",
        Kind::Nodes,
        "those that are the tenant's alone (`spec.nodes.placement: Dedicated`), without annotations, images, volumes and the numbers of the machine",
    ),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Kind::CustomKinds,
        "those of kinds in namespaces that are open to tenants, without their conversion",
    ),
    (
        "storage.k8s.io",
        "storageclasses",
        Kind::StorageClasses,
        "those of `spec.storageClasses`, without parameters",
    ),
    (
        "networking.k8s.io",
        "ingressclasses",
        Kind::IngressClasses,
        "those of `spec.ingressClasses`, without parameters",
    ),
    (
        "gateway.networking.k8s.io",
        "gatewayclasses",
        Kind::GatewayClasses,
        "those of `spec.gatewayClasses`, without parameters",
    ),
    (
        "scheduling.k8s.io",
        "priorityclasses",
        Kind::PriorityClasses,
        "those of `spec.priorityClasses`",
    ),
    (
        "node.k8s.io",
        "runtimeclasses",
        Kind::RuntimeClasses,
        "those of `spec.podSecurity.runtimeClasses`",
    ),
    (
        "resource.k8s.io",
        "deviceclasses",
        Kind::DeviceClasses,
        "those of `spec.deviceClasses`, without their configuration",
    ),
];

/// What a tenant may use of the cluster's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usable {
    /// Whether some nodes are its alone.
    dedicated: bool,
    classes: BTreeMap<Kind, ClassList>,
}

impl Usable {
    /// What the tenant's spec permits.
    #[must_use]
    pub fn of(tenant: &Tenant) -> Self {
        let exposure = &tenant.exposure;
        Self {
            dedicated: matches!(tenant.nodes.placement, Placement::Dedicated(_)),
            classes: [
                (Kind::StorageClasses, &exposure.storage_classes),
                (Kind::IngressClasses, &exposure.ingress_classes),
                (Kind::GatewayClasses, &exposure.gateway_classes),
                (Kind::PriorityClasses, &tenant.priority_classes),
                (
                    Kind::RuntimeClasses,
                    &tenant.pod_security.runtime_classes.classes,
                ),
                (Kind::DeviceClasses, &tenant.device_classes),
            ]
            .map(|(kind, classes)| (kind, classes.clone()))
            .into(),
        }
    }
}

#[cfg(test)]
impl Usable {
    /// All that a tenant could ever use.
    pub(crate) fn everything() -> Self {
        let any = ClassList {
            allowed_regex: bulkhead_model::ClassPattern::parse(".*").ok(),
            ..ClassList::default()
        };
        Self {
            dedicated: true,
            classes: KINDS.map(|(_, _, kind, _)| (kind, any.clone())).into(),
        }
    }
}

/// What a caller sees of one kind of the cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    kind: Kind,
    /// The tenants that have nodes of their own.
    owners: BTreeSet<TenantName>,
    classes: Vec<ClassList>,
    include: Include,
}

/// How much of an object a row of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All that is shown of it.
    Object,
}

impl Include {
    pub(crate) fn of(value: Option<&QueryValue>) -> Self {
        match value {
            Some(QueryValue::Text(text)) if text == "None" => Self::None,
            Some(QueryValue::Text(text)) if text == "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// Whether tenants see a part of a kind.
pub(crate) fn is_shared(group: &str, resource: &str) -> bool {
    kind_of(group, resource).is_some()
}

fn kind_of(group: &str, resource: &str) -> Option<Kind> {
    KINDS
        .iter()
        .find(|(g, r, ..)| *g == group && *r == resource)
        .map(|(_, _, kind, _)| *kind)
}

/// Group, plural name and what is shown, for each kind of which tenants see a part.
pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    KINDS
        .iter()
        .map(|(group, name, _, shown)| (*group, *name, *shown))
}

impl Sight {
    /// What a caller sees of a kind; none if tenants see nothing of it.
    pub(crate) fn of(resource: &Resource, caller: &Caller, include: Include) -> Option<Self> {
        if resource.subresource.is_some() || resource.namespace.is_some() {
            return None;
        }
        Self::of_kind(&resource.group, &resource.resource, caller, include)
    }

    pub(crate) fn of_kind(
        group: &str,
        resource: &str,
        caller: &Caller,
        include: Include,
    ) -> Option<Self> {
        let kind = kind_of(group, resource)?;
        let members = caller.memberships.iter();
        Some(Self {
            kind,
            owners: members
                .clone()
                .filter(|member| kind == Kind::Nodes && member.usable.dedicated)
                .map(|member| member.tenant.clone())
                .collect(),
            classes: members
                .filter_map(|member| member.usable.classes.get(&kind).cloned())
                .collect(),
            include,
        })
    }

    /// How much of an object a row of a table is to hold.
    #[must_use]
    pub fn include(&self) -> Include {
        self.include
    }

    /// Whether an object of this name may be shown, as far as the name tells.
    #[must_use]
    pub fn may_name(&self, name: &str) -> bool {
        match self.kind {
            Kind::Nodes => !self.owners.is_empty(),
            Kind::CustomKinds => true,
            _ => self.classes.iter().any(|classes| classes.permits(name)),
        }
    }

    /// The labels that narrow a list upstream; none if they do not tell.
    pub(crate) fn selector(&self) -> Option<LabelSelector> {
        if self.kind != Kind::Nodes {
            return None;
        }
        let names: BTreeSet<String> = self.owners.iter().map(ToString::to_string).collect();
        let key = labels::NODE_TENANT.to_owned();
        let operators = match names.is_empty() {
            // What nothing fits.
            true => vec![Operator::Exists, Operator::Absent],
            false => vec![Operator::In(names)],
        };
        Some(LabelSelector::new(
            operators
                .into_iter()
                .map(|operator| Requirement {
                    key: key.clone(),
                    operator,
                })
                .collect(),
        ))
    }

    /// Whether the caller may know of an object, whole as the API server has it.
    #[must_use]
    pub fn shows(&self, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        match self.kind {
            Kind::Nodes => object
                .pointer("/metadata/labels")
                .and_then(|map| map.get(labels::NODE_TENANT))
                .and_then(Value::as_str)
                .is_some_and(|owner| self.owners.iter().any(|tenant| tenant.as_str() == owner)),
            Kind::CustomKinds => match (text("/spec/group"), text("/spec/names/plural")) {
                (Some(group), Some(plural)) => {
                    text("/spec/scope") == Some("Namespaced")
                        && !served::is_cluster_kind(group, plural)
                }
                _ => false,
            },
            _ => text("/metadata/name").is_some_and(|name| self.may_name(name)),
        }
    }

    /// Leaves of an object what the caller may know.
    pub fn trim(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else {
            return;
        };
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            self.trim_metadata(metadata);
        }
        let mut within = |field: &str, change: &dyn Fn(&mut Map<String, Value>)| {
            if let Some(Value::Object(inner)) = fields.get_mut(field) {
                change(inner);
            }
        };
        match self.kind {
            Kind::Nodes => {
                within("spec", &|spec| keep(spec, &["taints", "unschedulable"]));
                within("status", &|status| {
                    keep(status, &NODE_STATUS);
                    if let Some(Value::Object(info)) = status.get_mut("nodeInfo") {
                        info.retain(|key, _| !MACHINE.contains(&key.as_str()));
                    }
                });
            }
            Kind::CustomKinds => within("spec", &|spec| drop(spec.remove("conversion"))),
            Kind::StorageClasses => drop(fields.remove("parameters")),
            Kind::IngressClasses => within("spec", &|spec| drop(spec.remove("parameters"))),
            Kind::GatewayClasses => within("spec", &|spec| drop(spec.remove("parametersRef"))),
            Kind::DeviceClasses => within("spec", &|spec| drop(spec.remove("config"))),
            Kind::PriorityClasses | Kind::RuntimeClasses => {}
        }
    }

    fn trim_metadata(&self, metadata: &mut Map<String, Value>) {
        metadata.remove("managedFields");
        match metadata.get_mut("annotations") {
            Some(_) if self.kind == Kind::Nodes => drop(metadata.remove("annotations")),
            // The object as it was applied, with all that is left out here.
            Some(Value::Object(annotations)) => {
                annotations.retain(|key, _| !key.starts_with("kubectl.kubernetes.io/"));
            }
            _ => {}
        }
    }
}

/// What of a node's status its tenant sees.
const NODE_STATUS: [&str; 5] = [
    "addresses",
    "allocatable",
    "capacity",
    "conditions",
    "nodeInfo",
];

/// What of `nodeInfo` tells one machine from another.
const MACHINE: [&str; 3] = ["bootID", "machineID", "systemUUID"];

fn keep(fields: &mut Map<String, Value>, names: &[&str]) {
    fields.retain(|key, _| names.contains(&key.as_str()));
}

#[cfg(test)]
mod tests;
