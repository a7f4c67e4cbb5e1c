//! Kubernetes names as types. Each is checked where it is made and never again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::labels;

/// Why a string is not the name it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a {what}: expected {expected}")]
pub struct NameError {
    /// What was given.
    pub input: String,
    /// What it should have been.
    pub what: &'static str,
    /// The form that was expected.
    pub expected: &'static str,
}

const DNS_LABEL: &str =
    "at most 63 characters of a-z, 0-9 and `-`, starting and ending with a letter or digit";

/// RFC 1123 label, as Kubernetes demands of namespaces.
fn is_dns_label(s: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    s.len() <= 63
        && s.bytes().all(|b| alnum(b) || b == b'-')
        && s.bytes().next().is_some_and(alnum)
        && s.bytes().last().is_some_and(alnum)
}

/// RFC 1123 subdomain, as Kubernetes demands of most objects' names.
fn is_dns_subdomain(s: &str) -> bool {
    s.len() <= 253 && !s.is_empty() && s.split('.').all(is_dns_label)
}

/// The part of a label's key after the `/`, and a label's value if it is not empty.
fn is_qualified(s: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_alphanumeric();
    s.len() <= 63
        && s.bytes()
            .all(|b| alnum(b) || matches!(b, b'-' | b'_' | b'.'))
        && s.bytes().next().is_some_and(alnum)
        && s.bytes().last().is_some_and(alnum)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// If the input has not the form that the type demands.
            pub fn parse(input: impl Into<String>) -> Result<Self, NameError> {
                let input = input.into();
                let check: fn(&str) -> bool = $check;
                if check(&input) {
                    Ok(Self(input))
                } else {
                    Err(NameError { input, what: $what, expected: $expected })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(input: String) -> Result<Self, NameError> {
                Self::parse(input)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// The name of a Tenant object.
    TenantName, "tenant name", DNS_LABEL, is_dns_label
);
name!(
    /// The name of a Namespace.
    NamespaceName, "namespace name", DNS_LABEL, is_dns_label
);
name!(
    /// The name of a role inside a tenant, the last part of a synthetic user's name.
    RoleName, "role name", DNS_LABEL, is_dns_label
);
name!(
    /// The UID of an object.
    Uid, "UID", "1 to 63 characters of A-Z, a-z, 0-9 and `-`",
    |s| (1..=63).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
name!(
    /// What the names of a tenant's namespaces start with: a DNS label and `-`.
    Prefix, "namespace prefix", "a DNS label of at most 40 characters followed by `-`, such as `acme-`",
    |s| s.len() <= 41 && s.strip_suffix('-').is_some_and(is_dns_label)
);

name!(
    /// The name of a PriorityClass, StorageClass, RuntimeClass or another class.
    ClassName, "class name",
    "at most 253 characters of a-z, 0-9, `-` and `.`, each part starting and ending with a letter or digit",
    is_dns_subdomain
);

name!(
    /// The key of a label or of a taint.
    LabelKey, "label key",
    "a name of at most 63 letters, digits, `-`, `_` and `.`, perhaps after a domain and `/`, such as `example.com/pool`",
    |s| match s.split_once('/') {
        Some((domain, name)) => is_dns_subdomain(domain) && is_qualified(name),
        None => is_qualified(s),
    }
);
name!(
    /// The value of a label.
    LabelValue, "label value",
    "at most 63 letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit, or nothing",
    |s| s.is_empty() || is_qualified(s)
);

impl Prefix {
    /// Whether two tenants with these prefixes could both own one name.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }

    /// Whether a namespace of this name falls under the prefix.
    #[must_use]
    pub fn covers(&self, namespace: &NamespaceName) -> bool {
        namespace.as_str().starts_with(&self.0)
    }
}

/// A ServiceAccount, always with its namespace: two of one name are two identities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccountRef {
    /// The namespace it lives in.
    pub namespace: NamespaceName,
    /// Its name there.
    pub name: String,
}

impl ServiceAccountRef {
    const USERNAME: &'static str = "system:serviceaccount:";

    /// Reads `namespace/name`.
    ///
    /// # Errors
    /// If there is not exactly one `/`, or a part is not a name.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        Self::split(input, '/').ok_or_else(|| NameError {
            input: input.to_owned(),
            what: "ServiceAccount",
            expected: "`namespace/name`",
        })
    }

    /// Reads the user name that the API server gives a ServiceAccount
    /// (`system:serviceaccount:NAMESPACE:NAME`).
    #[must_use]
    pub fn from_username(username: &str) -> Option<Self> {
        Self::split(username.strip_prefix(Self::USERNAME)?, ':')
    }

    /// The user name that the API server gives this ServiceAccount.
    #[must_use]
    pub fn username(&self) -> String {
        format!("{}{}:{}", Self::USERNAME, self.namespace, self.name)
    }

    fn split(input: &str, separator: char) -> Option<Self> {
        let (namespace, name) = input.split_once(separator)?;
        let namespace = NamespaceName::parse(namespace).ok()?;
        is_dns_subdomain(name).then(|| Self {
            namespace,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for ServiceAccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The only identities that tenants' people have at the API server:
/// `bulkhead:tenant:<tenant>:<role>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyntheticUser {
    /// The tenant it acts for.
    pub tenant: TenantName,
    /// The role it acts in.
    pub role: RoleName,
}

impl SyntheticUser {
    /// Reads a user name of the synthetic form.
    #[must_use]
    pub fn parse(username: &str) -> Option<Self> {
        let (tenant, role) = username
            .strip_prefix(labels::SYNTHETIC_PREFIX)?
            .split_once(':')?;
        Some(Self {
            tenant: TenantName::parse(tenant).ok()?,
            role: RoleName::parse(role).ok()?,
        })
    }
}

impl fmt::Display for SyntheticUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}:{}",
            labels::SYNTHETIC_PREFIX,
            self.tenant,
            self.role
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_names_are_dns_labels() {
        for good in ["a", "acme-dev", "0", "a0-b"] {
            assert!(NamespaceName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "a/b",
            "ä",
            "a\n",
            long.as_str(),
        ] {
            assert!(NamespaceName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn labels_have_the_form_that_kubernetes_demands() {
        for good in ["pool", "example.com/Pool_1.x", "a"] {
            assert!(LabelKey::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "/a", "a/", "a/b/c", "-a", "a b", "EXAMPLE.com/a", &long] {
            assert!(LabelKey::parse(bad).is_err(), "{bad:?}");
        }
        assert!(LabelValue::parse("").is_ok() && LabelValue::parse("v1.2_x").is_ok());
        assert!(LabelValue::parse("a/b").is_err() && LabelValue::parse(long.as_str()).is_err());
    }

    #[test]
    fn prefixes_that_share_a_name_overlap() {
        let p = |s: &str| Prefix::parse(s).unwrap();
        assert!(p("acme-").overlaps(&p("acme-prod-")));
        assert!(p("acme-prod-").overlaps(&p("acme-")));
        assert!(!p("acme-").overlaps(&p("acm-")));
        assert!(Prefix::parse("acme").is_err());
        assert!(Prefix::parse("-").is_err());
    }

    #[test]
    fn service_accounts_keep_their_namespace() {
        let sa = ServiceAccountRef::parse("acme-ci/deployer").unwrap();
        assert_eq!(sa.username(), "system:serviceaccount:acme-ci:deployer");
        assert_eq!(ServiceAccountRef::from_username(&sa.username()), Some(sa));
        for bad in ["deployer", "/deployer", "acme-ci/", "a/b/c", "a:b"] {
            assert!(ServiceAccountRef::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn synthetic_users_are_read_strictly() {
        let user = SyntheticUser::parse("bulkhead:tenant:acme:admin").unwrap();
        assert_eq!(user.to_string(), "bulkhead:tenant:acme:admin");
        for bad in [
            "bulkhead:tenant:acme",
            "bulkhead:tenant::admin",
            "bulkhead:tenant:acme:a:b",
            "system:admin",
        ] {
            assert_eq!(SyntheticUser::parse(bad), None, "{bad}");
        }
    }
}
