//! `cargo xtask test`: the same steps on a desk and in CI, each named, timed, and told how to
//! repeat alone.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

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

/// Looks at so many states of the ledger's model, with everything in it that can go wrong at once.
///
/// # Errors
/// If it cannot be started, or a state is found in which more exists than the limit.
pub fn model(states: u64) -> Result<()> {
    let states = states.to_string();
    let args = [
        "test",
        "--locked",
        "-p",
        "bulkhead-isolation",
        "--test",
        "ledger",
        "--",
        "no_state_of_all_at_once",
        "--nocapture",
    ];
    run("model", &[("BULKHEAD_MODEL_STATES", &states)], &args)
}

/// Flags of `cargo xtask bench tenants`.
#[derive(Args)]
pub struct Tenants {
    /// Tenants, each with a quota
    #[arg(long, default_value_t = 200)]
    tenants: u32,
    /// Namespaces of each
    #[arg(long, default_value_t = 3)]
    namespaces: u32,
    /// How long nothing happens while writes are counted
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    idle: u32,
    /// Requests to the webhook for each of two tenants
    #[arg(long, default_value_t = 400)]
    requests: u32,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the debug build: the ratios then say little
    #[arg(long)]
    debug: bool,
}

/// Measures the controller and the webhook with many tenants, on a sandbox of its own.
///
/// # Errors
/// If it cannot be started, or something is written though nothing happens. Missing another goal is no
/// error: a machine that is busy otherwise misses it too.
pub fn bench_tenants(arguments: &Tenants) -> Result<()> {
    let Tenants {
        tenants,
        namespaces,
        idle,
        requests,
        ..
    } = arguments;
    let size = format!("{tenants},{namespaces},{idle},{requests}");
    let mut envs = vec![("BULKHEAD_E2E_BENCH", size.as_str())];
    let file = arguments
        .json
        .as_ref()
        .map(std::path::absolute)
        .transpose()?;
    let file = file.as_ref().map(|file| file.display().to_string());
    envs.extend(
        file.as_deref()
            .map(|file| ("BULKHEAD_E2E_BENCH_JSON", file)),
    );
    let mut args = vec!["test", "--locked", "-p", "bulkhead-e2e"];
    if !arguments.debug {
        args.push("--release");
    }
    args.extend(["--", "bench::", "--nocapture"]);
    run("bench", &envs, &args)
}

/// Tries every client through the gateway, those too that have to be compiled. They print the
/// matrix.
///
/// # Errors
/// If they cannot be installed or fail.
pub fn clients() -> Result<()> {
    let args = [
        "test",
        "--locked",
        "-p",
        "bulkhead-e2e",
        "--",
        "clients::",
        "--nocapture",
    ];
    run("clients", &[("BULKHEAD_E2E_CLIENTS", "1")], &args)
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
