//! `cargo xtask fuzz`: every fuzz target of `fuzz/`, for as long as one likes. What breaks a promise
//! stands in `fuzz/artifacts/TARGET`, and goes into `fuzz/corpus/TARGET` once it is mended.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

/// What to feed, and for how long.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this target
    target: Option<String>,
    /// For how many seconds each
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// An input that takes longer hangs.
const LONGEST: u64 = 1;

/// Feeds the targets.
///
/// # Errors
/// If there is no such target, cargo-fuzz cannot be started, or an input breaks a promise.
pub fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut targets = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    targets.sort();
    if let Some(wanted) = &arguments.target {
        targets.retain(|target| target == wanted);
        if targets.is_empty() {
            bail!("there is no fuzz target `{wanted}` in `fuzz/fuzz_targets`");
        }
    }
    for target in targets {
        println!("\n== {target}: {} s", arguments.seconds);
        // New inputs go into a folder of their own: the corpus holds what somebody has looked at.
        let found = root.join("fuzz/found").join(&target);
        fs::create_dir_all(&found)?;
        let status = Command::new("cargo")
            .args(["+nightly", "fuzz", "run", &target])
            .arg(&found)
            .arg(format!("fuzz/corpus/{target}"))
            .arg("--")
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg(format!("-timeout={LONGEST}"))
            .current_dir(&root)
            .status()
            .context("cannot start `cargo +nightly fuzz`")?;
        if !status.success() {
            bail!("`{target}`: what broke it is in `fuzz/artifacts/{target}`");
        }
    }
    Ok(())
}
