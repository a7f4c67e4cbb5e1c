//! The two processes.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bulkhead_webhook::Webhook;
use serde::Serialize;
use serde_json::Value;

use crate::bench_admission::servers::{CERTIFICATE, KEY, listener, peak_kib};

/// Figures of one side.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    /// Microseconds.
    pub(super) p50: f64,
    /// Microseconds.
    pub(super) p99: f64,
    /// Requests per second over all connections.
    pub(super) throughput: f64,
    /// `VmHWM`.
    pub(super) peak_kib: u64,
}

/// A process that answers AdmissionReviews, ended when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// Where it is asked.
    pub(super) path: &'static str,
    child: Child,
}

impl Running {
    pub(super) fn ours(policies: &Path, folder: &Path, workers: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "rego", "--serve"]).arg(policies);
        command.arg("--folder").arg(folder);
        command.args(["--workers", &workers.to_string()]);
        Self::start(command, "/rego")
    }

    pub(super) fn theirs(
        program: &Path,
        policies: &Path,
        folder: &Path,
        workers: usize,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(policies);
        command.arg(folder.join(CERTIFICATE)).arg(folder.join(KEY));
        command.env("GOMAXPROCS", workers.to_string());
        Self::start(command, "/v1/admit")
    }

    fn start(mut command: Command, path: &'static str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a server")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse();
        let address = address.with_context(|| format!("no address but `{}`", line.trim()))?;
        Ok(Self {
            address,
            path,
            child,
        })
    }

    pub(super) fn peak_kib(&self) -> Result<u64> {
        peak_kib(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its input ends, so it ends by itself; the wait leaves no zombie.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is our webhook until its input ends.
pub(super) async fn serve(policies: &Path, folder: &Path) -> Result<()> {
    let given: Value = serde_json::from_slice(&std::fs::read(policies)?)?;
    let list = |key: &str| given.get(key).and_then(Value::as_array).cloned();
    let lists = ["templates", "constraints"].into_iter().filter_map(list);
    let webhook = Arc::new(Webhook::fixed(vec![], vec![]).with_rego(lists.flatten().collect()));
    let server = listener(folder).await?;
    let stop = async {
        let read = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = tokio::task::spawn_blocking(read).await;
    };
    let handler = move |request, _| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.respond(request).await }
    };
    server.run(handler, stop).await;
    Ok(())
}

/// Builds Gatekeeper's side.
pub(super) fn build(folder: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../oracles/rego");
    let program = folder.join("gatekeeper");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg("./cmd/webhook")
        .current_dir(source)
        .status()
        .context("cannot start `go`, which builds Gatekeeper's side")?;
    ensure!(
        status.success(),
        "`oracles/rego/cmd/webhook` does not build"
    );
    Ok(program)
}
