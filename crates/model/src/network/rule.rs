//! The rules of a NetworkPolicy, read whole or not at all: a field that is not known here could
//! open what the rest does not.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::finding::FieldPath;
use crate::network::block::Block;
use crate::network::selector::{self, LabelSelector};
use crate::view::{Fields, Tree};

/// Something that is no NetworkPolicy's, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Where, from the rule.
    pub path: FieldPath,
    /// What was expected: a clause.
    pub message: String,
}

impl RuleError {
    pub(super) fn new(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            path,
            message: message.into(),
        }
    }
}

/// Which way traffic goes, seen from the pods that a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the pods.
    Ingress,
    /// From the pods.
    Egress,
}

impl Direction {
    /// The field of a policy's spec with the rules.
    #[must_use]
    pub fn rules(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The field of a rule with the peers.
    #[must_use]
    pub fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// The word of `policyTypes`.
    #[must_use]
    pub fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

/// One rule: traffic with any of the peers on any of the ports. An empty list means all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrafficRule {
    /// With whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// On which ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// One side of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Peer {
    /// Addresses.
    IpBlock(Block),
    /// Pods.
    Pods {
        /// Of which namespaces; of the policy's own if unset.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespaces: Option<LabelSelector>,
        /// Which of their pods; all if unset.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pods: Option<LabelSelector>,
    },
}

/// Ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Port {
    /// TCP if a policy leaves it out.
    pub protocol: Protocol,
    /// Which; all if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRange>,
}

/// What `port` and `endPort` say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum PortRange {
    /// From the first to the last, both included.
    Numbers(u16, u16),
    /// The port of this name, whatever number a pod gives to it.
    Name(String),
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol with ports.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl FromStr for Protocol {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or(())
    }
}

