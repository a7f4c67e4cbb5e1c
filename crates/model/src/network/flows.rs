//! Traffic as sets: what rules allow, and what of it other rules do not.

use std::fmt;

use super::block::Family;
use super::ranges::Ranges;
use super::rule::{Peer, Port, PortRange, Protocol, TrafficRule};
use super::selection::{Label, Selection};

/// The label that the API server sets on every namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Some peers on some ports. All rules together are a union of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// With whom.
    pub peers: Peers,
    /// On which ports: see [`ports`].
    pub ports: Ranges,
}

/// A set of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Addresses of a family.
    Addresses(Family, Ranges),
    /// Pods by the labels of their namespace and their own.
    Pods {
        /// Which namespaces.
        namespaces: Selection,
        /// Which of their pods.
        pods: Selection,
    },
}

/// Where a rule stands: what its words mean depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// The policy's namespace.
    pub namespace: &'a str,
    /// Names of namespaces whose labels are known to hold `labels`, that of the policy among them.
    pub own: &'a [&'a str],
    /// Labels that all of them hold.
    pub labels: &'a [(&'a str, &'a str)],
}

/// So many pieces of a union are looked at; whoever asks more is told so.
const PIECES: usize = 4096;

/// The union fell into more pieces than anybody could follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooComplex;

/// All ports of all protocols: those of TCP, UDP and SCTP one after another, and one number for
/// every protocol that has no ports.
#[must_use]
pub fn all_ports() -> Ranges {
    Ranges::of(0, 3 << 16)
}

/// The numbers of a protocol's ports in [`all_ports`].
#[must_use]
pub fn ports(protocol: Protocol, first: u16, last: u16) -> Ranges {
    let base = match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1 << 16,
        Protocol::Sctp => 2 << 16,
    };
    Ranges::of(base + u128::from(first), base + u128::from(last))
}

impl Port {
    /// A port that goes by its name counts as all of its protocol: each pod says for itself
    /// what number that is.
    fn numbers(&self) -> Ranges {
        match self.port {
            None | Some(PortRange::Name(_)) => ports(self.protocol, 0, u16::MAX),
            Some(PortRange::Numbers(first, last)) => ports(self.protocol, first, last),
        }
    }
}

impl TrafficRule {
    /// All that the rule allows in a policy that stands at `home`.
    #[must_use]
    pub fn flows(&self, home: &Home<'_>) -> Vec<Flow> {
        let numbers = if self.ports.is_empty() {
            all_ports()
        } else {
            self.ports
                .iter()
                .fold(Ranges::NONE, |all, port| all.union(&port.numbers()))
        };
        let peers = if self.peers.is_empty() {
            everybody()
        } else {
            self.peers.iter().flat_map(|peer| peer.set(home)).collect()
        };
        peers
            .into_iter()
            .map(|peers| Flow {
                peers,
                ports: numbers.clone(),
            })
            .filter(|flow| !flow.is_empty())
            .collect()
    }
}

fn everybody() -> Vec<Peers> {
    vec![
        Peers::Addresses(Family::V4, Family::V4.all()),
        Peers::Addresses(Family::V6, Family::V6.all()),
        Peers::Pods {
            namespaces: Selection::ALL,
            pods: Selection::ALL,
        },
    ]
}

impl Peer {
    fn set(&self, home: &Home<'_>) -> Vec<Peers> {
        match self {
            Self::IpBlock(block) => {
                vec![Peers::Addresses(block.family(), block.addresses().clone())]
            }
            Self::Pods { namespaces, pods } => {
                let namespaces = namespaces.as_ref().map_or_else(
                    || Selection::ALL.and(NAMESPACE_NAME, &Label::one_of([home.namespace])),
                    |selector| selector.selection(),
                );
                let pods = pods
                    .as_ref()
                    .map_or(Selection::ALL, |selector| selector.selection());
                home.settle(namespaces)
                    .into_iter()
                    .map(|namespaces| Peers::Pods {
                        namespaces,
                        pods: pods.clone(),
                    })
                    .collect()
            }
        }
    }
}

impl Home<'_> {
    /// Puts in what is known of namespaces that go by their names.
    fn settle(&self, namespaces: Selection) -> Vec<Selection> {
        let Some(names) = namespaces.label(NAMESPACE_NAME).only() else {
            return vec![namespaces];
        };
        let one = |name: &String| {
            let it = namespaces
                .clone()
                .and(NAMESPACE_NAME, &Label::one_of([name.as_str()]));
            if self.own.contains(&name.as_str()) {
                self.labels.iter().fold(it, |it, (key, value)| {
                    it.and(*key, &Label::one_of([*value]))
                })
            } else {
                it
            }
        };
        names.iter().map(one).collect()
    }
}

