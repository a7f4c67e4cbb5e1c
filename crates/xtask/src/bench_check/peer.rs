//! checkov, from PyPI, in a folder of its own outside the source tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::process::{Run, run_once};

/// The program, installed if it is not there yet.
pub(super) fn checkov() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    let folder = cache.join("bulkhead/bench/checkov");
    let program = folder.join("bin/checkov");
    if !program.exists() {
        eprintln!("installing checkov into {}", folder.display());
        step(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        step(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "checkov"]))?;
    }
    Ok(program)
}

fn step(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// One run over a folder: the rules about Kubernetes, nothing from the network.
pub(super) fn run(checkov: &Path, folder: &Path) -> Result<Run> {
    let mut command = Command::new(checkov);
    command
        .args([
            "--framework",
            "kubernetes",
            "--compact",
            "--quiet",
            "--skip-download",
            "--directory",
        ])
        .arg(folder)
        .env("LOG_LEVEL", "ERROR");
    let (run, code) = run_once(command)?;
    ensure!(code == Some(1), "checkov's exit code is {code:?}, not 1");
    Ok(run)
}
