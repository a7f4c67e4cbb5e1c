//! `cargo xtask bench psp`: what an evaluation of a pod by twenty PodSecurityPolicies costs, beside the
//! original plugin in the same run.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

/// Flags of `cargo xtask bench psp`.
#[derive(Args)]
pub struct Arguments {
    /// For how many seconds each of the two runs
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

/// Builds with optimization, and measures. Missing a goal is no error.
///
/// # Errors
/// If it cannot be built or started.
pub fn run(arguments: &Arguments) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args([
            "bench",
            "--quiet",
            "-p",
            "bulkhead-psp",
            "--bench",
            "evaluate",
        ])
        .env("BULKHEAD_PSP_BENCH_SECONDS", arguments.seconds.to_string())
        .status()
        .context("cannot start `cargo bench`")?;
    if !status.success() {
        bail!("the measurement failed");
    }
    Ok(())
}