impl Flow {
    /// Whether it is no traffic at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
            || match &self.peers {
                Peers::Addresses(_, addresses) => addresses.is_empty(),
                Peers::Pods { namespaces, pods } => namespaces.is_empty() || pods.is_empty(),
            }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let peers = match (&self.peers, &other.peers) {
            (Peers::Addresses(family, here), Peers::Addresses(of, there)) if family == of => {
                Peers::Addresses(*family, here.intersection(there))
            }
            (
                Peers::Pods { namespaces, pods },
                Peers::Pods {
                    namespaces: their_namespaces,
                    pods: their_pods,
                },
            ) => Peers::Pods {
                namespaces: namespaces.intersection(their_namespaces),
                pods: pods.intersection(their_pods),
            },
            _ => return None,
        };
        let ports = self.ports.intersection(&other.ports);
        Some(Self { peers, ports }).filter(|flow| !flow.is_empty())
    }

    /// What is here and not there, as flows that do not overlap.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<Self> {
        let flow = |peers, ports: &Ranges| Self {
            peers,
            ports: ports.clone(),
        };
        let other_ports = self.ports.minus(&other.ports);
        let mut out = match (&self.peers, &other.peers) {
            (Peers::Addresses(family, here), Peers::Addresses(of, there)) if family == of => vec![
                flow(Peers::Addresses(*family, here.minus(there)), &self.ports),
                flow(
                    Peers::Addresses(*family, here.intersection(there)),
                    &other_ports,
                ),
            ],
            (
                Peers::Pods { namespaces, pods },
                Peers::Pods {
                    namespaces: their_namespaces,
                    pods: their_pods,
                },
            ) => {
                let both = namespaces.intersection(their_namespaces);
                let peers = |namespaces: &Selection, pods| Peers::Pods {
                    namespaces: namespaces.clone(),
                    pods,
                };
                let outside = namespaces.minus(their_namespaces).into_iter();
                let mut out: Vec<Self> = outside
                    .map(|it| flow(peers(&it, pods.clone()), &self.ports))
                    .collect();
                let outside = pods.minus(their_pods).into_iter();
                out.extend(outside.map(|it| flow(peers(&both, it), &self.ports)));
                out.push(flow(
                    peers(&both, pods.intersection(their_pods)),
                    &other_ports,
                ));
                out
            }
            _ => vec![self.clone()],
        };
        out.retain(|flow| !flow.is_empty());
        out
    }
}

/// What the first flows hold that none of the others does.
///
/// # Errors
/// If the answer would be in more than a few thousand pieces.
pub fn beyond(flows: Vec<Flow>, limits: &[Flow]) -> Result<Vec<Flow>, TooComplex> {
    limits.iter().try_fold(flows, |left, limit| {
        let mut out = Vec::with_capacity(left.len());
        for flow in left {
            out.extend(flow.minus(limit));
            if out.len() > PIECES {
                return Err(TooComplex);
            }
        }
        Ok(out)
    })
}

impl fmt::Display for Flow {
    /// One example of the peers, and of the ports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peers {
            Peers::Addresses(family, ranges) => match ranges.as_slice() {
                [] => f.write_str("nobody")?,
                [(low, high), ..] if low == high => f.write_str(&family.show(*low))?,
                [(low, high), ..] => {
                    write!(f, "{} to {}", family.show(*low), family.show(*high))?;
                }
            },
            Peers::Pods { namespaces, .. } => match namespaces.label(NAMESPACE_NAME).only() {
                Some(names) => {
                    let names: Vec<&str> = names.iter().map(String::as_str).take(3).collect();
                    write!(f, "pods of the namespace {}", names.join(", "))?;
                }
                None => f.write_str("pods of namespaces of other tenants")?,
            },
        }
        match self.ports.as_slice() {
            [(0, last)] if *last == 3 << 16 => f.write_str(" on every port"),
            [(first, last), ..] => {
                let protocol = match first >> 16 {
                    0 => "TCP",
                    1 => "UDP",
                    2 => "SCTP",
                    _ => return f.write_str(" by protocols without ports"),
                };
                let (first, last) = (first & 0xffff, (*last).min(first | 0xffff) & 0xffff);
                if first == last {
                    write!(f, " on {protocol} {first}")
                } else {
                    write!(f, " on {protocol} {first} to {last}")
                }
            }
            [] => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
