//! What a newer Kubernetes has, and no rule here has ever seen.

use std::cmp::Ordering;

use bulkhead_model::FieldPath;
use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "unknown-pod-field",
    guide: Section::Appendix,
    severity: Severity::Medium,
    profiles: Profiles::Confined,
    why: "no rule has ever seen this field, so nobody can say what it opens",
    remedy: "check its spelling; a field of a newer Kubernetes has to wait for a newer Bulkhead",
    page: include_str!("unknown_pod_field.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Fields of a pod's `spec`. These lists are Kubernetes 1.36's; a test compares them with its types.
pub(super) const SPEC: &[&str] = &[
    "os",
    "hostIPC",
    "hostPID",
    "volumes",
    "affinity",
    "hostname",
    "nodeName",
    "overhead",
    "priority",
    "dnsConfig",
    "dnsPolicy",
    "hostUsers",
    "resources",
    "subdomain",
    "containers",
    "hostAliases",
    "hostNetwork",
    "tolerations",
    "nodeSelector",
    "restartPolicy",
    "schedulerName",
    "initContainers",
    "readinessGates",
    "resourceClaims",
    "serviceAccount",
    "schedulingGates",
    "schedulingGroup",
    "securityContext",
    "hostnameOverride",
    "imagePullSecrets",
    "preemptionPolicy",
    "runtimeClassName",
    "priorityClassName",
    "setHostnameAsFQDN",
    "enableServiceLinks",
    "serviceAccountName",
    "ephemeralContainers",
    "activeDeadlineSeconds",
    "shareProcessNamespace",
    "topologySpreadConstraints",
    "automountServiceAccountToken",
    "terminationGracePeriodSeconds",
];

/// Fields of the pod's `securityContext`.
pub(super) const POD_SECURITY: &[&str] = &[
    "fsGroup",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "seLinuxOptions",
    "seccompProfile",
    "windowsOptions",
    "appArmorProfile",
    "supplementalGroups",
    "fsGroupChangePolicy",
    "seLinuxChangePolicy",
    "supplementalGroupsPolicy",
];

/// Fields of a container's `securityContext`.
pub(super) const CONTAINER_SECURITY: &[&str] = &[
    "procMount",
    "runAsUser",
    "privileged",
    "runAsGroup",
    "capabilities",
    "runAsNonRoot",
    "seLinuxOptions",
    "seccompProfile",
    "windowsOptions",
    "appArmorProfile",
    "readOnlyRootFilesystem",
    "allowPrivilegeEscalation",
];

/// Fields of a container, of any kind.
pub(super) const CONTAINER: &[&str] = &[
    "env",
    "tty",
    "args",
    "name",
    "image",
    "ports",
    "stdin",
    "command",
    "envFrom",
    "lifecycle",
    "resources",
    "stdinOnce",
    "workingDir",
    "resizePolicy",
    "startupProbe",
    "volumeMounts",
    "livenessProbe",
    "restartPolicy",
    "volumeDevices",
    "readinessProbe",
    "imagePullPolicy",
    "securityContext",
    "restartPolicyRules",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

/// Fields of a volume: its name, and every kind of source.
pub(super) const VOLUME: &[&str] = &[
    "fc",
    "csi",
    "nfs",
    "rbd",
    "name",
    "image",
    "iscsi",
    "cephfs",
    "cinder",
    "secret",
    "flocker",
    "gitRepo",
    "quobyte",
    "scaleIO",
    "emptyDir",
    "hostPath",
    "azureDisk",
    "azureFile",
    "configMap",
    "ephemeral",
    "glusterfs",
    "projected",
    "storageos",
    "flexVolume",
    "downwardAPI",
    "vsphereVolume",
    "portworxVolume",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "photonPersistentDisk",
    "persistentVolumeClaim",
];

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    known(pod.spec(), SPEC, || pod.path("spec"), findings);
    let path = || pod.path("spec.securityContext");
    known(pod.security_context(), POD_SECURITY, path, findings);
    for container in pod.containers() {
        known(
            container.fields(),
            CONTAINER,
            || container.path(""),
            findings,
        );
        let path = || container.path("securityContext");
        known(
            container.security_context(),
            CONTAINER_SECURITY,
            path,
            findings,
        );
    }
    // Where kinds of volumes are listed, `unsafe-volume-type` refuses the others.
    if context.rules.profile == bulkhead_model::Profile::Baseline {
        for volume in pod.volumes() {
            known(volume.fields(), VOLUME, || volume.path(""), findings);
        }
    }
}

/// The order of the lists: by length, which takes no look at the text, then by name.
fn order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn known(
    fields: Fields<'_>,
    names: &[&str],
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    for (name, _) in fields.iter() {
        if names.binary_search_by(|known| order(known, name)).is_err() {
            findings.add(path().key(name), "is no field that is known here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_kubernetes_own() {
        let text = include_str!("../../../protobuf/src/table.json");
        let table: serde_json::Value = serde_json::from_str(text).unwrap();
        let fields = |kind: &str| -> Vec<String> {
            let fields = table["types"][kind].as_array().unwrap();
            let names = fields
                .iter()
                .map(|field| field[1].as_str().unwrap().to_owned());
            let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
            names.sort_by(|a, b| order(a, b));
            names
        };
        let with = |mut names: Vec<String>, more: &str| {
            names.push(more.to_owned());
            names.sort_by(|a, b| order(a, b));
            names
        };
        assert_eq!(fields("core/v1.PodSpec"), SPEC);
        assert_eq!(fields("core/v1.PodSecurityContext"), POD_SECURITY);
        assert_eq!(fields("core/v1.SecurityContext"), CONTAINER_SECURITY);
        assert_eq!(
            with(fields("core/v1.Container"), "targetContainerName"),
            CONTAINER
        );
        assert_eq!(with(fields("core/v1.VolumeSource"), "name"), VOLUME);
    }
}
