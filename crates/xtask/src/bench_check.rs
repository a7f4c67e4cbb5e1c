//! `cargo xtask bench check`: what `bulkhead check` costs over many files, and over one, beside
//! another checker on the same files in the same run.

mod files;
mod peer;
mod process;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use process::{Run, run_once};

/// Flags of `cargo xtask bench check`.
#[derive(Args)]
pub struct Arguments {
    /// How many files
    #[arg(long, default_value_t = 10_000)]
    files: usize,
    /// How often each run is repeated; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure checkov as well, installed from PyPI into the user's cache folder
    #[arg(long)]
    peers: bool,
    /// How many of the files a peer is given
    #[arg(long, default_value_t = 500)]
    peer_files: usize,
    /// Measure this binary, rather than a release build of what is here
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured. Times are in milliseconds, memory in KiB.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    files: usize,
    bytes: u64,
    many: Run,
    /// A tenth of the files: memory must not grow with them.
    tenth: Run,
    single: Run,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Against>,
}

/// A peer and us on the same files.
#[derive(Debug, Serialize)]
struct Against {
    name: String,
    files: usize,
    theirs: Run,
    ours: Run,
}

/// Goals: seconds for all files, memory for all files, time for one.
const MANY: Duration = Duration::from_secs(2);
const MEMORY_KIB: u64 = 80 * 1024;
const SINGLE: Duration = Duration::from_millis(15);
const PEER: f64 = 20.0;

/// Runs the bench with a release build of the binary.
///
/// # Errors
/// If something cannot be built, written or started, or gives a wrong answer. Missing a goal is no
/// error: a machine that is busy otherwise misses it too.
pub fn run(arguments: &Arguments) -> Result<()> {
    let bulkhead = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    let folder = tempfile::tempdir()?;
    let bytes = files::write(&folder.path().join("many"), arguments.files)?;
    files::write(&folder.path().join("tenth"), arguments.files / 10)?;
    files::write(&folder.path().join("single"), 1)?;
    let ours = |name: &str| {
        let run = median(arguments.rounds, || {
            checked(&bulkhead, &folder.path().join(name))
        });
        run.with_context(|| format!("`bulkhead check` of `{name}`"))
    };
    // The first round fills the page cache for all of them.
    checked(&bulkhead, &folder.path().join("many"))?;
    let outcome = Outcome {
        files: arguments.files,
        bytes,
        many: ours("many")?,
        tenth: ours("tenth")?,
        single: median(20, || checked(&bulkhead, &folder.path().join("single")))?,
        peer: if arguments.peers {
            let folder = folder.path().join("peer");
            files::write(&folder, arguments.peer_files)?;
            let checkov = peer::checkov()?;
            Some(Against {
                name: "checkov".into(),
                files: arguments.peer_files,
                theirs: median(3, || peer::run(&checkov, &folder))?,
                ours: median(3, || checked(&bulkhead, &folder))?,
            })
        } else {
            None
        },
    };
    println!("{outcome}");
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&outcome)?;
        std::fs::write(file, json + "\n")
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "bulkhead-cli",
            "--message-format",
            "json",
        ])
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8_lossy(&output.stdout);
    let executable = lines.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executable.context("cargo has built no executable")
}

/// One run of ours, which must find something: the files are not clean.
fn checked(bulkhead: &Path, folder: &Path) -> Result<Run> {
    let mut command = Command::new(bulkhead);
    command.args(["check", "--no-config"]).arg(folder);
    let (run, code) = run_once(command)?;
    ensure!(code == Some(1), "the exit code is {code:?}, not 1");
    Ok(run)
}

fn median(rounds: usize, mut run: impl FnMut() -> Result<Run>) -> Result<Run> {
    let mut runs = (0..rounds.max(1))
        .map(|_| run())
        .collect::<Result<Vec<_>>>()?;
    runs.sort_by(|a, b| a.millis.total_cmp(&b.millis));
    let peak = runs
        .iter()
        .map(|run| run.peak_kib)
        .max()
        .unwrap_or_default();
    let middle = runs.get(runs.len() / 2).context("no run")?;
    Ok(Run {
        peak_kib: peak,
        ..*middle
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = |met: bool| if met { "met" } else { "missed" };
        let Outcome {
            files,
            bytes,
            many,
            tenth,
            single,
            peer,
        } = self;
        let [mib, tenth_mib] = [many, tenth].map(|run| run.peak_kib / 1024);
        writeln!(
            f,
            "{files} files of {} kB together, each with findings; medians\n",
            bytes / 1000
        )?;
        writeln!(
            f,
            "all files      {:>9.0} ms   goal {} ms: {}",
            many.millis,
            MANY.as_millis(),
            met(many.within(MANY))
        )?;
        writeln!(
            f,
            "one file       {:>9.1} ms   goal {} ms: {}",
            single.millis,
            SINGLE.as_millis(),
            met(single.within(SINGLE))
        )?;
        write!(
            f,
            "peak memory    {mib:>8} MiB   goal {} MiB: {} ({tenth_mib} MiB for a tenth of the files)",
            MEMORY_KIB / 1024,
            met(many.peak_kib <= MEMORY_KIB)
        )?;
        if let Some(Against {
            name,
            files,
            theirs,
            ours,
        }) = peer
        {
            let ratio = theirs.millis / ours.millis;
            write!(
                f,
                "\n{name:<10} {:>13.0} ms   beside {:.0} ms of ours, on {files} files: {ratio:.0}×, goal {PEER:.0}×: {}",
                theirs.millis,
                ours.millis,
                met(ratio >= PEER)
            )?;
        }
        Ok(())
    }
}
