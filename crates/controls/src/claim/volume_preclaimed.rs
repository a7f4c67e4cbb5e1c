//! A claim that picks its volume, rather than being given one, picks another tenant's.

use bulkhead_model::Json;
use bulkhead_model::Operation;
use bulkhead_model::view::Fields;

use super::Claim;
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "volume-preclaimed",
    guide: Section::HostFilesystem,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "a claim that names its volume takes a released or waiting one of another tenant, or one on the node's disk",
    remedy: "remove it and let the storage class make the volume",
    page: include_str!("volume_preclaimed.md"),
    rule: Rule::Claim(check),
    cel: Some(
        r#"(object.spec.?volumeName.orValue('') == '' || (request.operation == 'UPDATE'
        && (oldObject.spec.?volumeName.orValue('') == object.spec.volumeName
        || request.userInfo.username in ['system:kube-controller-manager',
        'system:serviceaccount:kube-system:persistent-volume-binder'])))
        && !has(object.spec.selector)
        && !object.spec.?dataSourceRef.?namespace.hasValue()
        && !('volume.beta.kubernetes.io/storage-class' in object.metadata.?annotations.orValue({}))
        && (!('volume.kubernetes.io/selected-node' in object.metadata.?annotations.orValue({}))
        || (request.operation == 'UPDATE' && (request.userInfo.username in ['system:kube-scheduler', 'system:kube-controller-manager',
        'system:serviceaccount:kube-system:persistent-volume-binder']
        || oldObject.metadata.?annotations[?'volume.kubernetes.io/selected-node'].orValue('')
        == object.metadata.annotations['volume.kubernetes.io/selected-node'])))"#,
    ),
    mend: Mend::ByHand,
};

/// Beats `spec.storageClassName`, behind the back of whoever counts by the field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Makes the volume on that node, and the pod follows its volume.
const NODE_ANNOTATION: &str = "volume.kubernetes.io/selected-node";

/// Who chooses nodes.
const SCHEDULER: &str = "system:kube-scheduler";

/// Who writes `spec.volumeName` when a claim is bound: the controller manager's own identity, or
/// the ServiceAccount that it uses for this.
const BINDERS: [&str; 2] = [
    "system:serviceaccount:kube-system:persistent-volume-binder",
    "system:kube-controller-manager",
];

fn check(claim: &Claim<'_>, context: &Context<'_>, findings: &mut Findings) {
    let spec = claim.spec();
    if let Some(name) = spec
        .get("volumeName")
        .filter(|name| name.as_str() != Some(""))
        && !bound(claim, name, context)
    {
        findings.add(claim.path("spec.volumeName"), is(name));
    }
    if let Some(selector) = spec.get("selector") {
        findings.add(claim.path("spec.selector"), is(selector));
    }
    if let Some(namespace) = spec.at("dataSourceRef").get("namespace") {
        findings.add(claim.path("spec.dataSourceRef.namespace"), is(namespace));
    }
    if let Some(class) = claim.metadata().at("annotations").get(CLASS_ANNOTATION) {
        findings.add(
            claim.path("metadata.annotations").key(CLASS_ANNOTATION),
            format!("is {}, which overrides `storageClassName`", shown(class)),
        );
    }
    if let Some(node) = claim.metadata().at("annotations").get(NODE_ANNOTATION)
        && !scheduled(claim, node, context)
    {
        findings.add(
            claim.path("metadata.annotations").key(NODE_ANNOTATION),
            format!("is {}, which makes the volume on that node", shown(node)),
        );
    }
}

/// Whether the cluster chose the node, or the claim had it before.
fn scheduled(claim: &Claim<'_>, node: &Json<'_>, context: &Context<'_>) -> bool {
    if !claim.is_object() || context.operation != Operation::Update {
        return false;
    }
    let user = context.user.username.as_str();
    let before = Fields::of(context.old).at("metadata").at("annotations");
    before.get(NODE_ANNOTATION) == Some(node) || user == SCHEDULER || BINDERS.contains(&user)
}

/// Whether the cluster chose the volume: the claim had it before, or the binder sets it now. The
/// API server takes a name once from anybody who may update a claim.
fn bound(claim: &Claim<'_>, name: &Json<'_>, context: &Context<'_>) -> bool {
    if !claim.is_object() || context.operation != Operation::Update {
        return false;
    }
    let before = Fields::of(context.old).at("spec").get("volumeName");
    before == Some(name) || BINDERS.contains(&context.user.username.as_str())
}
