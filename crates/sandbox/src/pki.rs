//! The sandbox's certificate authorities, and what they issue. All keys are ECDSA P-256.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::dir::write_private;

/// How long certificates last: longer than anybody keeps a sandbox.
const LIFETIME: Duration = Duration::days(365);
/// Clocks of two processes of one machine agree, those of a container and its host nearly.
const SLACK: Duration = Duration::hours(1);

/// A certificate authority of the sandbox. Three exist, and what one vouches for the others do
/// not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityName {
    /// The cluster: the API server's certificate, its clients, the simulated kubelets.
    Cluster,
    /// The servers of Bulkhead: webhook and gateway.
    Servers,
    /// The people whom the gateway lets in. The API server does not trust it.
    GatewayClients,
}

impl AuthorityName {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Servers, Self::GatewayClients];

    fn file(self) -> &'static str {
        match self {
            Self::Cluster => "cluster-ca",
            Self::Servers => "servers-ca",
            Self::GatewayClients => "gateway-clients-ca",
        }
    }

    /// The authority's certificate in a folder of keys.
    #[must_use]
    pub fn certificate(self, pki: &Path) -> PathBuf {
        pki.join(format!("{}.crt", self.file()))
    }

    fn key(self, pki: &Path) -> PathBuf {
        pki.join(format!("{}.key", self.file()))
    }
}

/// Why a certificate or key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Making or reading it failed.
    #[error("cannot make the certificate or key `{what}`")]
    Make {
        /// What for.
        what: String,
        /// Why.
        source: rcgen::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A certificate authority that can issue.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Common name: to Kubernetes, the user.
    pub name: &'a str,
    /// Organization: to Kubernetes, the group.
    pub group: Option<&'a str>,
    /// Host names and addresses; a certificate with any is a server's, one with none a client's.
    pub hosts: &'a [&'a str],
    /// When it ends; none: as late as the sandbox's own.
    pub ends: Option<OffsetDateTime>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key (PKCS #8).
    pub key: String,
}

impl Authority {
    /// Makes an authority and writes it into a folder of keys.
    ///
    /// # Errors
    /// If the key cannot be made or written.
    pub fn create(name: AuthorityName, pki: &Path) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(make(name.file()))?;
        write(&name.key(pki), key.serialize_pem().as_bytes())?;
        let params = authority_params(name);
        let certificate = params.self_signed(&key).map_err(make(name.file()))?.pem();
        write(&name.certificate(pki), certificate.as_bytes())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Reads an authority that [`Authority::create`] wrote.
    ///
    /// # Errors
    /// If the files are not there or hold something else.
    pub fn load(name: AuthorityName, pki: &Path) -> Result<Self, PkiError> {
        Self::from_pem(&read(&name.certificate(pki))?, &read(&name.key(pki))?)
    }

    /// An authority from its certificate and its key, both PEM.
    ///
    /// # Errors
    /// If they cannot be read, or are of a kind that cannot sign.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key).map_err(make("authority's key"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key);
        Ok(Self {
            issuer: issuer.map_err(make("authority's certificate"))?,
            certificate: certificate.to_owned(),
        })
    }

    /// The authority's own certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// If a host is no host name, or no key can be made.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<Issued, PkiError> {
        let hosts: Vec<String> = subject
            .hosts
            .iter()
            .map(|host| (*host).to_owned())
            .collect();
        let mut params = CertificateParams::new(hosts).map_err(make(subject.name))?;
        let ends = subject
            .ends
            .unwrap_or_else(|| OffsetDateTime::now_utc() + LIFETIME);
        params.not_after = ends;
        params.not_before = (OffsetDateTime::now_utc() - SLACK).min(ends - SLACK);
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(group) = subject.group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, subject.name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if subject.hosts.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        let key = KeyPair::generate().map_err(make(subject.name))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(make(subject.name))?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Issues a certificate and writes it as `FILE.crt` and `FILE.key`.
    ///
    /// # Errors
    /// As [`Authority::issue`], or if a file cannot be written.
    pub fn issue_to(
        &self,
        subject: &Subject<'_>,
        pki: &Path,
        file: &str,
    ) -> Result<Issued, PkiError> {
        let issued = self.issue(subject)?;
        write(
            &pki.join(format!("{file}.crt")),
            issued.certificate.as_bytes(),
        )?;
        write(&pki.join(format!("{file}.key")), issued.key.as_bytes())?;
        Ok(issued)
    }
}

