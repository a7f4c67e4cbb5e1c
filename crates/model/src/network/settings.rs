//! What a Tenant says of its network, and the rules that follow.

use serde::{Deserialize, Serialize};

use super::block::{Block, Family};
use super::flows::{Flow, Home, Peers, all_ports};
use super::ranges::Ranges;
use super::rule::{Direction, Peer, Port, Protocol, TrafficRule};
use super::selector::LabelSelector;
use crate::labels;
use crate::names::{TenantName, Uid};

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

/// Where instance metadata is served: all that is link-local, and EC2's address for IPv6.
const METADATA_V4: [&str; 1] = ["169.254.0.0/16"];
const METADATA_V6: [&str; 3] = ["64:ff9b::a9fe:0/112", "fd00:ec2::254/128", "fe80::/10"];

/// Link-local addresses that hand out nothing of the node's: the agent of EKS Pod Identity, and
/// the DNS cache of the node.
const HARMLESS_V4: [&str; 2] = ["169.254.20.10/32", "169.254.170.23/32"];
const HARMLESS_V6: [&str; 1] = ["fd00:ec2::23/128"];

/// Which traffic reaches a tenant's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum NetworkIsolation {
    /// Only from the tenant's own namespaces, and what is allowed beside that.
    #[default]
    DefaultDeny,
    /// Any; the instance metadata service may still be blocked.
    Open,
}

/// A tenant's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Network {
    /// Which traffic there is at all.
    pub isolation: NetworkIsolation,
    /// Whether pods are kept from the metadata service of their node's instance.
    pub block_instance_metadata: bool,
    /// Whether the tenant's namespaces talk to each other, or each to itself only.
    pub within_tenant: bool,
    /// What may reach the pods beside that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_ingress: Vec<TrafficRule>,
    /// What the pods may reach beside that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_egress: Vec<TrafficRule>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            isolation: NetworkIsolation::DefaultDeny,
            block_instance_metadata: true,
            within_tenant: true,
            allow_ingress: Vec::new(),
            allow_egress: Vec::new(),
        }
    }
}

impl Network {
    /// Whether everything is as it is when a Tenant says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The directions in which a policy of ours is needed.
    #[must_use]
    pub fn directions(&self) -> &'static [Direction] {
        match (self.isolation, self.block_instance_metadata) {
            (NetworkIsolation::DefaultDeny, _) => &[Direction::Ingress, Direction::Egress],
            (NetworkIsolation::Open, true) => &[Direction::Egress],
            (NetworkIsolation::Open, false) => &[],
        }
    }

    /// All traffic that the tenant's pods may have, as the rules of our policy in each of its
    /// namespaces.
    #[must_use]
    pub fn rules(&self, direction: Direction, tenant: &TenantName, uid: &Uid) -> Vec<TrafficRule> {
        let own = Peer::pods(
            self.within_tenant.then(|| {
                // Name and UID: a namespace that is left of an older tenant of this name is foreign.
                LabelSelector::of(&[
                    (labels::TENANT, tenant.as_str()),
                    (labels::TENANT_UID, uid.as_str()),
                ])
            }),
            (!self.within_tenant).then(LabelSelector::default),
        );
        let to = |peers| TrafficRule {
            peers,
            ports: Vec::new(),
        };
        match (self.isolation, direction) {
            (NetworkIsolation::DefaultDeny, Direction::Ingress) => {
                [vec![to(vec![own])], self.allow_ingress.clone()].concat()
            }
            (NetworkIsolation::DefaultDeny, Direction::Egress) => {
                let mut internet = outside(&NOT_V4, &NOT_V6);
                if !self.block_instance_metadata {
                    internet.extend(metadata_service());
                }
                let rules = vec![to(vec![own]), cluster_dns(), to(internet)];
                [rules, self.allow_egress.clone()].concat()
            }
            (NetworkIsolation::Open, Direction::Egress) if self.block_instance_metadata => {
                let mut peers = vec![Peer::pods(Some(LabelSelector::default()), None)];
                peers.extend(outside(&METADATA_V4, &METADATA_V6));
                peers.extend(blocks(&HARMLESS_V4));
                vec![to(peers)]
            }
            (NetworkIsolation::Open, _) => vec![TrafficRule::default()],
        }
    }

    /// The addresses of instance metadata that a rule of an administrator opens although they
    /// are to be blocked; none if it opens none.
    #[must_use]
    pub fn opens_metadata(&self, rule: &TrafficRule) -> Option<Flow> {
        if !self.block_instance_metadata {
            return None;
        }
        let nowhere = Home {
            namespace: "",
            own: &[],
            labels: &[],
        };
        let metadata = metadata_addresses();
        rule.flows(&nowhere)
            .iter()
            .find_map(|flow| metadata.iter().find_map(|it| flow.intersection(it)))
    }
}

