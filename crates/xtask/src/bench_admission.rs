//! `cargo xtask bench admission`: what admission by our webhook costs beside a webhook that
//! decides nothing, on the same server code, in the same run.

mod review;
mod servers;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rustls::RootCertStore;

use crate::bench::{self, Driven};
use crate::bench_admission::table::Outcome;

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
        return bench::in_release();
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

async fn measure(arguments: &Arguments) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let roots = bench::certificate(folder.path())?;
    let asked = review::reviews()?;
    let mut webhook = start(Kind::Webhook, folder.path(), &roots, arguments).await?;
    let mut empty = start(Kind::Empty, folder.path(), &roots, arguments).await?;
    webhook.warm_up(asked, arguments.requests).await?;
    empty.warm_up(asked, arguments.requests).await?;
    let ratios = bench::in_turns(
        (&mut webhook, asked),
        (&mut empty, asked),
        arguments.rounds,
        arguments.requests,
    )
    .await?;
    Ok(Outcome {
        goal: GOAL,
        rounds: arguments.rounds,
        requests: u64::from(arguments.rounds) * u64::from(arguments.requests),
        connections: arguments.connections,
        bytes: asked.iter().map(|(_, body)| body.len()).collect(),
        ratios,
        webhook: webhook.figures()?,
        empty: empty.figures()?,
    })
}

/// Starts a server. Nothing is measured before the answers are those that should be measured.
async fn start(
    kind: Kind,
    folder: &Path,
    roots: &RootCertStore,
    arguments: &Arguments,
) -> Result<Driven> {
    let server = servers::start(kind, folder)?;
    let mut driven = Driven::connect(server, roots, arguments.connections).await?;
    for (path, body) in review::reviews()? {
        let answer = driven.single.send(path, body.clone()).await?;
        review::check(kind, path, &answer)?;
    }
    Ok(driven)
}
