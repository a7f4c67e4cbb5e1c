//! Kubeconfig files: where a server is and how to sign in there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;

use crate::wire::{Client, WireError};

/// Why a kubeconfig is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file, or one that it names, cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not YAML of this shape.
    #[error("`{path}` is not a kubeconfig")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: serde_norway::Error,
    },
    /// A field is missing or has not the form that is expected.
    #[error("`{path}`: `{field}`: {expected}")]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
    /// The certificate and the key do not go together.
    #[error("cannot sign in with the certificate of the kubeconfig")]
    Tls(#[from] WireError),
}

/// Where a server is and how it proves itself.
pub(crate) struct Server {
    /// `host:port`.
    pub(crate) address: String,
    /// The name in its certificate.
    pub(crate) name: ServerName<'static>,
    /// Who signs its certificate.
    pub(crate) roots: RootCertStore,
}

impl Server {
    pub(crate) fn new(address: &str, authorities: &[u8]) -> Result<Self, WireError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities) {
            roots.add(certificate)?;
        }
        let bad = || WireError::Address(address.to_owned());
        let (host, _) = address.rsplit_once(':').ok_or_else(bad)?;
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| bad())?;
        Ok(Self {
            address: address.to_owned(),
            name,
            roots,
        })
    }
}

/// The current context of a kubeconfig.
pub struct Kubeconfig {
    pub(crate) server: Arc<Server>,
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
    current_context: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

impl Kubeconfig {
    /// Reads the current context.
    ///
    /// # Errors
    /// If the file or one that it names cannot be read, or a field has not the expected form.
    pub fn read(path: &Path) -> Result<Self, KubeconfigError> {
        let text = read(path)?;
        let file: File =
            serde_norway::from_slice(&text).map_err(|source| KubeconfigError::Parse {
                path: path.to_owned(),
                source,
            })?;
        let bad = |field, expected| KubeconfigError::Field {
            path: path.to_owned(),
            field,
            expected,
        };
        let context = file
            .contexts
            .into_iter()
            .find(|c| c.name == file.current_context);
        let context = context
            .ok_or_else(|| bad("current-context", "must name one of `contexts`"))?
            .context;
        let cluster = file
            .clusters
            .into_iter()
            .find(|c| c.name == context.cluster);
        let cluster = cluster
            .ok_or_else(|| bad("cluster", "must name one of `clusters`"))?
            .cluster;
        let user = file.users.into_iter().find(|u| u.name == context.user);
        let user = user
            .ok_or_else(|| bad("user", "must name one of `users`"))?
            .user;

        let folder = path.parent().unwrap_or(Path::new("."));
        let blob = |data: Option<String>,
                    file: Option<PathBuf>|
         -> Result<Option<Vec<u8>>, KubeconfigError> {
            match (data, file) {
                (Some(data), _) => Ok(Some(
                    STANDARD
                        .decode(data)
                        .map_err(|_| bad("*-data", "must be base64"))?,
                )),
                (None, Some(file)) => Ok(Some(read(&folder.join(file))?)),
                (None, None) => Ok(None),
            }
        };
        let authority = blob(
            cluster.certificate_authority_data,
            cluster.certificate_authority,
        )?
        .ok_or_else(|| bad("certificate-authority", "must be there"))?;
        let address = cluster.server.strip_prefix("https://");
        let address = address.ok_or_else(|| bad("server", "must start with `https://`"))?;
        let server = Server::new(address.trim_end_matches('/'), &authority)?;

        let chain = blob(user.client_certificate_data, user.client_certificate)?;
        let key = blob(user.client_key_data, user.client_key)?;
        let key = key
            .map(|pem| PrivateKeyDer::from_pem_slice(&pem))
            .transpose();
        let token = match (user.token, user.token_file) {
            (Some(token), _) => Some(token),
            (None, file) => {
                blob(None, file)?.map(|t| String::from_utf8_lossy(&t).trim().to_owned())
            }
        };
        Ok(Self {
            server: Arc::new(server),
            chain: chain.map(|pem| certificates(&pem)).unwrap_or_default(),
            key: key.map_err(|_| bad("client-key", "must be a private key in PEM"))?,
            token,
        })
    }

    /// A client that signs in as the kubeconfig says.
    ///
    /// # Errors
    /// If certificate and key do not go together.
    pub fn client(&self) -> Result<Client, WireError> {
        let identity = self
            .key
            .as_ref()
            .map(|key| (self.chain.clone(), key.clone_key()));
        let client = Client::new(self.server.clone(), identity)?;
        Ok(match &self.token {
            Some(token) => client.with_token(token),
            None => client,
        })
    }

    /// The common name of who signed the certificate; empty without one.
    pub(crate) fn issuer(&self) -> String {
        let issuer = self.chain.first().and_then(|der| {
            let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
            let name = certificate
                .issuer()
                .iter_common_name()
                .next()?
                .as_str()
                .ok()?;
            Some(name.to_owned())
        });
        issuer.unwrap_or_default()
    }

    /// A client for another server with this kubeconfig's certificate: what is a credential at one
    /// door is tried at another.
    pub(crate) fn client_at(&self, other: &Self) -> Result<Client, WireError> {
        let identity = self
            .key
            .as_ref()
            .map(|key| (self.chain.clone(), key.clone_key()));
        Client::new(other.server.clone(), identity)
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    std::fs::read(path).map_err(|source| KubeconfigError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let folder = std::env::temp_dir().join(format!("bulkhead-attack-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let error = Kubeconfig::read(&path).err().unwrap().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        error
    }

    #[test]
    fn what_is_wrong_is_named() {
        let file = |context: &str, server: &str| {
            format!(
                "{{clusters: [{{name: c, cluster: {{server: \"{server}\", certificate-authority-data: \"\"}}}}], \
                 users: [{{name: u, user: {{}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}], current-context: {context}}}"
            )
        };
        assert!(error(&file("y", "https://h:1")).contains("`current-context`"));
        assert!(error(&file("x", "http://h:1")).contains("`server`"));
        assert!(error("[]").contains("is not a kubeconfig"));
    }
}
