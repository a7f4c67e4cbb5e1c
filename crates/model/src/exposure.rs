//! How a tenant is reached from outside: names, and kinds of Services.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::classes::{ClassList, ClassPattern};
use crate::names::NameError;

/// What of the platform's doors and disks a tenant may name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Exposure {
    /// Kinds of Services.
    #[serde(skip_serializing_if = "Services::is_default")]
    pub services: Services,
    /// Names under which it may be reached.
    #[serde(skip_serializing_if = "Hostnames::is_empty")]
    pub hostnames: Hostnames,
    /// IngressClasses; any while the list is empty.
    #[serde(skip_serializing_if = "ClassList::is_empty")]
    pub ingress_classes: ClassList,
    /// GatewayClasses; none while the list is empty.
    #[serde(skip_serializing_if = "ClassList::is_empty")]
    pub gateway_classes: ClassList,
    /// StorageClasses and VolumeAttributesClasses; any while the list is empty.
    #[serde(skip_serializing_if = "ClassList::is_empty")]
    pub storage_classes: ClassList,
}

impl Exposure {
    /// Whether everything is as it is when a Tenant says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which kinds of Services a tenant may have beside those that stay inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Services {
    /// Type `NodePort`: a port of every node.
    pub node_port: bool,
    /// Type `LoadBalancer`, with an address of the platform's choice.
    pub load_balancer: bool,
    /// Type `ExternalName`, for names outside the cluster.
    pub external_name: bool,
}

impl Services {
    /// Whether nothing of the outside is allowed.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A DNS name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads `www.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// If it is no DNS name of two labels or more in lower case.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let name = input.strip_prefix("*.").unwrap_or(input);
        if is_host(name) && name.contains('.') {
            Ok(Self(input.to_owned()))
        } else {
            Err(NameError {
                input: input.to_owned(),
                what: "hostname",
                expected: "a DNS name in lower case such as `www.example.com`, or `*.example.com` for all names below it",
            })
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => self.0 == host,
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(&input)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

/// Whether this is a DNS name as Kubernetes takes it, without a wildcard.
#[must_use]
pub fn is_host(name: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            bytes.len() <= 63
                && bytes.iter().all(|&b| alnum(b) || b == b'-')
                && bytes.first().copied().is_some_and(alnum)
                && bytes.last().copied().is_some_and(alnum)
        })
}

/// The names under which a tenant may be reached through Ingresses, Gateways and their routes.
/// Without any it has none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Hostnames {
    /// Names, and names of which all below are meant.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed: BTreeSet<HostPattern>,
    /// Names that this fits as a whole. It gives no wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_regex: Option<ClassPattern>,
}

impl Hostnames {
    /// More names are refused.
    pub const MAX_ALLOWED: usize = 100;

    /// Whether no name is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.allowed_regex.is_none()
    }

    /// Whether an object of the tenant may answer for this name, which may be a wildcard. What
    /// is no name is not allowed.
    #[must_use]
    pub fn permits(&self, host: &str) -> bool {
        let wildcard = host.strip_prefix("*.");
        is_host(wildcard.unwrap_or(host))
            && (self.allowed.iter().any(|pattern| pattern.covers(host))
                || (wildcard.is_none()
                    && self.allowed_regex.as_ref().is_some_and(|it| it.fits(host))))
    }
}

impl fmt::Display for Hostnames {
    /// As a refusal shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: Vec<String> = self
            .allowed
            .iter()
            .take(5)
            .map(|it| format!("`{}`", it.as_str()))
            .collect();
        if self.allowed.len() > shown.len() {
            shown.push(format!("{} more", self.allowed.len() - shown.len()));
        }
        if let Some(pattern) = &self.allowed_regex {
            shown.push(format!("what `{pattern}` fits"));
        }
        if shown.is_empty() {
            return f.write_str("no name");
        }
        f.write_str(&shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_is_below_it_and_a_regex_no_wildcard() {
        let names: Hostnames = serde_json::from_str(
            r#"{"allowed":["www.acme.example","*.apps.example"],"allowedRegex":"acme-.*\\.shared\\.example"}"#,
        )
        .unwrap();
        for (host, expected) in [
            ("www.acme.example", true),
            ("acme.example", false),
            ("x.www.acme.example", false),
            ("a.apps.example", true),
            ("b.a.apps.example", true),
            ("*.apps.example", true),
            ("*.a.apps.example", true),
            ("apps.example", false),
            ("*.example", false),
            ("evilapps.example", false),
            ("acme-1.shared.example", true),
            ("*.acme-1.shared.example", false),
            ("x.acme-1.shared.example", false),
            ("", false),
            ("*", false),
            (".apps.example", false),
            ("A.apps.example", false),
            ("a.apps.example.", false),
            ("a/../b.apps.example", false),
        ] {
            assert_eq!(names.permits(host), expected, "{host}");
        }
        assert!(!Hostnames::default().permits("a.example"));
        for bad in [
            "",
            "*",
            "com",
            "*.com",
            "a.b/c",
            "A.example",
            "*.*.example",
            "a..b",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
