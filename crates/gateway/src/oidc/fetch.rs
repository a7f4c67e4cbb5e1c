//! Documents of an issuer's, over HTTPS: without redirects, cookies or proxies, small, and soon.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_serve::read_body;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No discovery document and no key set is larger.
const LONGEST: usize = 512 * 1024;
/// How long one may take, from the name's look-up to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Fetch(TlsConnector);

impl Fetch {
    /// Trusts these authorities (PEM), or the system's.
    ///
    /// # Errors
    /// If the text holds none, or the system has none.
    pub(crate) fn new(authority: Option<&str>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        match authority {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate =
                        certificate.context("`issuer.certificateAuthority` is no PEM")?;
                    roots.add(certificate).context(
                        "`issuer.certificateAuthority` holds no certificate of an authority",
                    )?;
                }
                ensure!(
                    !roots.is_empty(),
                    "`issuer.certificateAuthority` holds no certificate in PEM"
                );
            }
            None => {
                let (_, _) =
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                ensure!(
                    !roots.is_empty(),
                    "the system knows no authorities: expected `issuer.certificateAuthority`"
                );
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("no version of TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// A document's bytes.
    pub(crate) async fn get(&self, url: &Uri) -> anyhow::Result<Bytes> {
        tokio::time::timeout(PATIENCE, self.ask(url))
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs())))
            .with_context(|| format!("`{url}`"))
    }

    async fn ask(&self, url: &Uri) -> anyhow::Result<Bytes> {
        let host = url.host().context("the URL has no host")?;
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(bare.clone()).context("the host is no name")?;
        let stream = TcpStream::connect((bare, url.port_u16().unwrap_or(443)))
            .await
            .context("cannot connect")?;
        let stream = self.0.connect(name, stream).await.context("no TLS")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let authority = url.authority().map_or(host, |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "bulkhead-gateway")
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            ensure!(status == StatusCode::OK, "answered {status}, expected 200");
            Ok(read_body(response.into_body(), LONGEST).await?)
        };
        // The connection is driven beside the exchange and ends with it.
        tokio::select! {
            answer = answer => answer,
            ended = async { let _ = connection.await; std::future::pending::<anyhow::Result<Bytes>>().await } => ended,
        }
    }
}
