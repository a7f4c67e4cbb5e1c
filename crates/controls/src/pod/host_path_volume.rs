//! A volume that is a piece of the node's own file system.

use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-path-volume",
    guide: Section::HostFilesystem,
    severity: Severity::Critical,
    profiles: Profiles::Baseline(0),
    why: "the node's files hold every tenant's Secrets and the kubelet's own credentials",
    remedy: "use a `persistentVolumeClaim`, an `emptyDir` or a `configMap` instead",
    page: include_str!("host_path_volume.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.rules.contains('"allowedHostPaths":')
        || variables.spec.?volumes.orValue([]).all(v, !has(v.hostPath))"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for volume in pod.volumes() {
        if let Some(source) = volume.fields().get("hostPath") {
            // What may be read is for `writable-host-path` to judge.
            let path = Fields::of(Some(source)).str("path").unwrap_or_default();
            let allowed = &context.rules.allowed_host_paths;
            if allowed.iter().any(|prefix| prefix.has(path)) {
                continue;
            }
            let detail = source
                .get("path")
                .map(|path| format!("mounts {}", crate::context::shown(path)));
            findings.add(
                volume.path("hostPath"),
                detail.unwrap_or_else(|| is(source)),
            );
        }
    }
}
