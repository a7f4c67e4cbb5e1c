//! Policies that open what Bulkhead's closes, and hands on Bulkhead's own.

use serde_json::{Value, json};

use super::{APPLY, MERGE};
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/{own}/networkpolicies";
const OURS: &str = "/apis/networking.k8s.io/v1/namespaces/{own}/networkpolicies/bulkhead-isolation";

struct Wide {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    spec: fn(&Field) -> Value,
}

#[rustfmt::skip]
const WIDE: &[Wide] = &[
    Wide { control: "network-policy-widened", variant: "everything", does: "lets everything in and out", spec: |_| json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}) },
    Wide { control: "network-policy-widened", variant: "neighbour", does: "reaches another tenant's pods by the name of their namespace", spec: |field| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": field.victim.namespace}}}]}]}) },
    Wide { control: "network-policy-widened", variant: "halves", does: "joins two halves of a range that is closed", spec: |_| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/9"}}, {"ipBlock": {"cidr": "10.128.0.0/9"}}]}]}) },
    Wide { control: "network-policy-widened", variant: "not-in", does: "selects all namespaces but one that does not exist", spec: |_| json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "no-such-label", "operator": "DoesNotExist"}]}}]}]}) },
    Wide { control: "instance-metadata-reachable", variant: "address", does: "reaches the metadata service by its address", spec: |_| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80}]}]}) },
    Wide { control: "instance-metadata-reachable", variant: "v6", does: "reaches the metadata service by its other address", spec: |_| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "fd00:ec2::254/127"}}]}]}) },
    Wide { control: "instance-metadata-reachable", variant: "gap", does: "leaves everything out but the metadata service", spec: |_| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "169.254.168.0/22", "except": ["169.254.168.0/24", "169.254.170.0/23"]}}]}]}) },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for wide in WIDE {
        // By patch the gateway cannot know what comes out, so the webhook answers there too.
        let ways = [
            (Door::Gateway, Credential::Tenant, "gateway", Layer::Gateway),
            (Door::Gateway, Credential::Tenant, "applied", Layer::Webhook),
            (
                Door::ApiServer,
                Credential::Account(Account::Star),
                "api",
                Layer::Webhook,
            ),
        ];
        for (door, credential, way, layer) in ways {
            // Whose a namespace is, only the webhook looks up.
            let layer = if wide.variant == "neighbour" {
                Layer::Webhook
            } else {
                layer
            };
            let name = format!("{}-{}-{way}", wide.control, wide.variant);
            let object = format!("attack-{name}");
            let does = format!("Writes ({way}) a NetworkPolicy that {}.", wide.does);
            let plan = move |field: &Field| {
                let path = format!("{}/{object}", field.fill(POLICIES));
                let mut body = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": object}});
                if let Value::Object(body) = &mut body {
                    body.insert("spec".into(), (wide.spec)(field));
                }
                let request = if way == "applied" {
                    Request::patch(format!("{path}?fieldManager=attack"), APPLY, &body)
                } else {
                    Request::post(field.fill(POLICIES), &body)
                };
                Attack::shot(door, credential.clone(), request).truth(Truth::Absent(path))
            };
            all.push(
                Technique::new(name, Family::Network, Theorem::T2, does, plan)
                    .stopped_by(Expected::new(layer, 403, wide.control)),
            );
        }
    }
    all.extend(ours());
    all
}

/// Bulkhead's own policy is taken away, emptied, or shadowed by one that looks like it.
fn ours() -> Vec<Technique> {
    type Plan = fn(&Field) -> Request;
    #[rustfmt::skip]
    let table: [(&str, &str, Plan); 4] = [
        ("delete", "Deletes the policy that isolates its namespace", |field| Request::delete(field.fill(OURS))),
        ("all", "Deletes all policies of its namespace at once", |field| Request::delete(field.fill(POLICIES))),
        ("unselect", "Makes the policy that isolates its namespace select no pod", |field| Request::patch(field.fill(OURS), MERGE, &json!({"spec": {"podSelector": {"matchLabels": {"no": "pod"}}}}))),
        ("lookalike", "Creates a policy under a name of Bulkhead's", |field| Request::post(field.fill(POLICIES), &json!({"metadata": {"name": "bulkhead-attack"}, "spec": {"podSelector": {}}}))),
    ];
    let mut all = Vec::new();
    for (variant, does, request) in table {
        let ways = [
            (Door::Gateway, Credential::Tenant, "gateway"),
            (Door::ApiServer, Credential::Account(Account::Star), "api"),
        ];
        for (door, credential, way) in ways {
            let name = format!("open-network-{variant}-{way}");
            let plan = move |field: &Field| {
                Attack::shot(door, credential.clone(), request(field))
                    .truth(Truth::Same(field.fill(OURS)))
            };
            all.push(
                Technique::new(
                    name,
                    Family::Network,
                    Theorem::T2,
                    format!("{does}, at the {way}."),
                    plan,
                )
                .stopped_by(Expected::new(Layer::Guard, 403, "open-network")),
            );
        }
    }
    all
}
