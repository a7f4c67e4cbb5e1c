//! Which identities outside the cluster's own a tenant's ServiceAccounts may take.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Allow-lists of `spec.serviceAccounts`. Empty lists allow nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ServiceAccounts {
    /// Audiences that tokens may be made for, beside the API server and the gateway.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub token_audiences: BTreeSet<String>,
    /// Roles of the cloud that ServiceAccounts may ask for, as their annotations write them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub iam_roles: BTreeSet<String>,
    /// Signers whose certificates and trust bundles pods may project.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub certificate_signers: BTreeSet<String>,
}

impl ServiceAccounts {
    /// Signers whose certificates the API server or kubelets take for a component's: on no list.
    pub const NEVER_SIGNERS: [&'static str; 4] = [
        "kubernetes.io/kube-apiserver-client",
        "kubernetes.io/kube-apiserver-client-kubelet",
        "kubernetes.io/kubelet-serving",
        "kubernetes.io/legacy-unknown",
    ];

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this can be an audience: visible ASCII, at most 256 characters.
    #[must_use]
    pub fn is_audience(text: &str) -> bool {
        (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    }

    /// Whether this can be a role: the characters of ARNs, mail addresses and UUIDs; no wildcard.
    #[must_use]
    pub fn is_iam_role(text: &str) -> bool {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_:/-".contains(&b);
        (1..=2048).contains(&text.len()) && text.bytes().all(legal)
    }

    /// Whether this is a signer that may be on a list: `domain/path`, none of
    /// [`Self::NEVER_SIGNERS`].
    #[must_use]
    pub fn is_signer(text: &str) -> bool {
        let domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
        let path = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        text.len() <= 571
            && !Self::NEVER_SIGNERS.contains(&text)
            && text.split_once('/').is_some_and(|(host, rest)| {
                !host.is_empty()
                    && host.bytes().all(domain)
                    && !rest.is_empty()
                    && rest.bytes().all(path)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_whole_names_and_no_patterns() {
        for (good, expected) in [
            (ServiceAccounts::is_audience("sts.amazonaws.com"), true),
            (
                ServiceAccounts::is_audience("https://vault.example:8200/v1"),
                true,
            ),
            (ServiceAccounts::is_audience(""), false),
            (ServiceAccounts::is_audience("a b"), false),
            (
                ServiceAccounts::is_iam_role("arn:aws:iam::123456789012:role/acme/app"),
                true,
            ),
            (
                ServiceAccounts::is_iam_role("app@project.iam.gserviceaccount.com"),
                true,
            ),
            (
                ServiceAccounts::is_iam_role("arn:aws:iam::123456789012:role/*"),
                false,
            ),
            (ServiceAccounts::is_signer("acme.example/pods"), true),
            (
                ServiceAccounts::is_signer("kubernetes.io/kube-apiserver-client"),
                false,
            ),
            (ServiceAccounts::is_signer("acme.example/*"), false),
            (ServiceAccounts::is_signer("acme.example"), false),
            (ServiceAccounts::is_signer("/x"), false),
        ] {
            assert_eq!(good, expected);
        }
    }
}
