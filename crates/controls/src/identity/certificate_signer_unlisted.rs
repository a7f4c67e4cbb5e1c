//! A certificate that the kubelet fetches for a pod is an identity of its signer's making, and a
//! trust bundle says whom the pod's programs believe.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "certificate-signer-unlisted",
    guide: Section::DirectAccess,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a signer's certificate is an identity wherever that signer is believed, the API server among them",
    remedy: "name a signer of the Tenant's `spec.serviceAccounts.certificateSigners`",
    page: include_str!("certificate_signer_unlisted.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Projected sources that come from a signer.
pub(crate) const SOURCES: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let listed = &context.rules.service_accounts.certificate_signers;
    for volume in pod.volumes() {
        let sources: &[Json<'_>] = volume.fields().at("projected").list("sources");
        for (index, source) in sources.iter().enumerate() {
            for kind in SOURCES {
                let source = Fields::of(Some(source));
                if source.get(kind).is_none() {
                    continue;
                }
                let path = volume.path("projected.sources").index(index).then(kind);
                match source.at(kind).get("signerName") {
                    Some(name) if name.as_str().is_some_and(|name| listed.contains(name)) => {}
                    Some(name) => findings.add(
                        path.then("signerName"),
                        format!("is {}, which is on no list of the tenant's", shown(name)),
                    ),
                    None => findings.add(path, "names no signer"),
                }
            }
        }
    }
}
