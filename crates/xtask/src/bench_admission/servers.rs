//! The two servers, each a process of its own, so that their memory is apart.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bulkhead_serve::{Body, Config, Limits, Server, TlsFiles, full, read_body, text};
use bulkhead_webhook::Webhook;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::json;

use crate::bench_admission::{Kind, review};

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";
/// As much as the webhook takes.
const MAX_BODY: usize = 8 * 1024 * 1024;

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
pub(super) struct Running {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    child: Child,
}

impl Running {
    pub(super) fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let name = match kind {
            Kind::Webhook => "webhook",
            Kind::Empty => "empty",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "admission", "--serve", name, "--folder"])
            .arg(folder)
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
        Ok(Self {
            kind,
            address,
            child,
        })
    }

    /// The most memory that the process ever held.
    pub(super) fn peak_kib(&self) -> Result<u64> {
        peak_kib(self.child.id())
    }
}

/// The most memory that a process ever held.
pub(crate) fn peak_kib(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
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

impl Drop for Running {
    fn drop(&mut self) {
        // Its input ends, so it ends by itself; the wait leaves no zombie.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Listens somewhere on this machine with the certificate of a folder, and says where.
pub(crate) async fn listener(folder: &Path) -> Result<Server> {
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
    Ok(server)
}

/// Is a server until its input ends.
pub(super) async fn serve(kind: Kind, folder: &Path) -> Result<()> {
    let server = listener(folder).await?;
    let stop = async {
        let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = tokio::task::spawn_blocking(read).await;
    };
    match kind {
        Kind::Webhook => {
            let webhook = Arc::new(Webhook::fixed(vec![review::namespace()], vec![]));
            let handler = move |request, _| {
                let webhook = Arc::clone(&webhook);
                async move { webhook.respond(request).await }
            };
            server.run(handler, stop).await;
        }
        Kind::Empty => server.run(|request, _| empty(request), stop).await,
    }
    Ok(())
}

/// The least that a webhook can do.
async fn empty(request: Request<Incoming>) -> Response<Body> {
    #[derive(Deserialize)]
    struct Review {
        request: Uid,
    }
    #[derive(Deserialize)]
    struct Uid {
        uid: String,
    }
    let body = match read_body(request.into_body(), MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return text(error.status(), error.to_string()),
    };
    let review: Review = match serde_json::from_slice(&body) {
        Ok(review) => review,
        Err(error) => return text(http::StatusCode::BAD_REQUEST, error.to_string()),
    };
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review.request.uid, "allowed": true},
    });
    let mut response = Response::new(full(answer.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}
