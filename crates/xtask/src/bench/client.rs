//! The client that drives servers: HTTP/2 over TLS, as the API server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, roots: &RootCertStore) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// One request, from its first byte to the answer's last.
    pub(crate) async fn send(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let request = Request::post(format!("https://localhost{path}?timeout=3s"))
            .header("content-type", "application/json")
            .header("accept", "application/json, */*")
            .header("user-agent", "kube-apiserver-admission")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{path} gave {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}

/// Times of requests.
pub(super) struct Samples {
    nanoseconds: Histogram<u64>,
    elapsed: Duration,
}

impl Samples {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            nanoseconds: Histogram::new(3)?,
            elapsed: Duration::ZERO,
        })
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.nanoseconds.add(&other.nanoseconds)?;
        self.elapsed += other.elapsed;
        Ok(())
    }

    /// In microseconds.
    pub(super) fn quantile(&self, q: f64) -> f64 {
        self.nanoseconds.value_at_quantile(q) as f64 / 1000.0
    }

    /// Requests per second.
    pub(super) fn rate(&self) -> f64 {
        self.nanoseconds.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// What is asked in turns: a path and a body each.
pub(crate) type Asked = [(&'static str, Bytes)];

/// Requests one after the other.
pub(super) async fn alone(client: &mut Client, asked: &Asked, requests: u32) -> Result<Samples> {
    let mut samples = Samples::new()?;
    let began = Instant::now();
    for (path, body) in asked.iter().cycle().take(requests as usize) {
        let sent = Instant::now();
        client.send(path, body.clone()).await?;
        let taken = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        samples.nanoseconds.record(taken)?;
    }
    samples.elapsed = began.elapsed();
    Ok(samples)
}

/// The same over all connections at once, each with its share.
pub(super) async fn crowd(
    clients: &mut Vec<Client>,
    asked: &Asked,
    requests: u32,
) -> Result<Samples> {
    let share = requests.div_ceil(u32::try_from(clients.len())?.max(1));
    let began = Instant::now();
    let tasks: Vec<_> = clients
        .drain(..)
        .map(|mut client| {
            let asked = asked.to_vec();
            tokio::spawn(async move {
                let samples = alone(&mut client, &asked, share).await;
                (client, samples)
            })
        })
        .collect();
    let mut all = Samples::new()?;
    for task in tasks {
        let (client, samples) = task.await?;
        clients.push(client);
        all.add(&samples?)?;
    }
    all.elapsed = began.elapsed();
    Ok(all)
}
