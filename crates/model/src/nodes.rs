//! Where a tenant's pods run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::{LabelKey, LabelValue};

/// `spec.nodes` of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Nodes {
    /// On which nodes.
    #[serde(default)]
    pub placement: Placement,
    /// Keys of taints of the platform that pods may tolerate.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_tolerations: BTreeSet<LabelKey>,
    /// Schedulers that pods may name beside Kubernetes' own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_schedulers: BTreeSet<String>,
}

impl Nodes {
    /// Whether nothing differs from a tenant that says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// On which nodes a tenant's pods run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// On those of everybody.
    #[default]
    Shared,
    /// On nodes that an administrator has labelled so. Others may run there too.
    Labelled(NodeSelector),
    /// On nodes that are the tenant's alone: those with these labels are claimed for it.
    Dedicated(NodeSelector),
}

/// Labels that a node must have, at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<LabelKey, LabelValue>",
    into = "BTreeMap<LabelKey, LabelValue>"
)]
pub struct NodeSelector(BTreeMap<LabelKey, LabelValue>);

/// A selector without labels would select every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a selector of nodes needs at least one label")]
pub struct NoLabels;

impl NodeSelector {
    /// A selector of the nodes that have all of these labels.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(labels: BTreeMap<LabelKey, LabelValue>) -> Result<Self, NoLabels> {
        if labels.is_empty() {
            Err(NoLabels)
        } else {
            Ok(Self(labels))
        }
    }

    /// The labels, in the order of their keys.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether a node with these labels is selected.
    #[must_use]
    pub fn selects<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.labels().all(|(key, value)| label(key) == Some(value))
    }

    /// Whether every node that this selects is one that the other selects too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(key, value)| self.0.get(key) == Some(value))
    }
}

impl TryFrom<BTreeMap<LabelKey, LabelValue>> for NodeSelector {
    type Error = NoLabels;
    fn try_from(labels: BTreeMap<LabelKey, LabelValue>) -> Result<Self, NoLabels> {
        Self::new(labels)
    }
}

impl From<NodeSelector> for BTreeMap<LabelKey, LabelValue> {
    fn from(selector: NodeSelector) -> Self {
        selector.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: &str) -> NodeSelector {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_selector_asks_for_all_of_its_labels() {
        let pool = selector(r#"{"pool":"acme","zone":"a"}"#);
        let node = |labels: &'static [(&str, &str)]| {
            move |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
        };
        assert!(pool.selects(node(&[("pool", "acme"), ("zone", "a"), ("x", "y")])));
        assert!(!pool.selects(node(&[("pool", "acme")])));
        assert!(!pool.selects(node(&[("pool", "acme"), ("zone", "b")])));
        assert!(serde_json::from_str::<NodeSelector>("{}").is_err());
        assert!(serde_json::from_str::<NodeSelector>(r#"{"a b":"c"}"#).is_err());
    }

    #[test]
    fn more_labels_select_within_fewer() {
        let (wide, narrow) = (selector(r#"{"p":"a"}"#), selector(r#"{"p":"a","z":"1"}"#));
        assert!(narrow.is_within(&wide) && !wide.is_within(&narrow));
        assert!(wide.is_within(&wide));
        assert!(!selector(r#"{"p":"b"}"#).is_within(&wide));
    }

    #[test]
    fn placements_survive_the_annotation() {
        for json in [
            r#"{"placement":"Shared"}"#,
            r#"{"placement":{"Dedicated":{"pool":"acme"}},"allowedTolerations":["gpu"],"allowedSchedulers":["batch"]}"#,
        ] {
            let nodes: Nodes = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&nodes).unwrap(), json);
        }
        assert!(Nodes::default().is_default());
    }
}
