//! Annotations of claims by which drivers of storage are told what no class says.

use bulkhead_model::Operation;
use bulkhead_model::view::Fields;

use super::Claim;
use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "storage-annotation",
    guide: Section::HostFilesystem,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "the driver obeys it past the class: it hands over a volume or a folder of another's, or a faster disk",
    remedy: "remove the annotation; what a volume is made of, its class says",
    page: include_str!("storage_annotation.md"),
    rule: Rule::Claim(check),
    cel: Some(
        r#"object.metadata.?annotations.orValue({}).all(k, !k.matches('^(ebs[.]csi[.]aws[.]com|nfs[.]io|trident[.]netapp[.]io)/')
        && k != 'k8s.io/CloneRequest' || (request.operation == 'UPDATE'
        && oldObject.metadata.?annotations[?k].orValue('') == object.metadata.annotations[k]))"#,
    ),
    mend: Mend::ByHand,
};

/// Domains that drivers read: speed and kind of EBS volumes, folders of NFS provisioners, volumes that
/// Trident imports and clones.
const DOMAINS: [&str; 3] = ["ebs.csi.aws.com/", "nfs.io/", "trident.netapp.io/"];

/// Has the containerized data importer copy a claim of any namespace.
const CLONE: &str = "k8s.io/CloneRequest";

fn check(claim: &Claim<'_>, context: &Context<'_>, findings: &mut Findings) {
    let before = Fields::of(context.old).at("metadata").at("annotations");
    for (key, value) in claim.metadata().at("annotations").iter() {
        let obeyed = key == CLONE || DOMAINS.iter().any(|domain| key.starts_with(domain));
        // Or a claim that had it before could not even be bound.
        let kept = claim.is_object()
            && context.operation == Operation::Update
            && before.get(key) == Some(value);
        if obeyed && !kept {
            findings.add(claim.path("metadata.annotations").key(key), is(value));
        }
    }
}
