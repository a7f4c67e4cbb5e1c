//! What an attacker signs in with.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::kubeconfig::Server;
use crate::wire::{Client, WireError};

/// A ServiceAccount of the attacker's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// Without any right.
    Plain,
    /// With the rights of a tenant's admin (`bulkhead-tenant-admin`) in its namespace.
    Admin,
    /// With every right in its namespace that a Role can give, so that RBAC stops nothing there and
    /// admission must.
    Star,
}

impl Account {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Admin, Self::Star];

    /// The ServiceAccount's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "attack-plain",
            Self::Admin => "attack-admin",
            Self::Star => "attack-star",
        }
    }
}

/// A client certificate that nobody should accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forged {
    /// Of an authority that nobody knows, with the attacker's tenant's admin as its subject.
    Foreign,
    /// Of an authority that nobody knows, for the group `system:masters`.
    ForeignMasters,
    /// The authority's own name and self-signed, so that only the signature is wrong.
    NamedLikeOurs,
    /// Truly of the gateway's authority, and expired.
    Expired,
}

/// What an attacker signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// Nothing.
    None,
    /// The certificate of the attacker's tenant's admin.
    Tenant,
    /// A token that the API server takes.
    Account(Account),
    /// A token for the gateway's audience, of a ServiceAccount that is no member of any tenant.
    ForGateway(Account),
    /// A token for an audience that is none of ours.
    ForStranger(Account),
    /// A stolen token of one of Bulkhead's own ServiceAccounts.
    Stolen(&'static str),
    /// A certificate that was made for the purpose.
    Forged(Forged),
    /// Any bearer token.
    Token(String),
    /// The administrator's certificate, for requests that impersonate: what a right that was granted
    /// by mistake would be worth.
    Administrator,
}

/// A client with a certificate that is made here.
pub(crate) fn forge(
    forged: Forged,
    server: Arc<Server>,
    person: &str,
    authority: &str,
    authority_key: &Path,
) -> Result<Client, ForgeError> {
    let key = KeyPair::generate()?;
    let signer = match forged {
        Forged::Expired => KeyPair::from_pem(&std::fs::read_to_string(authority_key)?)?,
        _ => KeyPair::generate()?,
    };
    let (ca_name, user, group) = match forged {
        Forged::Foreign => ("nobody's authority", person, None),
        Forged::ForeignMasters => ("nobody's authority", "admin", Some("system:masters")),
        Forged::NamedLikeOurs | Forged::Expired => (authority, person, None),
    };
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, ca_name);
    let issuer = Issuer::new(ca, signer);
    let mut leaf = CertificateParams::default();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    leaf.not_before = date_time_ymd(2020, 1, 1);
    if forged == Forged::Expired {
        leaf.not_after = date_time_ymd(2020, 2, 1);
    }
    leaf.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        leaf.distinguished_name
            .push(DnType::OrganizationName, group);
    }
    let certificate = leaf.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Client::new(
        server,
        Some((vec![CertificateDer::from(certificate.der().to_vec())], key)),
    )?)
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgeError {
    /// The certificate.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The authority's key.
    #[error("cannot read the authority's key")]
    Key(#[from] std::io::Error),
    /// The client.
    #[error(transparent)]
    Client(#[from] WireError),
}
