//! Certificates from files, read again when the files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::body::BoxError;

/// How often the files are looked at. Their content is compared, not their times: a mounted
/// Secret changes by a link, and copies keep old times.
const POLL: Duration = Duration::from_secs(2);

/// The PEM files of a server.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate and what lies between it and its root.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Authorities whose clients are let in by certificate. A client without a certificate is
    /// served too (the application decides what it may do); one whose certificate is of another
    /// authority, expired or not made for clients fails the handshake.
    pub client_ca: Option<PathBuf>,
}

/// Why the files are no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("`{}` does not hold {expected} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// Why, where something was found.
        #[source]
        source: BoxError,
    },
    /// Certificate and key do not make a server.
    #[error("the certificate in `{}` and the key in `{}` cannot be used", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authorities cannot be used.
    #[error("the client authorities in `{}` cannot be used", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// The current configuration, and the files that it came from.
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    seen: tokio::sync::Mutex<Seen>,
}

/// What the last look at the files gave, so that one bad state is logged once.
#[derive(PartialEq)]
enum Seen {
    Content(Content),
    Error(String),
}

#[derive(Clone, PartialEq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    pub(crate) async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let content = Content::read(&files).await?;
        let current = RwLock::new(Arc::new(content.build(&files)?));
        Ok(Self {
            files,
            current,
            seen: tokio::sync::Mutex::new(Seen::Content(content)),
        })
    }

    /// The configuration for the next handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files for ever. Files that are no use change nothing.
    pub(crate) async fn follow(&self) {
        loop {
            tokio::time::sleep(POLL).await;
            self.look().await;
        }
    }

    async fn look(&self) {
        let mut seen = self.seen.lock().await;
        let (now, result) = match Content::read(&self.files).await {
            Ok(content) => {
                let now = Seen::Content(content.clone());
                let result = (*seen != now).then(|| content.build(&self.files));
                (now, result)
            }
            Err(error) => {
                let now = Seen::Error(error.to_string());
                let result = (*seen != now).then_some(Err(error));
                (now, result)
            }
        };
        match result {
            None => return,
            Some(Ok(config)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(certificate = %self.files.certificate.display(), "certificates reloaded");
            }
            Some(Err(error)) => {
                tracing::error!(error = %Chain(&error), "new certificates are no use, keeping the old ones");
            }
        }
        *seen = now;
    }
}

impl Content {
    async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        async fn file(path: &Path) -> Result<Vec<u8>, TlsError> {
            tokio::fs::read(path)
                .await
                .map_err(|source| TlsError::Read {
                    path: path.to_owned(),
                    source,
                })
        }
        Ok(Self {
            certificate: file(&files.certificate).await?,
            key: file(&files.key).await?,
            client_ca: match &files.client_ca {
                Some(path) => Some(file(path).await?),
                None => None,
            },
        })
    }

    fn build(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Pem {
            path: files.key.clone(),
            expected: "a private key",
            source: error.into(),
        })?;
        let pair = |source| TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let unusable = |source| TlsError::ClientCa {
                    path: path.clone(),
                    source,
                };
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem, path)? {
                    roots
                        .add(authority)
                        .map_err(|error| unusable(error.into()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| unusable(error.into()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A resumed session brings its client's certificate along unchecked, even when it
            // has expired since: every handshake is a full one.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source: BoxError| TlsError::Pem {
        path: path.to_owned(),
        expected: "certificates",
        source,
    };
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| error(source.into()))?;
    if found.is_empty() {
        Err(error("no certificate found".into()))
    } else {
        Ok(found)
    }
}

/// An error and all its causes on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
