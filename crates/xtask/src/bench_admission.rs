//! `cargo xtask bench admission`: what admission by our webhook costs beside a webhook that
//! decides nothing, on the same server code, in the same run.

pub(crate) mod client;
mod review;
pub(crate) mod servers;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::bench_admission::client::{Client, Samples};
use crate::bench_admission::servers::Running;
use crate::bench_admission::table::{Outcome, Side};

/// The median of our webhook, in medians of the empty one.
const GOAL: f64 = 1.3;

/// Flags of `cargo xtask bench admission`.
#[derive(Args)]
pub struct Arguments {
    /// Rounds; in each both servers are driven, in turns
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Requests per round and server, one after the other
    #[arg(long, default_value_t = 500)]
    requests: u32,
    /// Connections that send at once when the throughput is measured
    #[arg(long, default_value_t = 8)]
    connections: u32,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be one of the servers (used by the bench itself)
    #[arg(long, hide = true)]
    serve: Option<Kind>,
    /// The folder of the server's certificate
    #[arg(long, hide = true, requires = "serve")]
    folder: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The webhook, with one namespace in its cache.
    Webhook,
    /// Reads the body whole, finds the uid in it and skips the rest, answers "allowed".
    Empty,
}

/// Runs the bench, in a release build whatever this one is.
///
/// # Errors
/// If a server cannot be started or gives a wrong answer. Missing the goal is no error: a
/// machine that is busy otherwise misses it too.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let (Some(kind), Some(folder)) = (arguments.serve, &arguments.folder) {
        return runtime()?.block_on(servers::serve(kind, folder));
    }
    if cfg!(debug_assertions) {
        return in_release();
    }
    let outcome = runtime()?.block_on(measure(arguments))?;
    println!("{outcome}");
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&outcome.json())?;
        fs::write(file, json + "\n")
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Figures of an unoptimised build say nothing.
pub(crate) fn in_release() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "bulkhead-xtask",
            "--",
        ])
        .args(std::env::args_os().skip(1))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the release build of the bench failed");
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let roots = servers::certificate(folder.path())?;
    let mut webhook = Driven::start(Kind::Webhook, folder.path(), &roots, arguments).await?;
    let mut empty = Driven::start(Kind::Empty, folder.path(), &roots, arguments).await?;
    webhook.check().await?;
    empty.check().await?;

    webhook.warm_up(arguments).await?;
    empty.warm_up(arguments).await?;
    let mut ratios = Vec::new();
    for round in 0..arguments.rounds {
        // Whatever disturbs the machine disturbs both, and neither always goes first.
        let (first, second) = if round % 2 == 0 {
            (&mut webhook, &mut empty)
        } else {
            (&mut empty, &mut webhook)
        };
        first.round(arguments).await?;
        second.round(arguments).await?;
        ratios.push(webhook.last_p50 / empty.last_p50);
    }
    Ok(Outcome {
        goal: GOAL,
        rounds: arguments.rounds,
        requests: u64::from(arguments.rounds) * u64::from(arguments.requests),
        connections: arguments.connections,
        bytes: review::reviews()?
            .iter()
            .map(|(_, body)| body.len())
            .collect(),
        ratios,
        webhook: webhook.finish()?,
        empty: empty.finish()?,
    })
}

/// A server and its clients.
struct Driven {
    server: Running,
    single: Client,
    many: Vec<Client>,
    alone: Samples,
    crowd: Samples,
    last_p50: f64,
}

impl Driven {
    async fn start(
        kind: Kind,
        folder: &std::path::Path,
        roots: &rustls::RootCertStore,
        arguments: &Arguments,
    ) -> Result<Self> {
        let server = Running::start(kind, folder)?;
        let mut many = Vec::new();
        for _ in 0..arguments.connections {
            many.push(Client::connect(server.address, roots).await?);
        }
        Ok(Self {
            single: Client::connect(server.address, roots).await?,
            many,
            alone: Samples::new()?,
            crowd: Samples::new()?,
            last_p50: f64::NAN,
            server,
        })
    }

    /// Measures nothing before the answers are those that should be measured.
    async fn check(&mut self) -> Result<()> {
        for (path, body) in review::reviews()? {
            let answer = self.single.send(path, body.clone()).await?;
            review::check(self.server.kind, path, &answer)?;
        }
        Ok(())
    }

    async fn warm_up(&mut self, arguments: &Arguments) -> Result<()> {
        client::alone(&mut self.single, arguments.requests).await?;
        client::crowd(&mut self.many, arguments.requests).await?;
        Ok(())
    }

    async fn round(&mut self, arguments: &Arguments) -> Result<()> {
        let alone = client::alone(&mut self.single, arguments.requests).await?;
        self.last_p50 = alone.quantile(0.5);
        self.alone.add(&alone)?;
        self.crowd
            .add(&client::crowd(&mut self.many, arguments.requests).await?)?;
        Ok(())
    }

    fn finish(self) -> Result<Side> {
        Ok(Side {
            p50: self.alone.quantile(0.5),
            p99: self.alone.quantile(0.99),
            throughput: self.crowd.rate(),
            peak_kib: self.server.peak_kib()?,
        })
    }
}
