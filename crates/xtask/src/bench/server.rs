//! A server, a process of its own, so that its memory is apart.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use bulkhead_serve::{Body, Config, Limits, Server, TlsFiles};
use bulkhead_webhook::Webhook;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::RootCertStore;

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";

/// Writes a certificate for the servers and gives what a client is to trust.
pub(crate) fn certificate(folder: &Path) -> Result<RootCertStore> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(folder.join(CERTIFICATE), made.cert.pem())?;
    std::fs::write(folder.join(KEY), made.signing_key.serialize_pem())?;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    Ok(roots)
}

/// A server's process, ended when dropped.
pub(crate) struct Running {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Running {
    /// Starts a server that prints its address and ends when its input does.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {name} server"))?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| {
            anyhow!(
                "the {name} server said `{}` instead of its address",
                line.trim()
            )
        })?;
        Ok(Self { address, child })
    }

    /// The most memory that the process ever held.
    pub(super) fn peak_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmHWM:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .with_context(|| format!("`{path}` has no VmHWM"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its input ends, so it ends by itself; the wait leaves no zombie.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is a server until its input ends. It listens somewhere on this machine with the certificate of a
/// folder, and says where.
pub(crate) async fn serve<H, F>(folder: &Path, handler: H) -> Result<()>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let server = Server::bind(Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: TlsFiles {
            certificate: folder.join(CERTIFICATE),
            key: folder.join(KEY),
            client_ca: None,
        },
        limits: Limits::default(),
    })
    .await?;
    println!("{}", server.address());
    let stop = async {
        let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = tokio::task::spawn_blocking(read).await;
    };
    server.run(move |request, _| handler(request), stop).await;
    Ok(())
}

/// Is a webhook until its input ends.
pub(crate) async fn serve_webhook(folder: &Path, webhook: Webhook) -> Result<()> {
    let webhook = Arc::new(webhook);
    let handler = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.respond(request).await }
    };
    serve(folder, handler).await
}
