//! `cargo xtask test`: the same steps on a desk and in CI, each named, timed, and told how to
//! repeat alone.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The Kubernetes behaviour that the end-to-end tests are run on besides the newest.
const EMULATE: &str = "1.33";

/// Runs every step in order and stops at the first that fails.
///
/// # Errors
/// If a step cannot be started or fails; the message holds the command that repeats it.
pub fn test(e2e: bool) -> Result<()> {
    let mut done: Vec<(&str, Duration)> = Vec::new();
    let mut step = |name: &'static str, envs: &[(&str, &str)], args: &[&str]| -> Result<()> {
        let started = Instant::now();
        run(name, envs, args)?;
        done.push((name, started.elapsed()));
        Ok(())
    };
    step("format", &[], &["fmt", "--all", "--check"])?;
    step(
        "lints",
        &[],
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    step("drift", &[], &["xtask", "generate", "--check"])?;
    step(
        "tests",
        &[],
        &[
            "test",
            "--workspace",
            "--locked",
            "--exclude",
            "bulkhead-e2e",
        ],
    )?;
    step(
        "documentation",
        &[("RUSTDOCFLAGS", "-D warnings")],
        &["doc", "--workspace", "--no-deps", "--locked"],
    )?;
    step("fuzz", &[], &["xtask", "fuzz", "--gate"])?;
    if e2e {
        let args = ["test", "--locked", "-p", "bulkhead-e2e"];
        step("end-to-end, newest", &[], &args)?;
        step(
            "end-to-end, 1.33",
            &[("BULKHEAD_E2E_EMULATE", EMULATE)],
            &args,
        )?;
    }
    println!();
    for (name, took) in done {
        println!("  ok  {name:<20} {:>4} s", took.as_secs());
    }
    Ok(())
}

/// Runs the races for longer than a gate has time for. They print what came of them.
///
/// # Errors
/// If they cannot be started or fail.
pub fn races(seconds: u64) -> Result<()> {
    let seconds = seconds.to_string();
    let args = [
        "test",
        "--locked",
        "-p",
        "bulkhead-e2e",
        "--",
        "races::",
        "--nocapture",
    ];
    run("races", &[("BULKHEAD_E2E_RACES", &seconds)], &args)
}

fn run(name: &str, envs: &[(&str, &str)], args: &[&str]) -> Result<()> {
    let shown: String = envs
        .iter()
        .map(|(key, value)| format!("{key}='{value}' "))
        .chain(["cargo ".to_owned(), args.join(" ")])
        .collect();
    println!("\n== {name}: {shown}");
    let status = Command::new(env!("CARGO"))
        .args(args)
        .envs(envs.iter().copied())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("the step `{name}` failed; repeat it with `{shown}`");
    }
    Ok(())
}
