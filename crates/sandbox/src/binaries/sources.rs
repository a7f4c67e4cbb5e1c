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

/// Every file, `go.mod` first.
pub(super) fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(("go.mod", GO_MOD)).chain(FILES.iter().copied())
}

/// The name of these sources' folder in the cache: another text, another folder.
pub(super) fn key() -> Result<String, VersionError> {
    Ok(format!(
        "v{}-{:016x}",
        Version::of_sandbox()?,
        hash(files())
    ))
}

/// Writes the sources into a folder.
pub(super) fn write(to: &Path) -> io::Result<()> {
    for (path, text) in files() {
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
    use crate::binaries::Program;

    #[test]
    fn no_source_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../control-plane");
        let mut on_disk = BTreeSet::from(["go.mod".to_owned(), "go.sum".to_owned()]);
        for entry in std::fs::read_dir(root.join("cmd")).unwrap() {
            on_disk.insert(format!(
                "cmd/{}/main.go",
                entry.unwrap().file_name().display()
            ));
        }
        let embedded: BTreeSet<_> = files().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(embedded, on_disk);
        for program in Program::ALL {
            assert!(
                embedded.contains(&format!("cmd/{}/main.go", program.name())),
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
        assert!(key().unwrap().starts_with("v1."));
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
