//! Simulated nodes: Node objects, and what kwok does to them and to the pods bound to them.

use std::path::Path;

use serde_json::{Value, json};

use crate::control_plane::KWOK_USER;

/// The label by which kwok knows its nodes.
pub const SELECTOR: &str = "type=kwok";

/// What every simulated container has written, in the format of container runtimes.
pub(crate) const CONTAINER_LOG: &str = "2026-01-01T00:00:00.000000000Z stdout F this container is simulated: it was scheduled, nothing runs\n";

/// The stages that kwok takes objects through: a node becomes ready and stays so, a pod runs,
/// that of a Job succeeds, a deleted pod goes. `{{…}}` are kwok's templates.
const STAGES: &str = r#"
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-becomes-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}
  next:
    statusTemplate: |
      phase: Running
      conditions:
      {{ range NodeConditions }}
      - type: {{ .type | Quote }}
        status: {{ .status | Quote }}
        reason: {{ .reason | Quote }}
        message: {{ .message | Quote }}
        lastHeartbeatTime: {{ Now | Quote }}
        lastTransitionTime: {{ Now | Quote }}
      {{ end }}
      addresses:
      - {type: InternalIP, address: {{ NodeIP | Quote }}}
      - {type: Hostname, address: {{ NodeName | Quote }}}
      daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
      capacity: {cpu: "64", memory: 256Gi, pods: "1000", ephemeral-storage: 1Ti}
      allocatable: {cpu: "64", memory: 256Gi, pods: "1000", ephemeral-storage: 1Ti}
      nodeInfo:
        architecture: amd64
        operatingSystem: linux
        osImage: simulated
        kernelVersion: simulated
        containerRuntimeVersion: simulated://kwok
        kubeletVersion: {{ printf "kwok-%s" Version | Quote }}
        kubeProxyVersion: ""
        bootID: ""
        machineID: ""
        systemUUID: ""
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-stays-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: In, values: ["True"]}
  delay: {durationMilliseconds: 300000, jitterDurationMilliseconds: 320000}
  next:
    statusTemplate: |
      conditions:
      {{ range NodeConditions }}
      - type: {{ .type | Quote }}
        status: {{ .status | Quote }}
        reason: {{ .reason | Quote }}
        message: {{ .message | Quote }}
        lastHeartbeatTime: {{ Now | Quote }}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-runs}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
    - {key: '.status.phase', operator: In, values: [Pending]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      conditions:
      {{ range $type := splitList " " "PodReadyToStartContainers Initialized ContainersReady Ready" }}
      - {type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
      {{ end }}
      {{ range .spec.readinessGates }}
      - {type: {{ .conditionType | Quote }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
      {{ end }}
      initContainerStatuses:
      {{ range .spec.initContainers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        restartCount: 0
        {{ if eq ( or .restartPolicy "" ) "Always" }}
        started: true
        state: {running: {startedAt: {{ $now | Quote }}}}
        {{ else }}
        state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
        {{ end }}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}}
      {{ end }}
      {{ with NodeIPWith .spec.nodeName }}
      hostIP: {{ . | Quote }}
      hostIPs: [{ip: {{ . | Quote }}}]
      {{ end }}
      {{ with PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
      podIP: {{ . | Quote }}
      podIPs: [{ip: {{ . | Quote }}}]
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-of-a-job-succeeds}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: DoesNotExist}
    - {key: '.status.phase', operator: In, values: [Running]}
    - {key: '.metadata.ownerReferences.[].kind', operator: In, values: [Job]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Succeeded
      conditions:
      {{ range $type := splitList " " "ContainersReady Ready" }}
      - {type: {{ $type }}, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: false
        started: false
        restartCount: 0
        state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-goes}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: '.metadata.deletionTimestamp', operator: Exists}
  next:
    delete: true
"#;

/// kwok's configuration: the stages, and one log for all containers. There is nothing for exec,
/// attach and port-forward: what kwok offers there would run on, or reach into, this machine.
pub(crate) fn kwok_config(container_log: &Path) -> String {
    let logs = json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": { "name": "simulated" },
        "spec": { "logs": [{ "logsFile": container_log, "follow": true }] },
    });
    // JSON is YAML.
    format!("{}\n---\n{logs}\n", STAGES.trim())
}

/// The Node objects `node-1` to `node-COUNT`, marked as simulated.
pub fn nodes(count: u16) -> impl Iterator<Item = Value> {
    (1..=count).map(|number| {
        let name = format!("node-{number}");
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": { "kwok.x-k8s.io/node": "fake" },
                "labels": {
                    "type": "kwok",
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                },
            },
        })
    })
}

/// What kwok may do, as a ClusterRole and its binding: write the status of nodes and pods, hold the
/// nodes' leases, end pods. `operate` on Tenants is the right by which Bulkhead's guards know the
/// platform's own parts.
#[must_use]
pub fn rights_of_kwok() -> Vec<Value> {
    let name = "bulkhead-sandbox-kwok";
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    let read = ["get", "list", "watch"];
    vec![
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": name },
            "rules": [
                rule("", &["nodes"], &read),
                rule("", &["pods"], &["get", "list", "watch", "patch", "update", "delete"]),
                rule("", &["nodes/status", "pods/status"], &["patch", "update"]),
                rule("", &["events"], &["create", "patch", "update"]),
                rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "patch", "update"]),
                rule("bulkhead.dev", &["tenants"], &["operate"]),
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KWOK_USER }],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_yaml_with_every_stage() {
        let config = kwok_config(Path::new("/s/simulated.log"));
        let kinds: Vec<String> = config
            .split("\n---\n")
            .map(|document| serde_norway::from_str::<Value>(document).unwrap())
            .map(|object| {
                format!(
                    "{}/{}",
                    object["kind"].as_str().unwrap(),
                    object["metadata"]["name"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "Stage/node-becomes-ready",
                "Stage/node-stays-ready",
                "Stage/pod-runs",
                "Stage/pod-of-a-job-succeeds",
                "Stage/pod-goes",
                "ClusterLogs/simulated",
            ]
        );
        assert!(!config.contains("Exec"));
    }

    #[test]
    fn nodes_are_marked_as_simulated() {
        let nodes: Vec<Value> = nodes(2).collect();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1]["metadata"]["name"], "node-2");
        for node in nodes {
            assert_eq!(
                node["metadata"]["annotations"]["kwok.x-k8s.io/node"],
                "fake"
            );
            let (key, value) = SELECTOR.split_once('=').unwrap();
            assert_eq!(node["metadata"]["labels"][key], value);
        }
    }
}
