//! The ledger: what may never be shared or exceeded is taken from it before it is granted.
//!
//! It is a set of small cluster-scoped objects (`LedgerEntry`), each named after what it is about,
//! so that two who want the same thing meet at one name, and written under optimistic concurrency
//! alone. The ledger is the truth; annotations and statuses that say the same are copies.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::names::{NameError, TenantName, Uid};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClaimKind {
    /// Prefixes of namespaces' names. One entry for all that start with the same word, because
    /// `acme-` and `acme-prod-` exclude each other; its data hold each prefix with its holder.
    Prefix,
    /// A host name of an Ingress, a Gateway or a route.
    Hostname,
    /// A node, by name.
    Node,
    /// A block of user and group ids.
    IdBlock,
    /// SELinux category pairs.
    SelinuxLevels,
    /// What of a tenant's limits is in use or lent out; the key is the Tenant's UID.
    Quota,
}

impl ClaimKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Prefix,
        Self::Hostname,
        Self::Node,
        Self::IdBlock,
        Self::SelinuxLevels,
        Self::Quota,
    ];

    /// As it stands in `spec.kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "Prefix",
            Self::Hostname => "Hostname",
            Self::Node => "Node",
            Self::IdBlock => "IdBlock",
            Self::SelinuxLevels => "SelinuxLevels",
            Self::Quota => "Quota",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    ///
    /// # Errors
    /// If it is no kind of this version.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == input);
        found.ok_or_else(|| NameError {
            input: input.to_owned(),
            what: "kind of a ledger entry",
            expected: "one of Prefix, Hostname, Node, IdBlock, SelinuxLevels, Quota",
        })
    }
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose a claim is: a Tenant by name and UID. A Tenant made anew under an old name is another
/// holder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the Tenant.
    pub tenant: TenantName,
    /// UID of the Tenant.
    pub uid: Uid,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tenant, self.uid)
    }
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerEntry {
    /// What it is about.
    pub kind: ClaimKind,
    /// Which of them, in clear.
    pub key: String,
    /// Whose it is. None for entries that many share: their data say who has what.
    pub holder: Option<Holder>,
    /// What else is to be remembered; each kind has its own form.
    pub data: Map<String, Value>,
}

impl LedgerEntry {
    /// The name of its object.
    #[must_use]
    pub fn name(&self) -> String {
        entry_name(self.kind, &self.key)
    }
}

/// Longest key that stands in an object's name as it is.
const CLEAR: usize = 200;

/// The name of the object of an entry: one for each kind and key, and a legal one for any key.
///
/// A key that is a DNS subdomain is part of the name (`node.worker-1`); of any other it is a
/// hash (`hostname-hash.6b86…`), and the key stands in the entry's spec alone. A kind's word has no
/// `-hash`, so the two forms never meet.
#[must_use]
pub fn entry_name(kind: ClaimKind, key: &str) -> String {
    let word = kind.as_str().to_ascii_lowercase();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        label.len() <= 63
            && bytes.iter().all(|&b| alnum(b) || b == b'-')
            && bytes.first().copied().is_some_and(alnum)
            && bytes.last().copied().is_some_and(alnum)
    };
    if key.len() <= CLEAR && key.split('.').all(label) {
        return format!("{word}.{key}");
    }
    let digest = Sha256::digest(key.as_bytes());
    let hash: String = digest
        .iter()
        .take(28)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{word}-hash.{hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_keys_stand_in_the_name_and_others_as_a_hash() {
        let name = entry_name;
        assert_eq!(name(ClaimKind::Node, "worker-1"), "node.worker-1");
        assert_eq!(
            name(ClaimKind::Hostname, "shop.acme.example"),
            "hostname.shop.acme.example"
        );
        assert_eq!(
            name(ClaimKind::IdBlock, "x"),
            "idblock.x",
            "a word in lower case"
        );
        for odd in [
            "*.acme.example",
            "acme-",
            "",
            "a..b",
            "A",
            "ä",
            "a/b",
            &"a".repeat(201),
        ] {
            let name = name(ClaimKind::Hostname, odd);
            assert!(name.starts_with("hostname-hash."), "{odd}: {name}");
        }
    }

    #[test]
    fn kinds_read_what_they_write() {
        for kind in ClaimKind::ALL {
            assert_eq!(ClaimKind::parse(kind.as_str()), Ok(kind));
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
        assert!(ClaimKind::parse("prefix").is_err());
    }

    proptest! {
        /// The API server takes every name, and no two things share one.
        #[test]
        fn names_are_legal_and_distinct(a in ".{0,300}", b in "[-a-z0-9.]{0,260}", i in 0..6usize, j in 0..6usize) {
            let (first, second) = (entry_name(ClaimKind::ALL[i], &a), entry_name(ClaimKind::ALL[j], &b));
            for name in [&first, &second] {
                prop_assert!(name.len() <= 253);
                prop_assert!(name.split('.').all(|label| crate::NamespaceName::parse(label).is_ok()), "{name}");
            }
            prop_assert_eq!(first == second, (i, &a) == (j, &b));
        }
    }
}