/// The addresses of instance metadata, on every port, without those that are harmless.
#[must_use]
pub fn metadata_addresses() -> Vec<Flow> {
    let set = |list: &[&str], but: &[&str]| addresses(list).minus(&addresses(but));
    [
        (Family::V4, set(&METADATA_V4, &HARMLESS_V4)),
        (Family::V6, set(&METADATA_V6, &HARMLESS_V6)),
    ]
    .map(|(family, addresses)| Flow {
        peers: Peers::Addresses(family, addresses),
        ports: all_ports(),
    })
    .into()
}

fn addresses(list: &[&str]) -> Ranges {
    blocks(list)
        .iter()
        .fold(Ranges::NONE, |all, peer| match peer {
            Peer::IpBlock(block) => all.union(block.addresses()),
            Peer::Pods { .. } => all,
        })
}

/// Every address but these.
fn outside(not_v4: &[&str], not_v6: &[&str]) -> Vec<Peer> {
    [("0.0.0.0/0", not_v4), ("::/0", not_v6)]
        .into_iter()
        .filter_map(|(all, not)| Block::parse(all, not).ok())
        .map(Peer::IpBlock)
        .collect()
}

fn metadata_service() -> Vec<Peer> {
    blocks(&["169.254.169.254/32", "fd00:ec2::254/128"])
}

fn blocks(list: &[&str]) -> Vec<Peer> {
    list.iter()
        .filter_map(|cidr| Block::parse(cidr, &[]).ok())
        .map(Peer::IpBlock)
        .collect()
}

fn cluster_dns() -> TrafficRule {
    TrafficRule {
        peers: vec![Peer::pods(
            Some(LabelSelector::of(&[(super::NAMESPACE_NAME, "kube-system")])),
            Some(LabelSelector::of(&[("k8s-app", "kube-dns")])),
        )],
        ports: vec![
            Port::number(Protocol::Udp, 53),
            Port::number(Protocol::Tcp, 53),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_is_a_block() {
        for list in [
            &NOT_V4[..],
            &METADATA_V4,
            &HARMLESS_V4,
            &NOT_V6,
            &METADATA_V6,
            &HARMLESS_V6,
        ] {
            assert_eq!(blocks(list).len(), list.len(), "{list:?}");
        }
        assert_eq!(outside(&NOT_V4, &NOT_V6).len(), 2);
        assert_eq!(outside(&METADATA_V4, &METADATA_V6).len(), 2);
        assert_eq!(metadata_service().len(), 2);
        // What is blocked for its own sake is never open by default.
        let (v4, v6) = (addresses(&METADATA_V4), addresses(&METADATA_V6));
        assert!(v4.minus(&addresses(&NOT_V4)).is_empty());
        assert!(v6.minus(&addresses(&NOT_V6)).is_empty());
    }

    #[test]
    fn administrators_open_what_is_harmless_and_no_metadata() {
        let rule = |cidr: &str| TrafficRule {
            peers: blocks(&[cidr]),
            ports: vec![Port::number(Protocol::Tcp, 80)],
        };
        let network = Network::default();
        for (cidr, opens) in [
            ("169.254.169.254/32", true),
            ("0.0.0.0/0", true),
            ("169.254.170.0/24", true),
            ("fd00:ec2::/32", true),
            ("169.254.170.23/32", false),
            ("169.254.20.10/32", false),
            ("fd00:ec2::23/128", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(
                network.opens_metadata(&rule(cidr)).is_some(),
                opens,
                "{cidr}"
            );
        }
        assert!(network.opens_metadata(&TrafficRule::default()).is_some());
        let open = Network {
            block_instance_metadata: false,
            ..Network::default()
        };
        assert!(open.opens_metadata(&rule("169.254.169.254/32")).is_none());
    }
}
