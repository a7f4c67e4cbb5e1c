//! The sources of the control plane, carried inside this binary so that an installed `bulkhead`
//! can build it without a checkout.

use std::io;
use std::path::Path;

use crate::version::{GO_MOD, Version, VersionError};

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../control-plane/", $path)))),*]
    };
}

/// Path and text of each file under `control-plane/`, `go.mod` aside.
const FILES: &[(&str, &str)] = sources![
    "go.sum",
    "cmd/etcd/main.go",
    "cmd/kube-apiserver/main.go",
    "cmd/kube-controller-manager/main.go",
    "cmd/kube-scheduler/main.go",
    "cmd/kubectl/main.go",
    "cmd/kwok/main.go",
];

/// What only real nodes run. It is built apart, so that nobody waits for it who wants none.
const NODE_FILES: &[(&str, &str)] = sources![
    "go.sum",
    "containerd/go.mod",
    "containerd/go.sum",
    "node/kubelet/main.go",
    "node/probe/main.go",
    "node/probe/tar.go",
    "node/probe/web.go",
];

/// One run of `go build`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build {
    /// The folder of the module, below the sources.
    pub(super) module: &'static str,
    pub(super) packages: &'static [&'static str],
    pub(super) tags: &'static str,
    /// Whether C may be used, if there is a compiler.
    pub(super) with_c: bool,
}

const BUILD: Build = Build {
    module: "",
    packages: &[],
    tags: "",
    with_c: true,
};

/// Programs that are built together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// The control plane's.
    ControlPlane,
    /// A real node's.
    Node,
}

impl Set {
    /// The programs that must be there after a build.
    pub(super) fn programs(self) -> Vec<&'static str> {
        match self {
            Self::ControlPlane => super::names(),
            Self::Node => super::NodeProgram::ALL.map(super::NodeProgram::name).into(),
        }
    }

    /// What is built, one run of `go build` after the other.
    pub(super) fn builds(self) -> &'static [Build] {
        match self {
            Self::ControlPlane => &[Build {
                packages: &["./cmd/..."],
                ..BUILD
            }],
            Self::Node => &[
                Build {
                    packages: &["./node/kubelet"],
                    ..BUILD
                },
                // It runs where there is no C library.
                Build {
                    packages: &["./node/probe"],
                    with_c: false,
                    ..BUILD
                },
                Build {
                    module: "containerd",
                    packages: &[
                        "github.com/containerd/containerd/v2/cmd/containerd",
                        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                        "github.com/containerd/containerd/v2/cmd/ctr",
                    ],
                    // Half of it would be for other storage than a node has.
                    tags: "no_btrfs,no_devmapper,no_zfs,no_tracing",
                    with_c: false,
                },
            ],
        }
    }

    /// Every file, `go.mod` first.
    pub(super) fn files(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let files = match self {
            Self::ControlPlane => FILES,
            Self::Node => NODE_FILES,
        };
        std::iter::once(("go.mod", GO_MOD)).chain(files.iter().copied())
    }

    /// The name of these sources' folder in the cache: another text, another folder.
    pub(super) fn key(self) -> Result<String, VersionError> {
        Ok(format!(
            "v{}-{:016x}",
            Version::of_sandbox()?,
            hash(self.files())
        ))
    }
}

/// Writes the sources of a set into a folder.
pub(super) fn write(set: Set, to: &Path) -> io::Result<()> {
    for (path, text) in set.files() {
        let path = to.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// What `go build` is told of the version: the sources alone do not carry it.
pub(super) fn linker_flags(version: Version) -> String {
    const PACKAGE: &str = "k8s.io/component-base/version";
    let Version { major, minor, .. } = version;
    format!(
        "-s -w -X {PACKAGE}.gitVersion=v{version} -X {PACKAGE}.gitMajor={major} -X {PACKAGE}.gitMinor={minor}"
    )
}

/// FNV-1a over names and texts. It tells versions of our own files apart and guards nothing.
fn hash<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (path, text) in files {
        for byte in path.bytes().chain([0]).chain(text.bytes()).chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::binaries::{NodeProgram, Program};

    #[test]
    fn no_source_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../control-plane");
        let modules = ["go.mod", "go.sum", "containerd/go.mod", "containerd/go.sum"];
        let mut on_disk = BTreeSet::from(modules.map(str::to_owned));
        for folder in ["cmd", "node"] {
            for program in std::fs::read_dir(root.join(folder)).unwrap() {
                for file in std::fs::read_dir(program.unwrap().path()).unwrap() {
                    let path = file.unwrap().path();
                    on_disk.insert(path.strip_prefix(&root).unwrap().display().to_string());
                }
            }
        }
        let embedded: BTreeSet<_> = [Set::ControlPlane, Set::Node]
            .into_iter()
            .flat_map(Set::files)
            .map(|(path, _)| path.to_owned())
            .collect();
        assert_eq!(embedded, on_disk);
        for program in Program::ALL {
            assert!(
                embedded.contains(&format!("cmd/{}/main.go", program.name())),
                "{program:?}"
            );
        }
        for program in [NodeProgram::Kubelet, NodeProgram::Probe] {
            assert!(
                embedded.contains(&format!("node/{}/main.go", program.name())),
                "{program:?}"
            );
        }
    }

    #[test]
    fn any_change_makes_another_key() {
        let base = [("a", "1"), ("b", "2")];
        for other in [
            [("a", "1"), ("b", "3")],
            [("a", "1b"), ("", "2")],
            [("b", "2"), ("a", "1")],
        ] {
            assert_ne!(hash(base.into_iter()), hash(other.into_iter()));
        }
        let keys = [Set::ControlPlane, Set::Node].map(|set| set.key().unwrap());
        assert!(keys.iter().all(|key| key.starts_with("v1.")));
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn the_linker_is_told_the_version() {
        let version = Version {
            major: 1,
            minor: 36,
            patch: 3,
        };
        assert!(linker_flags(version).contains(".gitVersion=v1.36.3 "));
    }
}
