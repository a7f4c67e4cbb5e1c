//! The two processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bulkhead_webhook::Webhook;
use serde_json::Value;

use crate::bench::{self, CERTIFICATE, KEY, Running};

/// Starts our webhook.
pub(super) fn ours(policies: &Path, folder: &Path, workers: usize) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "rego", "--serve"]).arg(policies);
    command.arg("--folder").arg(folder);
    command.args(["--workers", &workers.to_string()]);
    Running::start("webhook", &mut command)
}

/// Starts Gatekeeper's.
pub(super) fn theirs(
    program: &Path,
    policies: &Path,
    folder: &Path,
    workers: usize,
) -> Result<Running> {
    let mut command = Command::new(program);
    command.arg(policies);
    command.arg(folder.join(CERTIFICATE)).arg(folder.join(KEY));
    command.env("GOMAXPROCS", workers.to_string());
    Running::start("Gatekeeper", &mut command)
}

/// Is our webhook until its input ends.
pub(super) async fn serve(policies: &Path, folder: &Path) -> Result<()> {
    let given: Value = serde_json::from_slice(&std::fs::read(policies)?)?;
    let list = |key: &str| given.get(key).and_then(Value::as_array).cloned();
    let lists = ["templates", "constraints"].into_iter().filter_map(list);
    let webhook = Webhook::fixed(vec![], vec![]).with_rego(lists.flatten().collect());
    bench::serve_webhook(folder, webhook).await
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
