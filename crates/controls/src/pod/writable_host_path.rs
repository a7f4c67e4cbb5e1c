//! What of the node a tenant may read, it reads and nothing more.

use bulkhead_model::Json;
use bulkhead_model::view::{Container, Fields, Pod, Volume};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "writable-host-path",
    guide: Section::HostFilesystem,
    severity: Severity::Critical,
    profiles: Profiles::Confined,
    why: "a path of the node that may be read must be read-only all the way down, in every container",
    remedy: "mount it with `readOnly: true` and `recursiveReadOnly: Enabled`, without propagation and with type `Directory` or `File`",
    page: include_str!("writable_host_path.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    for volume in pod.volumes() {
        let source = volume.fields().at("hostPath");
        let path = source.str("path").unwrap_or_default();
        let allowed = &context.rules.allowed_host_paths;
        if !allowed.iter().any(|prefix| prefix.has(path)) {
            // Nobody may mount it at all: `host-path-volume`.
            continue;
        }
        // Others are made where they are missing, or are obeyed whoever may write: sockets, devices.
        let kind = source.get("type");
        if let Some(kind) =
            kind.filter(|it| !matches!(it.as_str(), Some("" | "Directory" | "File")))
        {
            findings.add(volume.path("hostPath.type"), is(kind));
        }
        for container in pod.containers() {
            mounts(container, volume, findings);
        }
    }
}

fn mounts(container: Container<'_>, volume: Volume<'_>, findings: &mut Findings) {
    let name = volume.fields().get("name");
    for (index, mount) in container.fields().list("volumeMounts").iter().enumerate() {
        let mount = Fields::of(Some(mount));
        if mount.get("name") != name {
            continue;
        }
        let path = || container.path("volumeMounts").index(index);
        let mut must =
            |field: &'static str, good: fn(&Json<'_>) -> bool, unset_is_good: bool| match mount
                .get(field)
            {
                None if unset_is_good => {}
                None => findings.add(path().then(field), "is unset"),
                Some(value) if good(value) => {}
                Some(value) => findings.add(path().then(field), is(value)),
            };
        must("readOnly", |value| value.as_bool() == Some(true), false);
        must(
            "recursiveReadOnly",
            |value| value.as_str() == Some("Enabled"),
            false,
        );
        must(
            "mountPropagation",
            |value| value.as_str() == Some("None"),
            true,
        );
    }
}
