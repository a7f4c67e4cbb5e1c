//! Services that take another's traffic, claims that take another's volume.

use serde_json::{Value, json};

use super::bad_pods::good_but;
use super::{good_pod, ways};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

struct Grab {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    theorem: Theorem,
    resource: &'static str,
    spec: fn() -> Value,
}

#[rustfmt::skip]
const GRABS: &[Grab] = &[
    Grab { control: "service-external-ip", variant: "address", does: "takes traffic to an address that is not its own", theorem: Theorem::T4, resource: "services", spec: || json!({"ports": [{"port": 443}], "externalIPs": ["203.0.113.7"]}) },
    Grab { control: "service-external-ip", variant: "node-port", does: "opens a port on every node", theorem: Theorem::T4, resource: "services", spec: || json!({"type": "NodePort", "ports": [{"port": 443}]}) },
    Grab { control: "service-external-ip", variant: "load-balancer", does: "picks a load balancer's address", theorem: Theorem::T4, resource: "services", spec: || json!({"type": "LoadBalancer", "loadBalancerIP": "203.0.113.7", "ports": [{"port": 443}]}) },
    Grab { control: "service-external-ip", variant: "name", does: "is another name for another tenant's Service", theorem: Theorem::T4, resource: "services", spec: || json!({"type": "ExternalName", "externalName": "web.globex-app.svc.cluster.local"}) },
    Grab { control: "volume-preclaimed", variant: "source", does: "copies a volume of another namespace", theorem: Theorem::T2, resource: "persistentvolumeclaims", spec: || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "globex-app"}}) },
    Grab { control: "volume-preclaimed", variant: "name", does: "names the volume that it wants", theorem: Theorem::T2, resource: "persistentvolumeclaims", spec: || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "volume-of-another"}) },
    Grab { control: "volume-preclaimed", variant: "selector", does: "selects the volume that it wants", theorem: Theorem::T2, resource: "persistentvolumeclaims", spec: || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "selector": {"matchLabels": {"of": "another"}}}) },
];

/// The same claim, carried by other kinds.
fn carried_claims() -> Vec<Technique> {
    let claim = || json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "volume-of-another"});
    let volume = json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": claim()}}});
    let pod = good_but(&[("/volumes", json!([volume]))]);
    let labels = json!({"attack": "claims"});
    let set = json!({
        "selector": {"matchLabels": labels}, "serviceName": "x",
        "template": {"metadata": {"labels": labels}, "spec": good_pod()},
        "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": claim()}],
    });
    let carriers = [
        ("pod", "/api/v1/namespaces/{own}/pods", pod),
        ("set", "/apis/apps/v1/namespaces/{own}/statefulsets", set),
    ];
    let does = "whose claim names the volume that it wants";
    carried("volume-preclaimed", does, carriers, Layer::Gateway)
}

/// Mounts a claim behind which there is a folder of the node.
fn node_claims() -> Vec<Technique> {
    let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "attack-own", "readOnly": true}});
    let pod = good_but(&[("/volumes", json!([volume]))]);
    let labels = json!({"attack": "node-claims"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    let deployment =
        json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
    let carriers = [
        ("pod", "/api/v1/namespaces/{own}/pods", pod),
        (
            "deployment",
            "/apis/apps/v1/namespaces/{own}/deployments",
            deployment,
        ),
    ];
    // What is behind a claim, only the webhook looks up.
    let does = "that mounts a claim whose volume is a folder of the node";
    carried("host-path-claim", does, carriers, Layer::Webhook)
}

/// Creates objects that a control must refuse, at the gateway by `layer`: name, path and spec of each.
fn carried(
    control: &'static str,
    what: &str,
    carriers: [(&str, &'static str, Value); 2],
    layer: Layer,
) -> Vec<Technique> {
    let mut all = Vec::new();
    for (carrier, collection, spec) in carriers {
        for (door, credential, way, layer) in ways(layer, Layer::Webhook) {
            let name = format!("{control}-by-{carrier}-{way}");
            let (object, spec) = (format!("attack-{name}"), spec.clone());
            let does = format!("Creates, at the {way}, a {carrier} {what}.");
            let plan = move |field: &Field| {
                let collection = field.fill(collection);
                let body = json!({"metadata": {"name": object}, "spec": spec});
                let path = format!("{collection}/{object}");
                Attack::shot(door, credential.clone(), Request::post(collection, &body))
                    .truth(Truth::Absent(path))
            };
            let technique = Technique::new(name, Family::Services, Theorem::T2, does, plan);
            all.push(technique.stopped_by(Expected::new(layer, 403, control)));
        }
    }
    all
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    all.extend(node_claims());
    all.extend(carried_claims());
    for grab in GRABS {
        for (door, credential, way, layer) in ways(Layer::Gateway, Layer::Webhook) {
            // The API server drops this field, whose feature is off, before anybody judges it.
            if grab.variant == "source" && door == Door::ApiServer {
                continue;
            }
            let name = format!("{}-{}-{way}", grab.control, grab.variant);
            let object = format!("attack-{name}");
            let does = format!(
                "Creates, at the {way}, one of {} that {}.",
                grab.resource, grab.does
            );
            let plan = move |field: &Field| {
                let collection =
                    field.fill(&format!("/api/v1/namespaces/{{own}}/{}", grab.resource));
                let body = json!({"metadata": {"name": object}, "spec": (grab.spec)()});
                let path = format!("{collection}/{object}");
                Attack::shot(door, credential.clone(), Request::post(collection, &body))
                    .truth(Truth::Absent(path))
            };
            all.push(
                Technique::new(name, Family::Services, grab.theorem, does, plan)
                    .stopped_by(Expected::new(layer, 403, grab.control)),
            );
        }
    }
    all
}
