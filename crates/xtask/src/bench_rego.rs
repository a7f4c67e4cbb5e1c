//! `cargo xtask bench rego`: the same templates, constraints and reviews through our webhook and
//! through Gatekeeper's code, each a process of its own, in the same run.
//!
//! Theirs is `oracles/rego/cmd/webhook`: Gatekeeper's constraint client and Rego driver behind the
//! handler that its webhook uses, without a cluster; its manager would only add to it.

mod cases;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use crate::bench_admission::client::{Client, Samples};
use crate::bench_rego::servers::{Running, Side};

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
        return crate::bench_admission::in_release();
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
    let theirs = servers::build(folder.path())?;
    let roots = crate::bench_admission::servers::certificate(folder.path())?;
    let (templates, constraints) = cases::policies()?;
    let bodies = cases::reviews()?;
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
        let starts = [
            Running::ours(&file, folder.path(), workers)?,
            Running::theirs(&theirs, &file, folder.path(), workers)?,
        ];
        let mut sides = Vec::new();
        for server in starts {
            let mut many = Vec::new();
            for _ in 0..arguments.connections {
                many.push(Client::connect(server.address, &roots).await?);
            }
            sides.push(Driven {
                single: Client::connect(server.address, &roots).await?,
                many,
                alone: Samples::new()?,
                crowd: Samples::new()?,
                server,
            });
        }
        let [ours, theirs] = sides.as_mut_slice() else {
            anyhow::bail!("there are two sides");
        };
        same_verdicts(ours, theirs, &bodies).await?;
        // Warm.
        ours.round(&bodies, arguments).await?;
        theirs.round(&bodies, arguments).await?;
        for side in [&mut *ours, &mut *theirs] {
            (side.alone, side.crowd) = (Samples::new()?, Samples::new()?);
        }
        for round in 0..arguments.rounds {
            if round % 2 == 0 {
                ours.round(&bodies, arguments).await?;
                theirs.round(&bodies, arguments).await?;
            } else {
                theirs.round(&bodies, arguments).await?;
                ours.round(&bodies, arguments).await?;
            }
        }
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

/// A server and its clients.
struct Driven {
    server: Running,
    single: Client,
    many: Vec<Client>,
    alone: Samples,
    crowd: Samples,
}

impl Driven {
    async fn round(&mut self, bodies: &[Bytes], arguments: &Arguments) -> Result<()> {
        let path = self.server.path;
        let alone = drive(&mut self.single, path, bodies, arguments.requests).await?;
        self.alone.add(&alone)?;
        let share = arguments.requests.div_ceil(arguments.connections.max(1));
        let began = Instant::now();
        let mut tasks = Vec::new();
        for mut client in self.many.drain(..) {
            let bodies = bodies.to_vec();
            tasks.push(tokio::spawn(async move {
                let samples = drive(&mut client, path, &bodies, share).await;
                (client, samples)
            }));
        }
        let mut all = Samples::new()?;
        for task in tasks {
            let (client, samples) = task.await?;
            self.many.push(client);
            all.add(&samples?)?;
        }
        all.elapsed = began.elapsed();
        self.crowd.add(&all)
    }

    fn figures(&self) -> Result<Side> {
        Ok(Side {
            p50: self.alone.quantile(0.5),
            p99: self.alone.quantile(0.99),
            throughput: self.crowd.rate(),
            peak_kib: self.server.peak_kib()?,
        })
    }
}

async fn drive(
    client: &mut Client,
    path: &'static str,
    bodies: &[Bytes],
    requests: u32,
) -> Result<Samples> {
    let mut samples = Samples::new()?;
    let began = Instant::now();
    for body in bodies.iter().cycle().take(requests as usize) {
        let sent = Instant::now();
        client.send(path, body.clone()).await?;
        let taken = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        samples.nanoseconds.record(taken)?;
    }
    samples.elapsed = began.elapsed();
    Ok(samples)
}

/// Measures nothing before both let in the same and refuse the same, with as many messages.
async fn same_verdicts(ours: &mut Driven, theirs: &mut Driven, bodies: &[Bytes]) -> Result<()> {
    let mut refused = 0;
    for body in bodies {
        let mut verdicts = Vec::new();
        for side in [&mut *ours, &mut *theirs] {
            let answer = side.single.send(side.server.path, body.clone()).await?;
            verdicts.push(cases::verdict(&answer)?);
        }
        ensure!(
            verdicts.first() == verdicts.last(),
            "the verdicts differ: {verdicts:?} about {}",
            String::from_utf8_lossy(body)
        );
        if let Some((false, _)) = verdicts.first() {
            refused += 1;
        }
    }
    ensure!(refused > 0, "the policies refuse nothing");
    Ok(())
}
