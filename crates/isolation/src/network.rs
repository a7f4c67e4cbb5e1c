//! The NetworkPolicy of an isolated tenant.

use bulkhead_model::{NamespaceName, Tenant, labels};
use serde_json::{Value, json};

use crate::labels_of;

/// Where no tenant's pod connects to, but for pods of its own tenant: the node and its metadata
/// service (link-local), and private ranges, in which other tenants' pods, nodes, the API
/// server and the platform's own services have their addresses. A cluster's pod range is not
/// known here, so all ranges that are in use for pods are left out, those of carriers
/// (100.64.0.0/10) and of benchmarks (198.18.0.0/15) as well, which EKS takes for pods.
const NOT_V4: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
];

/// The same for IPv6; fc00::/7 holds fd00:ec2::254, the metadata service, too. Those
/// under 64:ff9b::/96 are ranges from above as a NAT64 gateway translates them.
const NOT_V6: [&str; 7] = [
    "64:ff9b::6440:0/106",
    "64:ff9b::a00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b::ac10:0/108",
    "64:ff9b::c0a8:0/112",
    "fc00::/7",
    "fe80::/10",
];

/// Traffic within the tenant, DNS, and to the internet. One policy with both directions named
/// denies all that it does not list. Policies only add up: a tenant has no right to write its own.
pub(crate) fn isolation(tenant: &Tenant, namespace: &NamespaceName) -> Value {
    // Name and UID: a namespace that is left of an older tenant of this name is foreign.
    let own = json!([{
        "namespaceSelector": {
            "matchLabels": {labels::TENANT: tenant.name, labels::TENANT_UID: tenant.uid},
        },
    }]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "bulkhead-isolation",
            "namespace": namespace,
            "labels": labels_of(tenant),
        },
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": own}],
            "egress": [
                {"to": own},
                {
                    "to": [{
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "kube-system"},
                        },
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }],
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                },
                {
                    "to": [
                        {"ipBlock": {"cidr": "0.0.0.0/0", "except": NOT_V4}},
                        {"ipBlock": {"cidr": "::/0", "except": NOT_V6}},
                    ],
                },
            ],
        },
    })
}
