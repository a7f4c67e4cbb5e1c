//! What a document is: an object of Kubernetes, or something else that lies beside such.

use crate::node::{Data, Node};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content<'a> {
    /// An object of Kubernetes.
    Object {
        /// Its `apiVersion`.
        api_version: &'a str,
        /// Its `kind`.
        kind: &'a str,
        /// All of it.
        node: &'a Node,
    },
    /// Something else.
    Other(NotManifest),
}

/// What is no object of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotManifest {
    /// Without `apiVersion` and `kind`.
    NoKind,
    /// What Kustomize reads.
    Kustomization,
    /// What Helm reads: `Chart.yaml`.
    Chart,
}

impl NotManifest {
    /// What it is, in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoKind => "no Kubernetes object: it has no `apiVersion` and `kind`",
            Self::Kustomization => "a kustomization; check what `kustomize build` makes of it",
            Self::Chart => "a chart's metadata; check what `helm template` makes of it",
        }
    }
}

impl<'a> Content<'a> {
    /// Every object of a document. The elements of lists are objects of their own, as they are to
    /// `kubectl`.
    #[must_use]
    pub fn of(document: &'a Node) -> Vec<Self> {
        let field = |key| document.get(key).and_then(Node::as_str);
        let (Some(api_version), Some(kind)) = (field("apiVersion"), field("kind")) else {
            let chart = document.get("apiVersion").is_some() && document.get("version").is_some();
            let other = if chart {
                NotManifest::Chart
            } else {
                NotManifest::NoKind
            };
            return vec![Self::Other(other)];
        };
        if api_version.starts_with("kustomize.config.k8s.io/") {
            return vec![Self::Other(NotManifest::Kustomization)];
        }
        match document.get("items").map(|items| &items.data) {
            Some(Data::List(items, _)) if kind.ends_with("List") => {
                items.iter().flat_map(Self::of).collect()
            }
            _ => vec![Self::Object {
                api_version,
                kind,
                node: document,
            }],
        }
    }
}

/// Whether a text that is no YAML is the template of some: Helm's, or another with `{{ }}`.
#[must_use]
pub fn looks_like_a_template(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        !line.starts_with('#') && line.contains("{{") && line.contains("}}")
            || line.starts_with("{{")
            || line.starts_with("{%")
    })
}
