//! Volumes of the kinds that Kubernetes keeps apart by namespace, and no other. A kind that did
//! not exist when this was written is refused.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod, Volume};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "unsafe-volume-type",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Restricted(0),
    why: "a volume of this kind reaches storage that no namespace bounds",
    remedy: "use one of `configMap`, `downwardAPI`, `emptyDir`, `ephemeral`, `persistentVolumeClaim`, `projected`, `secret`",
    page: include_str!("unsafe_volume_type.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.spec.?volumes.orValue([]).all(v,
        v.all(k, k in ['name', 'hostPath', 'configMap', 'downwardAPI', 'emptyDir', 'ephemeral',
        'persistentVolumeClaim', 'projected', 'secret'])
        && v.?projected.?sources.orValue([]).all(s,
        s.all(k, k in ['configMap', 'downwardAPI', 'secret', 'serviceAccountToken']
        || (k in ['clusterTrustBundle', 'podCertificate']
        && variables.rules.contains('"certificateSigners":')))))"#,
    ),
    mend: Mend::ByHand,
};

const SAFE: [&str; 7] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What Kubernetes' standards allow beside at `Restricted`.
const STANDARD: [&str; 2] = ["csi", "image"];

/// Has a control of its own.
const HOST_PATH: &str = "hostPath";

/// The sources of signers have a control of their own.
const SAFE_PROJECTED: [&str; 6] = [
    "clusterTrustBundle",
    "configMap",
    "downwardAPI",
    "podCertificate",
    "secret",
    "serviceAccountToken",
];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for volume in pod.volumes() {
        for source in volume.sources().filter(|source| *source != HOST_PATH) {
            let standard = !context.is_strict() && STANDARD.contains(&source);
            if !SAFE.contains(&source) && !standard {
                findings.add(
                    volume.source_path(source),
                    "is no kind of volume that is allowed",
                );
            } else if let Some(value) = volume.fields().get(source).filter(|v| !v.is_object()) {
                findings.add(volume.source_path(source), is(value));
            }
        }
        if context.is_strict() {
            projected(volume, findings);
        }
    }
}

fn projected(volume: Volume<'_>, findings: &mut Findings) {
    let sources: &[Json<'_>] = volume.fields().at("projected").list("sources");
    for (index, source) in sources.iter().enumerate() {
        for (key, _) in Fields::of(Some(source)).iter() {
            if !SAFE_PROJECTED.contains(&key) {
                findings.add(
                    volume.path("projected.sources").index(index).key(key),
                    "is no projected source that is allowed",
                );
            }
        }
    }
}
