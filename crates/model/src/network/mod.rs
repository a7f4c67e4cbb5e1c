//! What a tenant's pods may talk to: the settings, the rules that follow from them, and the
//! arithmetic that tells whether other rules go beyond.
//!
//! NetworkPolicies only add up, so a tenant's own may say nothing that ours does not say already.
//! That is decided exactly, as an inclusion of sets: addresses and ports are sets of numbers,
//! pods are sets of labels.

mod block;
mod flows;
mod ranges;
mod rule;
mod selection;
mod selector;
mod settings;

pub use block::{Block, Family};
pub use flows::{Flow, Home, NAMESPACE_NAME, Peers, TooComplex, all_ports, beyond, ports};
pub use ranges::Ranges;
pub use rule::{Direction, Peer, Port, PortRange, Protocol, RuleError, TrafficRule};
pub use selection::{Label, Selection};
pub use selector::{LabelSelector, Operator, Requirement};
pub use settings::{Network, NetworkIsolation, metadata_addresses};
