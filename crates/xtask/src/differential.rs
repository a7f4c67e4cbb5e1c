//! `cargo xtask differential`: the tests that ask an original, with as many cases as one has time for.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

#[derive(Args)]
pub struct Arguments {
    /// How many cases are made
    #[arg(long, default_value_t = 200_000)]
    cases: u64,
    /// Where the generator starts; another number makes other cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the differential test of PodSecurityPolicies, and prints cases and differences.
///
/// # Errors
/// If it cannot be started, or something differs.
pub fn psp(arguments: &Arguments) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "-p",
            "bulkhead-psp",
            "--test",
            "suite",
            "differential::",
        ])
        .args(["--", "--nocapture"])
        .env("BULKHEAD_PSP_CASES", arguments.cases.to_string())
        .env("BULKHEAD_PSP_SEED", arguments.seed.to_string())
        .status()
        .context("cannot start the test")?;
    if !status.success() {
        bail!("something differs from the original");
    }
    Ok(())
}
