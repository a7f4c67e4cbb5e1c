//! `cargo xtask bench rego`: the same templates, constraints and reviews through our webhook and
//! through Gatekeeper's code, each a process of its own, in the same run.
//!
//! Theirs is `oracles/rego/cmd/webhook`: Gatekeeper's constraint client and Rego driver behind the
//! handler that its webhook uses, without a cluster; its manager would only add to it.

mod cases;
mod servers;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::bench::{self, Asked, Driven, Side};

/// How many times their throughput ours is, at least.
const THROUGHPUT: f64 = 10.0;
/// Which part of their p99 ours is, at most.
const P99: f64 = 0.2;
/// Which part of their memory ours is, at most.
const MEMORY: f64 = 0.25;

/// Flags of `cargo xtask bench rego`.
#[derive(Args)]
pub struct Arguments {
    /// Rounds; in each both are driven, in turns
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Requests per round and server, one after the other; as many again at once
    #[arg(long, default_value_t = 400)]
    requests: u32,
    /// Connections that send at once when the throughput is measured
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be our webhook, with the policies of this file (used by the bench itself)
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
    /// The folder of the server's certificate
    #[arg(long, hide = true, requires = "serve")]
    folder: Option<PathBuf>,
    /// How many threads evaluate
    #[arg(long, hide = true, default_value_t = 1)]
    workers: usize,
}

/// Runs the bench, in a release build whatever this one is.
///
/// # Errors
/// If a server cannot be started, or the two give different verdicts. Missing a goal is no error: a
/// machine that is busy otherwise misses it too.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let (Some(policies), Some(folder)) = (&arguments.serve, &arguments.folder) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(arguments.workers)
            // One waits for the input to end.
            .max_blocking_threads(arguments.workers + 1)
            .enable_all()
            .build()?;
        return runtime.block_on(servers::serve(policies, folder));
    }
    if cfg!(debug_assertions) {
        return bench::in_release();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let rows = runtime.block_on(measure(arguments))?;
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&json!({"bench": "rego", "rows": rows}))?;
        fs::write(file, text + "\n")?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let theirs_program = servers::build(folder.path())?;
    let roots = bench::certificate(folder.path())?;
    let (templates, constraints) = cases::policies()?;
    let bodies = cases::reviews()?;
    let at = |path| bodies.iter().map(|body| (path, body.clone())).collect();
    let (to_ours, to_theirs): (Vec<_>, Vec<_>) = (at("/rego"), at("/v1/admit"));
    println!(
        "{} templates, {} reviews in turns, over HTTP/2 and TLS; throughput over {} connections.",
        templates.len(),
        bodies.len(),
        arguments.connections
    );
    println!(
        "Ours evaluates by the engine's interpreter; its virtual machine is not used (docs/rego.md).\n"
    );
    println!(
        "{:>11} {:>7}  {:<11}{:>10}{:>11}{:>12}{:>11}",
        "constraints", "workers", "", "p50", "p99", "throughput", "memory"
    );
    let base = constraints.len();
    let mut rows = Vec::new();
    for (count, workers) in [(base, 1), (base, 2), (50, 1), (100, 1), (200, 1)] {
        let file = folder.path().join("policies.json");
        let many = cases::grown(&constraints, count);
        let policies = json!({"templates": templates, "constraints": many});
        fs::write(&file, policies.to_string())?;
        let mut ours = Driven::connect(
            servers::ours(&file, folder.path(), workers)?,
            &roots,
            arguments.connections,
        )
        .await?;
        let mut theirs = Driven::connect(
            servers::theirs(&theirs_program, &file, folder.path(), workers)?,
            &roots,
            arguments.connections,
        )
        .await?;
        same_verdicts((&mut ours, &to_ours), (&mut theirs, &to_theirs)).await?;
        ours.warm_up(&to_ours, arguments.requests).await?;
        theirs.warm_up(&to_theirs, arguments.requests).await?;
        bench::in_turns(
            (&mut ours, &to_ours),
            (&mut theirs, &to_theirs),
            arguments.rounds,
            arguments.requests,
        )
        .await?;
        let (ours, theirs) = (ours.figures()?, theirs.figures()?);
        print(count, workers, &ours, &theirs);
        rows.push(json!({
            "constraints": count, "workers": workers, "ours": ours, "gatekeeper": theirs,
        }));
    }
    Ok(rows)
}

fn print(count: usize, workers: usize, ours: &Side, theirs: &Side) {
    let row = |name: &str, side: &Side| {
        println!(
            "{count:>11} {workers:>7}  {name:<11}{:>7.0} µs{:>8.0} µs{:>10.0}/s{:>8} kB",
            side.p50, side.p99, side.throughput, side.peak_kib
        );
    };
    row("ours", ours);
    row("Gatekeeper", theirs);
    let throughput = ours.throughput / theirs.throughput;
    let p99 = ours.p99 / theirs.p99;
    let memory = ours.peak_kib as f64 / theirs.peak_kib as f64;
    let met = |met: bool| if met { "met" } else { "missed" };
    println!(
        "{:>21}throughput {throughput:.1}× (goal {THROUGHPUT}×: {}), p99 {p99:.3} (goal {P99}: {}), memory {memory:.2} (goal {MEMORY}: {})\n",
        "",
        met(throughput >= THROUGHPUT),
        met(p99 <= P99),
        met(memory <= MEMORY)
    );
}

/// Measures nothing before both let in the same and refuse the same, with as many messages.
async fn same_verdicts(
    (ours, to_ours): (&mut Driven, &Asked),
    (theirs, to_theirs): (&mut Driven, &Asked),
) -> Result<()> {
    let mut refused = 0;
    for ((our_path, body), (their_path, _)) in to_ours.iter().zip(to_theirs) {
        let one = cases::verdict(&ours.single.send(our_path, body.clone()).await?)?;
        let other = cases::verdict(&theirs.single.send(their_path, body.clone()).await?)?;
        ensure!(
            one == other,
            "the verdicts differ: {:?} about {}",
            [one, other],
            String::from_utf8_lossy(body)
        );
        if !one.0 {
            refused += 1;
        }
    }
    ensure!(refused > 0, "the policies refuse nothing");
    Ok(())
}