impl TrafficRule {
    /// Reads a rule of a policy.
    ///
    /// # Errors
    /// If a field is unknown, or of another type or form than Kubernetes has.
    pub fn parse<T: Tree>(rule: Fields<'_, T>, direction: Direction) -> Result<Self, RuleError> {
        let peers = direction.peers();
        known(rule, &FieldPath::default(), &[peers, "ports"])?;
        let read = |field| items(rule, field, FieldPath::default());
        Ok(Self {
            peers: read(peers)?
                .map(|(path, fields)| Peer::parse(fields, &path))
                .collect::<Result<_, _>>()?,
            ports: read("ports")?
                .map(|(path, fields)| Port::parse(fields, &path))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The rule as a NetworkPolicy has it.
    #[must_use]
    pub fn to_json(&self, direction: Direction) -> Value {
        let mut rule = Map::new();
        if !self.peers.is_empty() {
            let peers = self.peers.iter().map(Peer::to_json).collect();
            rule.insert(direction.peers().to_owned(), Value::Array(peers));
        }
        if !self.ports.is_empty() {
            let ports = self.ports.iter().map(Port::to_json).collect();
            rule.insert("ports".to_owned(), Value::Array(ports));
        }
        Value::Object(rule)
    }
}

impl Peer {
    /// Pods of the namespaces and of the labels that are selected.
    #[must_use]
    pub fn pods(namespaces: Option<LabelSelector>, pods: Option<LabelSelector>) -> Self {
        Self::Pods { namespaces, pods }
    }

    /// Reads a peer that stands at `path`.
    ///
    /// # Errors
    /// As [`TrafficRule::parse`].
    pub fn parse<T: Tree>(peer: Fields<'_, T>, path: &FieldPath) -> Result<Self, RuleError> {
        known(peer, path, &["ipBlock", "namespaceSelector", "podSelector"])?;
        let select = |field: &'static str| match peer.get(field) {
            None => Ok(None),
            Some(value) => selector::parse(
                Fields::of(Some(value)),
                value.has_fields(),
                &path.clone().then(field),
            )
            .map(Some),
        };
        let (namespaces, pods) = (select("namespaceSelector")?, select("podSelector")?);
        match peer.get("ipBlock") {
            None if namespaces.is_none() && pods.is_none() => Err(RuleError::new(
                path.clone(),
                "names no peer: expected ipBlock, namespaceSelector or podSelector",
            )),
            None => Ok(Self::Pods { namespaces, pods }),
            Some(_) if namespaces.is_some() || pods.is_some() => Err(RuleError::new(
                path.clone().then("ipBlock"),
                "stands beside a selector: expected one of them",
            )),
            Some(_) => block(peer.at("ipBlock"), &path.clone().then("ipBlock")).map(Self::IpBlock),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::IpBlock(block) if block.except().is_empty() => {
                json!({"ipBlock": {"cidr": block.cidr()}})
            }
            Self::IpBlock(block) => {
                json!({"ipBlock": {"cidr": block.cidr(), "except": block.except()}})
            }
            Self::Pods { namespaces, pods } => {
                let mut peer = Map::new();
                for (field, selector) in [("namespaceSelector", namespaces), ("podSelector", pods)]
                {
                    if let Some(selector) = selector {
                        peer.insert(field.to_owned(), json!(selector));
                    }
                }
                Value::Object(peer)
            }
        }
    }
}

fn block<T: Tree>(fields: Fields<'_, T>, path: &FieldPath) -> Result<Block, RuleError> {
    known(fields, path, &["cidr", "except"])?;
    let at = |message: String| RuleError::new(path.clone(), message);
    let cidr = fields
        .str("cidr")
        .ok_or_else(|| at("has no `cidr`".to_owned()))?;
    let list = fields.list("except");
    let except: Vec<&str> = list.iter().filter_map(|value| value.text()).collect();
    let is_list = fields
        .get("except")
        .is_none_or(|value| value.elements().is_some());
    if !is_list || except.len() != list.len() {
        return Err(at("`except` is no list of strings".to_owned()));
    }
    Block::parse(cidr, &except).map_err(at)
}

impl Port {
    /// A number of a protocol.
    #[must_use]
    pub fn number(protocol: Protocol, number: u16) -> Self {
        Self {
            protocol,
            port: Some(PortRange::Numbers(number, number)),
        }
    }

    fn parse<T: Tree>(fields: Fields<'_, T>, path: &FieldPath) -> Result<Self, RuleError> {
        known(fields, path, &["protocol", "port", "endPort"])?;
        let at = |field: &'static str, message: &str| {
            Err(RuleError::new(path.clone().then(field), message))
        };
        let protocol = match fields.get("protocol") {
            None => Protocol::Tcp,
            Some(value) => match value.text().map(Protocol::from_str) {
                Some(Ok(protocol)) => protocol,
                _ => return at("protocol", "expected TCP, UDP or SCTP"),
            },
        };
        let number = |field| {
            fields
                .get(field)
                .and_then(|value| value.whole())
                .and_then(|number| u16::try_from(number).ok())
                .filter(|number| *number > 0)
        };
        let port = match (fields.get("port"), fields.str("port")) {
            (None, _) => None,
            (_, Some(name)) if !name.is_empty() => Some(PortRange::Name(name.to_owned())),
            _ => match number("port") {
                Some(first) => Some(PortRange::Numbers(first, first)),
                None => {
                    return at(
                        "port",
                        "expected a number from 1 to 65535, or a port's name",
                    );
                }
            },
        };
        let port = match (port, fields.get("endPort")) {
            (port, None) => port,
            (Some(PortRange::Numbers(first, _)), Some(_)) => match number("endPort") {
                Some(last) if last >= first => Some(PortRange::Numbers(first, last)),
                _ => return at("endPort", "expected a number from `port` to 65535"),
            },
            _ => return at("endPort", "stands without a number in `port`"),
        };
        Ok(Self { protocol, port })
    }

    fn to_json(&self) -> Value {
        let mut port = Map::new();
        port.insert("protocol".to_owned(), self.protocol.as_str().into());
        match &self.port {
            None => {}
            Some(PortRange::Name(name)) => {
                port.insert("port".to_owned(), name.as_str().into());
            }
            Some(PortRange::Numbers(first, last)) => {
                port.insert("port".to_owned(), (*first).into());
                if last != first {
                    port.insert("endPort".to_owned(), (*last).into());
                }
            }
        }
        Value::Object(port)
    }
}

/// The elements of a list that are objects, each with its path; an error for anything else.
fn items<'a, T: Tree>(
    fields: Fields<'a, T>,
    field: &'static str,
    path: FieldPath,
) -> Result<impl Iterator<Item = (FieldPath, Fields<'a, T>)>, RuleError> {
    let path = path.then(field);
    if fields
        .get(field)
        .is_some_and(|value| value.elements().is_none())
    {
        return Err(RuleError::new(path, "is no list"));
    }
    let list = fields.list(field);
    if let Some(index) = list.iter().position(|value| !value.has_fields()) {
        return Err(RuleError::new(path.index(index), "is no object"));
    }
    Ok(list
        .iter()
        .enumerate()
        .map(move |(index, value)| (path.clone().index(index), Fields::of(Some(value)))))
}

pub(super) fn known<T: Tree>(
    fields: Fields<'_, T>,
    path: &FieldPath,
    names: &[&str],
) -> Result<(), RuleError> {
    match fields.iter().find(|(field, _)| !names.contains(field)) {
        None => Ok(()),
        Some((field, _)) => Err(RuleError::new(
            path.clone(),
            format!("has the unknown field {field:?}"),
        )),
    }
}
