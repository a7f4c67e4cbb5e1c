//! Paths of the node that a tenant may read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// A folder of the node that a tenant's pods may mount read-only, with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPathPrefix(String);

impl HostPathPrefix {
    /// What nobody may read, nor anything above or below: there lie other tenants' Secrets, the
    /// node's credentials, its processes and devices, and sockets, which obey whoever reaches
    /// them and ask for no leave to write.
    pub const NEVER: [&'static str; 11] = [
        "/boot",
        "/dev",
        "/etc/kubernetes",
        "/proc",
        "/root",
        "/run",
        "/var/lib/containerd",
        "/var/lib/docker",
        "/var/lib/etcd",
        "/var/lib/kubelet",
        "/var/run",
    ];

    /// The longest prefix, in bytes.
    pub const MAX: usize = 255;

    /// Reads a prefix.
    ///
    /// # Errors
    /// If it is no absolute path in its shortest form, or holds or lies in one of [`Self::NEVER`].
    pub fn parse(input: impl Into<String>) -> Result<Self, NameError> {
        let input = input.into();
        let plain = segments(&input).map(|parts| {
            parts
                .iter()
                .fold(String::new(), |path, part| path + "/" + part)
        });
        let whole = plain.as_deref() == Some(input.as_str());
        let secret = Self::NEVER
            .iter()
            .any(|never| below(&input, never) || below(never, &input));
        if whole && !input.is_empty() && input.len() <= Self::MAX && !secret {
            Ok(Self(input))
        } else {
            Err(NameError {
                input,
                what: "path that a tenant may read",
                expected: "an absolute path without `.`, `..`, `//` or a slash at its end, such as `/srv/models`, that neither is nor holds nor lies in what keeps credentials, processes or sockets (`/`, `/etc/kubernetes`, `/proc`, `/run`, `/var/lib/kubelet`, …)",
            })
        }
    }

    /// Whether a path of the node is this folder or lies below it, by whole segments. A path with
    /// `..` lies nowhere.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let (Some(ours), Some(theirs)) = (segments(&self.0), segments(path)) else {
            return false;
        };
        theirs.starts_with(&ours)
    }
}

/// The segments of an absolute path as the kernel walks it; none if it is not absolute, or leads
/// upwards.
fn segments(path: &str) -> Option<Vec<&str>> {
    let rest = path.strip_prefix('/')?;
    let parts: Vec<&str> = rest
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let odd = |part: &&str| *part == ".." || part.contains('\0');
    (!parts.iter().any(odd)).then_some(parts)
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder == "/")
}

impl fmt::Display for HostPathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HostPathPrefix {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(input)
    }
}

impl From<HostPathPrefix> for String {
    fn from(prefix: HostPathPrefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_a_whole_path_that_holds_no_secrets() {
        for good in [
            "/srv/models",
            "/opt",
            "/usr/share/zoneinfo",
            "/etc/ssl/certs",
            "/var/lib/data",
        ] {
            assert!(HostPathPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "srv",
            "/srv/",
            "//srv",
            "/srv/../etc",
            "/srv/./x",
            "/..",
            "/etc",
            "/var",
            "/var/lib",
            "/proc",
            "/proc/1",
            "/run/containerd",
            "/var/run",
            "/var/lib/kubelet/pods",
        ] {
            assert!(HostPathPrefix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_lies_below_by_whole_segments() {
        let prefix = HostPathPrefix::parse("/srv/models").unwrap();
        for (path, expect) in [
            ("/srv/models", true),
            ("/srv/models/", true),
            ("/srv//models/./a", true),
            ("/srv/models-secret", false),
            ("/srv", false),
            ("/", false),
            ("/srv/models/../other", false),
            ("/srv/models/..", false),
            ("srv/models", false),
            ("", false),
        ] {
            assert_eq!(prefix.has(path), expect, "{path}");
        }
    }

    proptest! {
        /// The kernel's walk is the judge.
        #[test]
        fn what_lies_below_is_there_when_walked(path in "(/(srv|models|\\.|\\.\\.|a|)){0,6}") {
            let prefix = HostPathPrefix::parse("/srv/models").unwrap();
            let mut walked: Vec<&str> = Vec::new();
            for part in path.split('/') {
                match part {
                    "" | "." => {}
                    ".." => { walked.pop(); }
                    name => walked.push(name),
                }
            }
            if prefix.has(&path) {
                prop_assert!(walked.starts_with(&["srv", "models"]), "{}", path);
            }
        }
    }
}
