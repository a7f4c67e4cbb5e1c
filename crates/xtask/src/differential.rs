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
    run("bulkhead-psp", "BULKHEAD_PSP", arguments)
}

/// Runs the differential test of policies in Rego, and prints cases and differences. A case is
/// the verdict of one constraint, or of one generated program, on one input.
///
/// # Errors
/// If it cannot be started, or something differs.
pub fn rego(arguments: &Arguments) -> Result<()> {
    run("bulkhead-rego", "BULKHEAD_REGO", arguments)
}

fn run(package: &str, variables: &str, arguments: &Arguments) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["test", "-p", package, "--test", "suite", "differential::"])
        .args(["--", "--nocapture"])
        .env(format!("{variables}_CASES"), arguments.cases.to_string())
        .env(format!("{variables}_SEED"), arguments.seed.to_string())
        .status()
        .context("cannot start the test")?;
    if !status.success() {
        bail!("something differs from the original");
    }
    Ok(())
}
