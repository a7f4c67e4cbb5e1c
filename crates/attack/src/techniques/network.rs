//! Policies that open what Bulkhead's closes, and hands on Bulkhead's own.

use serde_json::{Value, json};

use super::{APPLY, MERGE, named, ways};
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

/// Created at both doors, and applied at the gateway. By patch the gateway cannot know what comes
/// out, so the webhook answers there too.
fn written() -> [(Door, Credential, &'static str, Layer); 3] {
    let [gateway, api] = ways(Layer::Gateway, Layer::Webhook);
    let applied = (Door::Gateway, Credential::Tenant, "applied", Layer::Webhook);
    [gateway, applied, api]
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for wide in WIDE {
        for (door, credential, way, layer) in written() {
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
        for (door, credential, way, layer) in ways(Layer::Guard, Layer::Guard) {
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
                .stopped_by(Expected::new(layer, 403, "open-network")),
            );
        }
    }
    all
}

struct Opening {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    collection: &'static str,
    object: fn(&Field) -> Value,
}

const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/{own}/ingresses";
const SERVICES: &str = "/api/v1/namespaces/{own}/services";
const CLAIMS: &str = "/api/v1/namespaces/{own}/persistentvolumeclaims";

fn paths() -> Value {
    json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]})
}

#[rustfmt::skip]
const OPENINGS: &[Opening] = &[
    Opening { control: "hostname-taken", variant: "host", does: "answers for another tenant's name", collection: INGRESSES, object: |field| json!({"spec": {"rules": [{"host": format!("www.{}.example", field.victim.tenant), "http": paths()}]}}) },
    Opening { control: "hostname-taken", variant: "no-host", does: "answers for every name", collection: INGRESSES, object: |_| json!({"spec": {"rules": [{"http": paths()}]}}) },
    Opening { control: "hostname-taken", variant: "default", does: "answers for every name that nobody else has", collection: INGRESSES, object: |_| json!({"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}) },
    Opening { control: "hostname-taken", variant: "wildcard", does: "takes a name's whole domain", collection: INGRESSES, object: |_| json!({"spec": {"rules": [{"host": "*.example", "http": paths()}]}}) },
    Opening { control: "hostname-taken", variant: "tls", does: "takes over the encryption of another's name", collection: INGRESSES, object: |field| json!({"spec": {"tls": [{"hosts": [format!("www.{}.example", field.victim.tenant)], "secretName": "x"}], "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}) },
    Opening { control: "hostname-taken", variant: "record", does: "has a record made for another tenant's name", collection: SERVICES, object: |field| json!({"metadata": {"annotations": {"external-dns.alpha.kubernetes.io/hostname": format!("www.{}.example", field.victim.tenant)}}, "spec": {"clusterIP": "None", "ports": [{"port": 443}]}}) },
    Opening { control: "volume-preclaimed", variant: "node", does: "makes its volume on a node of its choice", collection: CLAIMS, object: |_| json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "node-1"}}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}) },
    Opening { control: "load-balancer-annotation", variant: "metal", does: "shares another's address of a load balancer", collection: SERVICES, object: |_| json!({"metadata": {"annotations": {"metallb.io/allow-shared-ip": "globex"}}, "spec": {"ports": [{"port": 80}]}}) },
    Opening { control: "load-balancer-annotation", variant: "global", does: "shares a Service with those of its name in other clusters", collection: SERVICES, object: |_| json!({"metadata": {"annotations": {"service.cilium.io/global": "true"}}, "spec": {"ports": [{"port": 80}]}}) },
    Opening { control: "load-balancer-annotation", variant: "group", does: "joins another's load balancer", collection: INGRESSES, object: |_| json!({"metadata": {"annotations": {"alb.ingress.kubernetes.io/group.name": "shared"}}, "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}}) },
    Opening { control: "load-balancer-annotation", variant: "scheme", does: "turns a balancer to the internet", collection: SERVICES, object: |_| json!({"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"}}, "spec": {"ports": [{"port": 80}]}}) },
    Opening { control: "load-balancer-annotation", variant: "unknown", does: "uses an annotation that nobody knows yet", collection: SERVICES, object: |_| json!({"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-future": "x"}}, "spec": {"ports": [{"port": 80}]}}) },
    Opening { control: "storage-class-unlisted", variant: "empty", does: "takes any volume without a class", collection: CLAIMS, object: |_| json!({"spec": {"storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}) },
];

/// Doors and disks that are not the tenant's.
pub(super) fn doors() -> Vec<Technique> {
    let mut all = Vec::new();
    for door in OPENINGS {
        for (way_in, credential, way, layer) in written() {
            let name = format!("{}-{}-{way}", door.control, door.variant);
            let object = format!("attack-{name}");
            let kind = match door.collection {
                INGRESSES => ("networking.k8s.io/v1", "Ingress"),
                SERVICES => ("v1", "Service"),
                _ => ("v1", "PersistentVolumeClaim"),
            };
            let does = format!("Writes ({way}) an object of {} that {}.", kind.1, door.does);
            let plan = move |field: &Field| {
                let collection = field.fill(door.collection);
                let path = format!("{collection}/{object}");
                let mut body = (door.object)(field);
                named(&mut body, &object);
                if let Value::Object(body) = &mut body {
                    body.insert("apiVersion".into(), kind.0.into());
                    body.insert("kind".into(), kind.1.into());
                }
                let request = if way == "applied" {
                    Request::patch(format!("{path}?fieldManager=attack"), APPLY, &body)
                } else {
                    Request::post(collection, &body)
                };
                Attack::shot(way_in, credential.clone(), request).truth(Truth::Absent(path))
            };
            all.push(
                Technique::new(name, Family::Network, Theorem::T4, does, plan)
                    .stopped_by(Expected::new(layer, 403, door.control)),
            );
        }
    }
    all.extend(endpoints());
    all
}

/// Where a Service's traffic goes.
fn endpoints() -> Vec<Technique> {
    type Body = fn() -> Value;
    #[rustfmt::skip]
    let table: [(&str, &str, &str, Body); 3] = [
        ("node", "Points a Service at a node's kubelet", "/api/v1/namespaces/{own}/endpoints", || json!({"metadata": {"name": "attack-endpoint"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 10250}]}]})),
        ("slice", "Points a Service at the metadata service", "/apis/discovery.k8s.io/v1/namespaces/{own}/endpointslices", || json!({"metadata": {"name": "attack-endpoint", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv6", "endpoints": [{"addresses": ["fd00:ec2::254"]}], "ports": [{"port": 80}]})),
        ("name", "Points a Service at a name of the control plane", "/apis/discovery.k8s.io/v1/namespaces/{own}/endpointslices", || json!({"metadata": {"name": "attack-endpoint"}, "addressType": "FQDN", "endpoints": [{"addresses": ["kubernetes.default.svc"]}], "ports": [{"port": 443}]})),
    ];
    table
        .into_iter()
        .map(|(variant, does, collection, body)| {
            let plan = move |field: &Field| {
                let collection = field.fill(collection);
                let path = format!("{collection}/attack-endpoint");
                let star = Credential::Account(Account::Star);
                Attack::shot(Door::ApiServer, star, Request::post(collection, &body()))
                    .truth(Truth::Absent(path))
            };
            Technique::new(
                format!("foreign-endpoint-{variant}-api"),
                Family::Network,
                Theorem::T4,
                format!("{does}, with every right in its namespace."),
                plan,
            )
            .stopped_by(Expected::new(Layer::Guard, 403, "foreign-endpoint"))
        })
        .collect()
}
