//! A pod that every control lets pass, and for each control one that it must not.

use serde_json::{Value, json};

/// The spec of a pod that breaks no rule.
#[must_use]
pub fn good_pod() -> Value {
    json!({
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "main",
            "image": "registry.example/app:1",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}

/// What is wrong with a pod.
pub(super) struct Evil {
    /// The control that must say so.
    pub(super) control: &'static str,
    /// Tells variants of one control apart; empty for the first.
    pub(super) variant: &'static str,
    /// Completes "A pod that …".
    pub(super) does: &'static str,
    /// Where in the pod's spec (JSON pointer; `/containers/0/…` is any container's place).
    pub(super) at: &'static str,
    /// What is put there.
    pub(super) value: fn() -> Value,
}

impl Evil {
    /// The part of the pointer that lies in the container, if it does.
    pub(super) fn in_container(&self) -> Option<&'static str> {
        self.at.strip_prefix("/containers/0")
    }

    /// The good pod, spoilt.
    pub(super) fn pod(&self) -> Value {
        // A volume that nobody mounts is enough; a container's own mount is not needed.
        good_but(&[(self.at, (self.value)())])
    }

    /// The good container with another name, spoilt. Ephemeral containers have no resources.
    pub(super) fn container(&self, name: &str) -> Option<Value> {
        let at = self.in_container()?;
        let mut container = good_pod().pointer("/containers/0")?.clone();
        container.as_object_mut()?.remove("resources");
        put(&mut container, "/name", json!(name));
        put(&mut container, at, (self.value)());
        Some(container)
    }
}

/// Puts a value into an object, making the objects on the way.
fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut here = root;
    for key in pointer.split('/').skip(1) {
        here = match here {
            Value::Array(items) => {
                let Some(item) = key.parse::<usize>().ok().and_then(|i| items.get_mut(i)) else {
                    return;
                };
                item
            }
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                let Value::Object(map) = other else { return };
                map.entry(key).or_insert(Value::Null)
            }
        };
    }
    *here = value;
}

/// The good pod with these values in these places. The API server refuses some fields without
/// others, in its own words and before a template is judged.
pub(super) fn good_but(values: &[(&str, Value)]) -> Value {
    let mut pod = good_pod();
    for (at, value) in values {
        put(&mut pod, at, value.clone());
    }
    pod
}

/// The specs of evil pods, each with the control that must refuse it.
#[must_use]
pub fn evil_pods() -> Vec<(&'static str, Value)> {
    EVILS
        .iter()
        .map(|evil| (evil.control, evil.pod()))
        .collect()
}

/// Evil ephemeral containers of this name, each with the control that must refuse it.
#[must_use]
pub fn evil_containers(name: &str) -> Vec<(&'static str, Value)> {
    // Ephemeral containers cannot have ports, probes and handlers at all.
    let able = EVILS
        .iter()
        .filter(|evil| !matches!(evil.control, "host-port" | "probe-host"));
    able.filter_map(|evil| Some((evil.control, evil.container(name)?)))
        .collect()
}

