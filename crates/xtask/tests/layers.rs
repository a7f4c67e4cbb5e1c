//! ARCHITECTURE.md's layer rules, held against what cargo says of the workspace.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// A crate's kind, which decides what else it may touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Pure,
    Edge,
    App,
    Dev,
}

/// Each crate, its kind, and which of ours it may depend on.
const LAYERS: &[(&str, Kind, &[&str])] = &[
    ("model", Kind::Pure, &[]),
    ("protobuf", Kind::Pure, &["model"]),
    ("psp", Kind::Pure, &["model"]),
    ("api", Kind::Pure, &["model"]),
    ("controls", Kind::Pure, &["model"]),
    ("manifests", Kind::Pure, &["model"]),
    ("report", Kind::Pure, &[]),
    (
        "check",
        Kind::Pure,
        &[
            "api",
            "controls",
            "manifests",
            "model",
            "psp",
            "rego",
            "report",
        ],
    ),
    ("rego", Kind::Pure, &["model"]),
    ("isolation", Kind::Pure, &["model", "api"]),
    ("scope", Kind::Pure, &["model"]),
    ("cluster", Kind::Edge, &["model", "api", "isolation"]),
    ("serve", Kind::Edge, &[]),
    ("attack", Kind::Edge, &["model"]),
    ("sandbox", Kind::Edge, &[]),
    ("oracle", Kind::Dev, &[]),
    (
        "webhook",
        Kind::App,
        &[
            "api",
            "cluster",
            "controls",
            "isolation",
            "model",
            "psp",
            "rego",
            "serve",
        ],
    ),
    (
        "controller",
        Kind::App,
        &[
            "api",
            "cluster",
            "controls",
            "isolation",
            "model",
            "rego",
            "serve",
        ],
    ),
    (
        "gateway",
        Kind::App,
        &[
            "cluster",
            "controls",
            "manifests",
            "model",
            "protobuf",
            "scope",
            "serve",
        ],
    ),
    (
        "cli",
        Kind::App,
        &[
            "api",
            "attack",
            "check",
            "cluster",
            "controller",
            "controls",
            "gateway",
            "isolation",
            "manifests",
            "model",
            "psp",
            "rego",
            "report",
            "sandbox",
            "serve",
            "webhook",
        ],
    ),
    (
        "e2e",
        Kind::Dev,
        &[
            "attack", "controls", "model", "psp", "sandbox", "scope", "serve",
        ],
    ),
    (
        "xtask",
        Kind::Dev,
        &[
            "api",
            "attack",
            "cli",
            "controls",
            "isolation",
            "model",
            "scope",
            "rego",
            "serve",
            "webhook",
        ],
    ),
];

/// What does I/O, keeps time or draws lots: out of a pure crate's reach, directly or not.
const IMPURE: &[&str] = &[
    "hyper",
    "kube-client",
    "kube-runtime",
    "mio",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

fn metadata() -> Metadata {
    MetadataCommand::new().exec().unwrap()
}

fn ours(name: &str) -> Option<&str> {
    name.strip_prefix("bulkhead-")
}

#[test]
fn every_crate_has_a_layer_and_every_layer_a_crate() {
    let metadata = metadata();
    let found: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|package| ours(package.name.as_str()).unwrap())
        .collect();
    let listed: BTreeSet<&str> = LAYERS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(found, listed);
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        assert_eq!(
            ours(package.name.as_str()),
            Some(folder),
            "folder and name differ"
        );
    }
}

#[test]
fn crates_depend_on_what_their_layer_allows() {
    for package in metadata().workspace_packages() {
        let name = ours(package.name.as_str()).unwrap();
        let (_, _, allowed) = LAYERS.iter().find(|(layer, ..)| *layer == name).unwrap();
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development)
        {
            if let Some(theirs) = ours(&dependency.name) {
                assert!(
                    allowed.contains(&theirs),
                    "`{name}` may not depend on `{theirs}`"
                );
            }
        }
    }
}

#[test]
fn pure_crates_reach_no_input_or_output() {
    let metadata = metadata();
    let names: BTreeMap<&PackageId, &str> = metadata
        .packages
        .iter()
        .map(|p| (&p.id, p.name.as_str()))
        .collect();
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    for (name, kind, _) in LAYERS.iter().filter(|(_, kind, _)| *kind == Kind::Pure) {
        let root = metadata
            .workspace_packages()
            .iter()
            .find(|p| ours(p.name.as_str()) == Some(name))
            .unwrap()
            .id
            .clone();
        let mut seen = BTreeSet::from([root.clone()]);
        let mut queue = vec![root];
        while let Some(id) = queue.pop() {
            assert!(
                !IMPURE.contains(&names[&id]),
                "the {kind:?} crate `{name}` reaches `{}`",
                names[&id]
            );
            let node = nodes.iter().find(|node| node.id == id).unwrap();
            for dep in &node.deps {
                let counts = dep
                    .dep_kinds
                    .iter()
                    .any(|k| k.kind == DependencyKind::Normal);
                if counts && seen.insert(dep.pkg.clone()) {
                    queue.push(dep.pkg.clone());
                }
            }
        }
    }
}

#[test]
fn only_cluster_uses_the_kubernetes_client() {
    for package in metadata().workspace_packages() {
        let name = ours(package.name.as_str()).unwrap();
        let uses = package
            .dependencies
            .iter()
            .any(|d| d.name == "kube" || d.name == "kube-client");
        assert!(
            !uses || ["cluster", "e2e"].contains(&name),
            "`{name}` uses the Kubernetes client"
        );
    }
}

#[test]
fn no_crate_of_ours_has_features() {
    for package in metadata().workspace_packages() {
        assert!(
            package.features.is_empty(),
            "`{}`: a feature could change a decision",
            package.name
        );
    }
}

#[test]
fn pure_crates_deny_what_is_not_pure() {
    for package in metadata().workspace_packages() {
        let name = ours(package.name.as_str()).unwrap();
        let (_, kind, _) = LAYERS.iter().find(|(layer, ..)| *layer == name).unwrap();
        if *kind == Kind::Pure {
            let lib = package.manifest_path.parent().unwrap().join("src/lib.rs");
            let text = std::fs::read_to_string(&lib).unwrap();
            assert!(
                text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"),
                "{lib} does not deny the disallowed methods and types"
            );
        }
    }
}
