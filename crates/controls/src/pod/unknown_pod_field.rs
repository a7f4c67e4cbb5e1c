//! What a newer Kubernetes has, and no rule here has ever seen.

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
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "schedulingGroup",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// Fields of the pod's `securityContext`.
pub(super) const POD_SECURITY: &[&str] = &[
    "appArmorProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxChangePolicy",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
    "windowsOptions",
];

/// Fields of a container's `securityContext`.
pub(super) const CONTAINER_SECURITY: &[&str] = &[
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
    "windowsOptions",
];

/// Fields of a container, of any kind.
pub(super) const CONTAINER: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// Fields of a volume: its name, and every kind of source.
pub(super) const VOLUME: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "name",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageos",
    "vsphereVolume",
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

fn known(
    fields: Fields<'_>,
    names: &[&str],
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    for (name, _) in fields.iter() {
        if names.binary_search(&name).is_err() {
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
            names.sort();
            names
        };
        let with = |mut names: Vec<String>, more: &str| {
            names.push(more.to_owned());
            names.sort();
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