#[rustfmt::skip]
pub(super) const EVILS: &[Evil] = &[
    Evil { control: "privileged-container", variant: "", does: "is privileged", at: "/containers/0/securityContext", value: || json!({"privileged": true}) },
    Evil { control: "privilege-escalation", variant: "", does: "may gain privileges", at: "/containers/0/securityContext/allowPrivilegeEscalation", value: || json!(true) },
    Evil { control: "capabilities-kept", variant: "", does: "drops only some capabilities", at: "/containers/0/securityContext/capabilities", value: || json!({"drop": ["NET_RAW"]}) },
    Evil { control: "forbidden-capability", variant: "", does: "adds the capability to administer the network", at: "/containers/0/securityContext/capabilities/add", value: || json!(["NET_ADMIN"]) },
    Evil { control: "forbidden-capability", variant: "case", does: "spells a capability in lower case and with `cap_`", at: "/containers/0/securityContext/capabilities/add", value: || json!(["cap_sys_ptrace"]) },
    Evil { control: "unsafe-volume-type", variant: "", does: "mounts an NFS share", at: "/volumes", value: || json!([{"name": "v", "nfs": {"server": "10.0.0.1", "path": "/"}}]) },
    Evil { control: "unsafe-volume-type", variant: "csi", does: "mounts an inline CSI volume", at: "/volumes", value: || json!([{"name": "v", "csi": {"driver": "evil.example"}}]) },
    Evil { control: "host-path-volume", variant: "", does: "mounts the node's root", at: "/volumes", value: || json!([{"name": "v", "hostPath": {"path": "/"}}]) },
    Evil { control: "host-network", variant: "", does: "joins its node's network", at: "/hostNetwork", value: || json!(true) },
    Evil { control: "host-port", variant: "", does: "takes a port of its node", at: "/containers/0/ports", value: || json!([{"containerPort": 8080, "hostPort": 8080}]) },
    Evil { control: "host-pid", variant: "", does: "sees its node's processes", at: "/hostPID", value: || json!(true) },
    Evil { control: "host-ipc", variant: "", does: "shares its node's memory segments", at: "/hostIPC", value: || json!(true) },
    Evil { control: "runs-as-root", variant: "", does: "runs as user 0", at: "/containers/0/securityContext/runAsUser", value: || json!(0) },
    Evil { control: "runs-as-root", variant: "group", does: "runs in group 0", at: "/securityContext/supplementalGroups", value: || json!([0]) },
    Evil { control: "id-outside-tenant-range", variant: "", does: "runs as a user that is nobody's", at: "/securityContext/runAsUser", value: || json!(1000) },
    Evil { control: "id-outside-tenant-range", variant: "theirs", does: "runs in a group that may be another tenant's", at: "/containers/0/securityContext/runAsGroup", value: || json!(2_147_479_999) },
    Evil { control: "id-outside-tenant-range", variant: "merge", does: "has the image add groups", at: "/securityContext/supplementalGroupsPolicy", value: || json!("Merge") },
    Evil { control: "selinux-label-chosen", variant: "", does: "chooses another pod's SELinux level", at: "/securityContext/seLinuxOptions", value: || json!({"level": "s0:c123,c456"}) },
    Evil { control: "selinux-label-chosen", variant: "spc", does: "is as privileged a process as SELinux knows", at: "/containers/0/securityContext/seLinuxOptions", value: || json!({"type": "spc_t"}) },
    Evil { control: "seccomp-unconfined", variant: "", does: "switches seccomp off", at: "/containers/0/securityContext/seccompProfile", value: || json!({"type": "Unconfined"}) },
    Evil { control: "foreign-toleration", variant: "", does: "tolerates every taint", at: "/tolerations", value: || json!([{"operator": "Exists"}]) },
    Evil { control: "foreign-toleration", variant: "any", does: "tolerates the nodes of any tenant", at: "/tolerations", value: || json!([{"key": "tenantID", "operator": "Exists", "effect": "NoSchedule"}]) },
    Evil { control: "foreign-toleration", variant: "plane", does: "tolerates the nodes of the control plane", at: "/tolerations", value: || json!([{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]) },
    Evil { control: "node-name-set", variant: "", does: "names its node", at: "/nodeName", value: || json!("node-1") },
    Evil { control: "node-name-set", variant: "scheduler", does: "waits for a scheduler of its own", at: "/schedulerName", value: || json!("attack-scheduler") },
    Evil { control: "node-name-set", variant: "fields", does: "picks its node by a field in an affinity", at: "/affinity", value: || json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]}}}) },
    Evil { control: "cross-namespace-affinity", variant: "", does: "drives everybody's pods from its node", at: "/affinity", value: || json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaceSelector": {}}]}}) },
    Evil { control: "cross-namespace-affinity", variant: "near", does: "prefers to run beside another tenant's pods", at: "/affinity", value: || json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, "namespaces": ["globex-app"]}}]}}) },
    Evil { control: "priority-class-unlisted", variant: "", does: "goes before everything else on its node", at: "/priorityClassName", value: || json!("system-node-critical") },
    Evil { control: "priority-class-unlisted", variant: "cluster", does: "goes before everything else in the cluster", at: "/priorityClassName", value: || json!("system-cluster-critical") },
    Evil { control: "missing-runtime-class", variant: "", does: "picks a runtime that was not granted", at: "/runtimeClassName", value: || json!("attack-runtime") },
    Evil { control: "no-resource-limit", variant: "", does: "writes down a limit of memory that is none", at: "", value: || good_but(&[("/containers/0/resources/limits/memory", json!("0")), ("/containers/0/resources/requests/memory", json!("0"))]) },
    Evil { control: "no-resource-limit", variant: "pod", does: "has its pod limit processors to nothing, that none is given to its container", at: "", value: || good_but(&[("/resources", json!({"requests": {"cpu": "0"}, "limits": {"cpu": "0"}})), ("/containers/0/resources", json!({"requests": {"cpu": "0", "memory": "16Mi"}, "limits": {"cpu": "0", "memory": "32Mi"}}))]) },
    Evil { control: "node-exhaustion", variant: "", does: "has a volume in memory as large as the node's", at: "/volumes", value: || json!([{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "0"}}]) },
    Evil { control: "node-exhaustion", variant: "disk", does: "may fill its node's disk by its log", at: "", value: || good_but(&[("/containers/0/resources/limits/ephemeral-storage", json!("0")), ("/containers/0/resources/requests/ephemeral-storage", json!("0"))]) },
    Evil { control: "drain-blocked", variant: "", does: "takes a day to end", at: "/terminationGracePeriodSeconds", value: || json!(86400) },
    Evil { control: "device-class-unlisted", variant: "", does: "asks for a device by the name of its class", at: "/containers/0/resources", value: || json!({"limits": {"cpu": "10m", "memory": "16Mi", "deviceclass.resource.kubernetes.io/gpu.example": 1}, "requests": {"cpu": "10m", "memory": "16Mi", "deviceclass.resource.kubernetes.io/gpu.example": 1}}) },
    Evil { control: "host-process", variant: "", does: "is a process of its Windows node", at: "", value: || good_but(&[("/hostNetwork", json!(true)), ("/containers/0/securityContext/windowsOptions", json!({"hostProcess": true}))]) },
    Evil { control: "host-process", variant: "pod", does: "is a process of its Windows node by the pod's own field", at: "", value: || good_but(&[("/hostNetwork", json!(true)), ("/securityContext/windowsOptions", json!({"hostProcess": true}))]) },
    Evil { control: "unmasked-proc", variant: "", does: "takes the covers off `/proc`", at: "", value: || good_but(&[("/hostUsers", json!(false)), ("/containers/0/securityContext/procMount", json!("Unmasked"))]) },
    Evil { control: "unmasked-proc", variant: "init", does: "takes the covers off `/proc` before it starts", at: "", value: || good_but(&[("/hostUsers", json!(false)), ("/initContainers", json!([{"name": "init", "image": "registry.example/app:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "procMount": "Unmasked"}}]))]) },
    Evil { control: "unsafe-sysctl", variant: "", does: "names a program for its node to run as root", at: "/securityContext/sysctls", value: || json!([{"name": "kernel.core_pattern", "value": "|/bin/sh"}]) },
    Evil { control: "unsafe-sysctl", variant: "slash", does: "spells a safe sysctl with slashes", at: "/securityContext/sysctls", value: || json!([{"name": "net/ipv4/tcp_syncookies", "value": "0"}]) },
    Evil { control: "apparmor-unconfined", variant: "", does: "switches AppArmor off", at: "/containers/0/securityContext/appArmorProfile", value: || json!({"type": "Unconfined"}) },
    Evil { control: "apparmor-unconfined", variant: "local", does: "names an AppArmor profile of the node", at: "/securityContext/appArmorProfile", value: || json!({"type": "Localhost", "localhostProfile": "mine"}) },
    Evil { control: "probe-host", variant: "", does: "has the kubelet ask the metadata service", at: "/containers/0/livenessProbe", value: || json!({"httpGet": {"host": "169.254.169.254", "port": 80}}) },
    Evil { control: "probe-host", variant: "handler", does: "has the kubelet call a port of its node once it starts", at: "/containers/0/lifecycle", value: || json!({"postStart": {"httpGet": {"host": "127.0.0.1", "port": 10255}}}) },
    Evil { control: "untrusted-registry", variant: "", does: "runs an image that others have brought to the node", at: "/containers/0/imagePullPolicy", value: || json!("Never") },
    Evil { control: "untrusted-registry", variant: "volume", does: "mounts an image that others have brought to the node", at: "/volumes", value: || json!([{"name": "v", "image": {"reference": "registry.example/globex:1", "pullPolicy": "Never"}}]) },
    Evil { control: "host-path-volume", variant: "path", does: "mounts the node's Secrets by a path with an empty segment", at: "/volumes", value: || json!([{"name": "v", "hostPath": {"path": "/var//lib/kubelet", "type": "Directory"}}]) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_evil_pod_differs_from_the_good_one() {
        for evil in EVILS {
            assert_ne!(evil.pod(), good_pod(), "{} {}", evil.control, evil.variant);
            assert_eq!(
                evil.pod().pointer(evil.at),
                Some(&(evil.value)()),
                "{}",
                evil.control
            );
        }
    }
}
