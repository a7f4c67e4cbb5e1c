//! Each evil pod in every kind that carries a pod, through the gateway and straight at the API
//! server.

use serde_json::{Value, json};

use super::bad_pods::{EVILS, Evil, good_but};
use super::{MERGE, STRATEGIC, ways};
use crate::field::Door;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// A kind that holds a pod.
struct Carrier {
    /// Part of the technique's name.
    name: &'static str,
    /// In sentences.
    kind: &'static str,
    /// Where it is created; `{own}` is the attacker's namespace.
    collection: &'static str,
    /// Puts a pod's spec into it.
    wrap: fn(&str, Value) -> Value,
}

fn template(name: &str, pod: Value) -> Value {
    json!({"metadata": {"labels": {"attack": name}}, "spec": pod})
}

fn restarting(name: &str, mut pod: Value) -> Value {
    if let Value::Object(spec) = &mut pod {
        spec.insert("restartPolicy".into(), json!("Never"));
    }
    template(name, pod)
}

fn workload(api: &str, kind: &str, name: &str, extra: Value, pod: Value) -> Value {
    let mut spec =
        json!({"selector": {"matchLabels": {"attack": name}}, "template": template(name, pod)});
    if let (Value::Object(spec), Value::Object(extra)) = (&mut spec, extra) {
        spec.extend(extra);
    }
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

#[rustfmt::skip]
const CARRIERS: &[Carrier] = &[
    Carrier { name: "pod", kind: "Pod", collection: "/api/v1/namespaces/{own}/pods", wrap: |name, pod| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}) },
    Carrier { name: "deploy", kind: "Deployment", collection: "/apis/apps/v1/namespaces/{own}/deployments", wrap: |name, pod| workload("apps/v1", "Deployment", name, json!({"replicas": 1}), pod) },
    Carrier { name: "sts", kind: "StatefulSet", collection: "/apis/apps/v1/namespaces/{own}/statefulsets", wrap: |name, pod| workload("apps/v1", "StatefulSet", name, json!({"serviceName": "x"}), pod) },
    Carrier { name: "ds", kind: "DaemonSet", collection: "/apis/apps/v1/namespaces/{own}/daemonsets", wrap: |name, pod| workload("apps/v1", "DaemonSet", name, json!({}), pod) },
    Carrier { name: "rs", kind: "ReplicaSet", collection: "/apis/apps/v1/namespaces/{own}/replicasets", wrap: |name, pod| workload("apps/v1", "ReplicaSet", name, json!({}), pod) },
    Carrier { name: "rc", kind: "ReplicationController", collection: "/api/v1/namespaces/{own}/replicationcontrollers", wrap: |name, pod| json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name}, "spec": {"selector": {"attack": name}, "template": template(name, pod)}}) },
    Carrier { name: "job", kind: "Job", collection: "/apis/batch/v1/namespaces/{own}/jobs", wrap: |name, pod| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": restarting(name, pod)}}) },
    Carrier { name: "cron", kind: "CronJob", collection: "/apis/batch/v1/namespaces/{own}/cronjobs", wrap: |name, pod| json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": restarting(name, pod)}}}}) },
    Carrier { name: "tpl", kind: "PodTemplate", collection: "/api/v1/namespaces/{own}/podtemplates", wrap: |name, pod| json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": template(name, pod)}) },
];

fn dashed(parts: &[&str]) -> String {
    parts
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("-")
}

fn where_to(door: Door) -> &'static str {
    if door == Door::Gateway {
        "through the gateway"
    } else {
        "straight at the API server"
    }
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for evil in EVILS {
        for carrier in CARRIERS {
            for (door, credential, way, layer) in ways(Layer::Gateway, Layer::Webhook) {
                let name = dashed(&["pod", evil.control, evil.variant, carrier.name, way]);
                let object = format!("attack-{name}");
                let does = format!(
                    "Creates, {}, a {} whose pod {}.",
                    where_to(door),
                    carrier.kind,
                    evil.does
                );
                let plan = move |field: &crate::Field| {
                    let collection = field.fill(carrier.collection);
                    let body = (carrier.wrap)(&object, evil.pod());
                    let path = format!("{collection}/{object}");
                    Attack::shot(door, credential.clone(), Request::post(collection, &body))
                        .truth(Truth::Absent(path))
                };
                let technique = Technique::new(name, Family::Pods, Theorem::T2, does, plan);
                all.push(technique.stopped_by(Expected::new(layer, 403, evil.control)));
            }
        }
        all.extend(other_containers(evil));
    }
    all.extend(updates());
    all
}

/// The same in an init container, a sidecar, and an ephemeral container of a pod that runs.
fn other_containers(evil: &'static Evil) -> Vec<Technique> {
    let mut all = Vec::new();
    if evil.in_container().is_none() {
        return all;
    }
    for (door, credential, way, layer) in ways(Layer::Gateway, Layer::Webhook) {
        let kinds: &[(&str, &str, Value)] = &[
            ("init", "init container", json!({})),
            ("sidecar", "sidecar", json!({"restartPolicy": "Always"})),
        ];
        for (short, long, extra) in kinds {
            let name = dashed(&["pod", evil.control, evil.variant, short, way]);
            let object = format!("attack-{name}");
            let does = format!(
                "Creates, {}, a pod with an {long} that {}.",
                where_to(door),
                evil.does
            );
            let (credential, extra) = (credential.clone(), extra.clone());
            let plan = move |field: &crate::Field| {
                let mut container = evil.container("other").unwrap_or_default();
                if let (Value::Object(container), Value::Object(extra)) =
                    (&mut container, extra.clone())
                {
                    container.extend(extra);
                }
                let pod = good_but(&[("/initContainers", json!([container]))]);
                let collection = field.fill("/api/v1/namespaces/{own}/pods");
                let path = format!("{collection}/{object}");
                let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": object}, "spec": pod});
                Attack::shot(door, credential.clone(), Request::post(collection, &body))
                    .truth(Truth::Absent(path))
            };
            let technique = Technique::new(name, Family::Pods, Theorem::T2, does, plan);
            all.push(technique.stopped_by(Expected::new(layer, 403, evil.control)));
        }
        // Ephemeral containers cannot have ports, probes and handlers at all.
        if matches!(evil.control, "host-port" | "probe-host") {
            continue;
        }
        let name = dashed(&["pod", evil.control, evil.variant, "ephemeral", way]);
        let does = format!(
            "Puts, {}, into a running pod an ephemeral container that {}.",
            where_to(door),
            evil.does
        );
        let credential = credential.clone();
        let container_name = format!("e{}", all.len());
        let plan = move |field: &crate::Field| {
            let path = field.fill("/api/v1/namespaces/{own}/pods/attack-own");
            let container = evil.container(&container_name).unwrap_or_default();
            let patch = json!({"spec": {"ephemeralContainers": [container]}});
            let request = Request::patch(format!("{path}/ephemeralcontainers"), STRATEGIC, &patch);
            Attack::shot(door, credential.clone(), request)
                .truth(Truth::Lacks(path, "ephemeralContainers\":[".into()))
        };
        // A patch's result is known only inside the API server, so the webhook judges it on both ways.
        let technique = Technique::new(name, Family::Pods, Theorem::T2, does, plan);
        let expected = Expected::new(Layer::Webhook, 403, evil.control);
        all.push(technique.stopped_by(expected));
    }
    all
}

/// A harmless workload that is made evil afterwards.
fn updates() -> Vec<Technique> {
    let mut all = Vec::new();
    for (door, credential, way, layer) in ways(Layer::Webhook, Layer::Webhook) {
        for (kind, media_type) in [("merge", MERGE), ("strategic", STRATEGIC)] {
            let credential = credential.clone();
            let does = format!(
                "Patches, {}, a harmless Deployment so that its pods join the node's network.",
                where_to(door)
            );
            let plan = move |field: &crate::Field| {
                let path = field.fill("/apis/apps/v1/namespaces/{own}/deployments/attack-own");
                let patch = json!({"spec": {"template": {"spec": {"hostNetwork": true}}}});
                let request = Request::patch(path.as_str(), media_type, &patch);
                Attack::shot(door, credential.clone(), request).truth(Truth::Same(path))
            };
            let name = format!("pod-spoilt-by-{kind}-patch-{way}");
            let technique = Technique::new(name, Family::Pods, Theorem::T2, does, plan);
            all.push(technique.stopped_by(Expected::new(layer, 403, "host-network")));
        }
    }
    all
}
