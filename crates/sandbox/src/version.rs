//! The Kubernetes version of the sandbox. It stands in one place: `control-plane/go.mod`.

use std::fmt;
use std::str::FromStr;

/// `control-plane/go.mod`, as it was when this binary was made.
pub(crate) const GO_MOD: &str = include_str!("../../../control-plane/go.mod");

/// How many minor versions back an API server can behave like.
const EMULATION_REACH: u32 = 3;

/// A released version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Always 1 so far.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
    /// The patch.
    pub patch: u32,
}

/// Why a version cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// `go.mod` names no Kubernetes, or none of the form `v1.36.3`.
    #[error(
        "`control-plane/go.mod` does not require `k8s.io/kubernetes` at a version like `v1.36.3`"
    )]
    GoMod,
    /// A version to emulate that is no `MAJOR.MINOR`, or too far from ours.
    #[error("cannot emulate `{input}`: expected a version from {oldest} to {newest}")]
    Emulate {
        /// What was asked for.
        input: String,
        /// The oldest that works.
        oldest: String,
        /// The newest that works.
        newest: String,
    },
}

impl Version {
    /// The version that the sandbox runs.
    ///
    /// # Errors
    /// If `go.mod` was edited into something unreadable.
    pub fn of_sandbox() -> Result<Self, VersionError> {
        Self::in_go_mod(GO_MOD).ok_or(VersionError::GoMod)
    }

    fn in_go_mod(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            line.trim()
                .strip_prefix("k8s.io/kubernetes v")?
                .parse()
                .ok()
        })
    }

    /// Checks a version that the API server is to behave like, as `--emulate` takes it.
    ///
    /// # Errors
    /// If the input is not `MAJOR.MINOR`, newer than this version, or more than three minors older.
    pub fn emulate(self, input: &str) -> Result<String, VersionError> {
        let oldest = self.minor.saturating_sub(EMULATION_REACH);
        let minor = input
            .strip_prefix(&format!("{}.", self.major))
            .and_then(number);
        match minor {
            Some(minor) if (oldest..=self.minor).contains(&minor) => Ok(input.to_owned()),
            _ => Err(VersionError::Emulate {
                input: input.to_owned(),
                oldest: format!("{}.{oldest}", self.major),
                newest: format!("{}.{}", self.major, self.minor),
            }),
        }
    }
}

/// Digits only: `u32::from_str` would take `+36`.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `1.36.3`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut parts = text.split('.').map(number);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(VersionError::GoMod),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_mod_names_the_version() {
        let version = Version::of_sandbox().unwrap();
        assert!(GO_MOD.contains(&format!("k8s.io/kubernetes v{version}\n")));
        assert!(version.major == 1 && version.minor >= 30, "{version}");
    }

    #[test]
    fn a_go_mod_without_a_release_is_refused() {
        for bad in [
            "",
            "k8s.io/kubernetes v1.36",
            "k8s.io/kubernetes v1.36.3-rc.0",
            "k8s.io/kubernetes v1.+6.3",
        ] {
            assert_eq!(Version::in_go_mod(bad), None, "{bad}");
        }
        let replaced = "k8s.io/kubernetes => ../fork\n\tk8s.io/kubernetes v1.2.3\n";
        assert_eq!(
            Version::in_go_mod(replaced),
            Some(Version {
                major: 1,
                minor: 2,
                patch: 3
            })
        );
    }

    #[test]
    fn emulation_reaches_three_minors_back() {
        let version = Version {
            major: 1,
            minor: 36,
            patch: 3,
        };
        for good in ["1.33", "1.34", "1.36"] {
            assert_eq!(version.emulate(good).as_deref(), Ok(good));
        }
        for bad in [
            "1.32",
            "1.37",
            "2.33",
            "1.33.1",
            "v1.33",
            "1.",
            "1.+33",
            "",
            "kube=1.33",
        ] {
            let message = version.emulate(bad).unwrap_err().to_string();
            assert!(
                message.contains(&format!("`{bad}`")) && message.contains("1.33 to 1.36"),
                "{message}"
            );
        }
    }
}
