//! Annotations in which network plugins write down what they gave a pod, and by which they go on.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Operation, labels};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::facts::{Fact, ObjectKey, Wanted};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "network-annotation-forged",
    guide: Section::HostNetworkAndMetadata,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "the network goes by what stands there: the address, the interface or the switch of another tenant's pod",
    remedy: "leave it out; the platform's network plugin writes it when the pod has started",
    page: include_str!("annotation_forged.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Domains of which plugins write everything themselves: AWS' (trunk interfaces, addresses), OVN's.
const DOMAINS: [&str; 3] = ["k8s.ovn.org/", "ovn.kubernetes.io/", "vpc.amazonaws.com/"];

/// Single keys: Calico's addresses, which count until the pod's status has some, and the list of all
/// networks of a pod that load balancers and policies of Multus' go by.
const KEYS: [&str; 5] = [
    "cni.projectcalico.org/containerID",
    "cni.projectcalico.org/podIP",
    "cni.projectcalico.org/podIPs",
    "k8s.v1.cni.cncf.io/network-status",
    "k8s.v1.cni.cncf.io/networks-status",
];

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    let changes = changes(object, context);
    if changes.is_empty() || !is_tenants(context) {
        return;
    }
    for (path, detail) in changes {
        findings.add(path, detail);
    }
}

/// The Namespace of a ServiceAccount that writes such an annotation on a pod, to learn whose it is.
pub(crate) fn wanted(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
    if context.operation == Operation::Update
        && let Some(namespace) = home(context)
        && namespace != context.namespace
        && !changes(object, context).is_empty()
    {
        wanted.add(ObjectKey::namespace(namespace));
    }
}

/// Whether the one who asks may be a tenant's. What is being made has no network yet, so there
/// nobody has anything to write down, and controllers make pods for tenants.
fn is_tenants(context: &Context<'_>) -> bool {
    if context.operation != Operation::Update || context.resource != "pods" {
        return true;
    }
    if context.user.username.starts_with(labels::SYNTHETIC_PREFIX) {
        return true;
    }
    let Some(namespace) = home(context) else {
        return false;
    };
    if namespace == context.namespace {
        return true;
    }
    match context.facts.object(&ObjectKey::namespace(namespace)) {
        Fact::Known(Some(found)) => {
            let found = Fields::of(Some(found)).at("metadata").at("labels");
            found.get(labels::TENANT).is_some() || found.get(labels::TENANT_UID).is_some()
        }
        // A ServiceAccount that asks has a namespace.
        Fact::Known(None) | Fact::Unknown => true,
        Fact::Later => false,
    }
}

/// The namespace of the ServiceAccount that asks.
fn home<'a>(context: &Context<'a>) -> Option<&'a str> {
    let account = context.user.username.strip_prefix(SERVICE_ACCOUNT)?;
    account.split(':').next()
}

/// What is new, changed or gone.
fn changes(object: &Object<'_>, context: &Context<'_>) -> Vec<(FieldPath, String)> {
    let mut changes = Vec::new();
    let running = context.resource == "pods" && context.operation == Operation::Update;
    let before = Fields::of(context.old.filter(|_| running));
    let before = before.at("metadata").at("annotations");
    for pod in object.pods() {
        let annotations = pod.metadata().at("annotations");
        let path = |key: &str| pod.path("metadata.annotations").key(key);
        for (key, value) in annotations.iter() {
            if is_written_back(key) && before.get(key) != Some(value) {
                changes.push((path(key), format!("is {}", shown(value))));
            }
        }
        for (key, _) in before.iter() {
            if is_written_back(key) && annotations.get(key).is_none() {
                changes.push((path(key), "is taken away".to_owned()));
            }
        }
    }
    changes
}

fn is_written_back(key: &str) -> bool {
    DOMAINS.iter().any(|domain| key.starts_with(domain)) || KEYS.contains(&key)
}