impl<'a> Subject<'a> {
    /// A client of this name, in this group.
    #[must_use]
    pub fn client(name: &'a str, group: Option<&'a str>) -> Self {
        Self {
            name,
            group,
            hosts: &[],
            ends: None,
        }
    }

    /// A server that is reached under these host names and addresses.
    #[must_use]
    pub fn server(name: &'a str, hosts: &'a [&'a str]) -> Self {
        Self {
            name,
            group: None,
            hosts,
            ends: None,
        }
    }
}

/// Makes the key that ServiceAccount tokens are signed with: `service-accounts.key` and `.pub`.
///
/// # Errors
/// If it cannot be made or written.
pub fn create_token_key(pki: &Path) -> Result<(), PkiError> {
    let key = KeyPair::generate().map_err(make("service-accounts"))?;
    write(
        &pki.join("service-accounts.key"),
        key.serialize_pem().as_bytes(),
    )?;
    write(
        &pki.join("service-accounts.pub"),
        key.public_key_pem().as_bytes(),
    )
}

fn authority_params(name: AuthorityName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::now_utc() - SLACK;
    params.not_after = OffsetDateTime::now_utc() + LIFETIME;
    // The name alone ties a loaded authority to its certificate.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("bulkhead-sandbox-{}", name.file()),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn make(what: &str) -> impl FnOnce(rcgen::Error) -> PkiError + use<> {
    let what = what.to_owned();
    move |source| PkiError::Make { what, source }
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::Io {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_private(path, bytes).map_err(|source| PkiError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use x509_parser::pem::parse_x509_pem;

    use super::*;

    /// Runs a check on the certificate in a PEM text and its issuer's.
    fn check(
        certificate: &str,
        issuer: &str,
        check: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>),
    ) {
        let (_, pem) = parse_x509_pem(certificate.as_bytes()).unwrap();
        let (_, issuer_pem) = parse_x509_pem(issuer.as_bytes()).unwrap();
        let (parsed, issuer) = (pem.parse_x509().unwrap(), issuer_pem.parse_x509().unwrap());
        assert_eq!(parsed.issuer(), issuer.subject());
        check(&parsed);
    }

    #[test]
    fn clients_carry_user_and_group() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = Authority::create(AuthorityName::Cluster, dir.path()).unwrap();
        let issued = cluster
            .issue(&Subject::client("admin", Some("system:masters")))
            .unwrap();
        check(&issued.certificate, cluster.certificate(), |cert| {
            assert_eq!(cert.subject().to_string(), "O=system:masters, CN=admin");
            let usage = cert.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.client_auth && !usage.server_auth);
            assert!(!cert.is_ca() && cert.validity().is_valid());
        });
    }

    #[test]
    fn servers_carry_their_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let servers = Authority::create(AuthorityName::Servers, dir.path()).unwrap();
        let subject = Subject::server("gateway", &["localhost", "127.0.0.1"]);
        let issued = servers.issue_to(&subject, dir.path(), "gateway").unwrap();
        check(&issued.certificate, servers.certificate(), |cert| {
            let names = cert.subject_alternative_name().unwrap().unwrap().value;
            assert_eq!(names.general_names.len(), 2);
            let usage = cert.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.server_auth && !usage.client_auth);
        });
        let mode = fs::metadata(dir.path().join("gateway.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_loaded_authority_issues_under_the_same_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in AuthorityName::ALL {
            let made = Authority::create(name, dir.path()).unwrap();
            let loaded = Authority::load(name, dir.path()).unwrap();
            assert_eq!(made.certificate(), loaded.certificate());
            let issued = loaded.issue(&Subject::client("late", None)).unwrap();
            check(&issued.certificate, made.certificate(), |_| {});
        }
        assert!(Authority::load(AuthorityName::Cluster, Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn an_expired_certificate_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(AuthorityName::GatewayClients, dir.path()).unwrap();
        let ends = Some(OffsetDateTime::now_utc() - Duration::days(2));
        let issued = authority
            .issue(&Subject {
                ends,
                ..Subject::client("late", None)
            })
            .unwrap();
        check(&issued.certificate, authority.certificate(), |cert| {
            assert!(!cert.validity().is_valid())
        });
    }
}
