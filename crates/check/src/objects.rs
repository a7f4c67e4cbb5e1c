//! From an object in a file to the request that would make it.

use bulkhead_controls::Carriers;
use bulkhead_controls::carriers::Carrier;
use bulkhead_manifests::Node;
use bulkhead_model::{AdmissionRequest, Gvk, Gvr, Operation, UserInfo};
use bulkhead_report::ObjectName;

use crate::index::field;

/// Groups that kinds have left. The API server serves none of them any more, but files go on.
const MOVED: [(&str, &str, &str); 5] = [
    ("extensions", "Deployment", "apps"),
    ("extensions", "DaemonSet", "apps"),
    ("extensions", "ReplicaSet", "apps"),
    ("extensions", "Ingress", "networking.k8s.io"),
    ("extensions", "NetworkPolicy", "networking.k8s.io"),
];

/// What carries a kind. The version is no matter: rules judge what is common to all of them.
pub(crate) fn carrier<'c>(
    carriers: &'c Carriers,
    api_version: &str,
    kind: &str,
) -> Option<&'c Carrier> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let moved = MOVED
        .iter()
        .find(|(old, moved, _)| (*old, *moved) == (group, kind));
    let group = moved.map_or(group, |(_, _, new)| new);
    carriers
        .iter()
        .find(|carrier| carrier.group == group && carrier.kind == kind)
}

/// The request that makes the object.
pub(crate) fn request<'a>(carrier: &Carrier, node: &'a Node) -> AdmissionRequest<'a> {
    let text = |text: &str| text.to_owned();
    AdmissionRequest {
        uid: "file".into(),
        kind: Gvk {
            group: text(&carrier.group),
            version: text(carrier.version),
            kind: text(&carrier.kind),
        },
        resource: Gvr {
            group: text(&carrier.group),
            version: text(carrier.version),
            resource: text(&carrier.resource),
        },
        sub_resource: None,
        name: field(node, "name").unwrap_or_default().to_owned(),
        namespace: field(node, "namespace").map(str::to_owned),
        operation: Operation::Create,
        user_info: UserInfo::default(),
        object: Some(node.to_json()),
        old_object: None,
        dry_run: false,
    }
}

/// How people call the object.
pub(crate) fn name(api_version: &str, kind: &str, node: &Node) -> ObjectName {
    ObjectName {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: field(node, "namespace").map(str::to_owned),
        name: field(node, "name")
            .or_else(|| field(node, "generateName"))
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The first pod spec anywhere in an object of a kind that nobody knows.
pub(crate) fn hidden_pod(node: &Node) -> Option<&Node> {
    let containers = node.get("containers").map(Node::items).unwrap_or_default();
    let is_container = |item: &Node| item.get("image").is_some() && item.get("name").is_some();
    if containers.iter().any(is_container) {
        return Some(node);
    }
    let below = node.entries().iter().map(|entry| &entry.value);
    below.chain(node.items()).find_map(hidden_pod)
}
