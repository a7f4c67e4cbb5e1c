//! What benches of servers share: two servers are driven in turns, in one run.

mod client;
mod server;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustls::RootCertStore;
use serde::Serialize;

use self::client::Samples;
pub(crate) use self::client::{Asked, Client};
pub(crate) use self::server::{CERTIFICATE, KEY, Running, certificate, serve, serve_webhook};

/// Figures of one server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Side {
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
    /// Requests per second over all connections.
    pub(crate) throughput: f64,
    /// `VmHWM`.
    pub(crate) peak_kib: u64,
}

/// A server, its clients, and what they measured.
pub(crate) struct Driven {
    server: Running,
    pub(crate) single: Client,
    many: Vec<Client>,
    alone: Samples,
    crowd: Samples,
    last_p50: f64,
}

impl Driven {
    /// Connects to a server: once, and so many times besides.
    pub(crate) async fn connect(
        server: Running,
        roots: &RootCertStore,
        connections: u32,
    ) -> Result<Self> {
        let mut many = Vec::new();
        for _ in 0..connections {
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

    /// Asks as in a round, and measures nothing.
    pub(crate) async fn warm_up(&mut self, asked: &Asked, requests: u32) -> Result<()> {
        client::alone(&mut self.single, asked, requests).await?;
        client::crowd(&mut self.many, asked, requests).await?;
        Ok(())
    }

    async fn round(&mut self, asked: &Asked, requests: u32) -> Result<()> {
        let alone = client::alone(&mut self.single, asked, requests).await?;
        self.last_p50 = alone.quantile(0.5);
        self.alone.add(&alone)?;
        let crowd = client::crowd(&mut self.many, asked, requests).await?;
        self.crowd.add(&crowd)
    }

    /// What was measured.
    pub(crate) fn figures(&self) -> Result<Side> {
        Ok(Side {
            p50: self.alone.quantile(0.5),
            p99: self.alone.quantile(0.99),
            throughput: self.crowd.rate(),
            peak_kib: self.server.peak_kib()?,
        })
    }
}

/// Drives two servers, each with what it is asked, and gives the ratio of their medians in each round.
/// Whatever disturbs the machine disturbs both, and neither always goes first.
pub(crate) async fn in_turns(
    (ours, to_ours): (&mut Driven, &Asked),
    (theirs, to_theirs): (&mut Driven, &Asked),
    rounds: u32,
    requests: u32,
) -> Result<Vec<f64>> {
    let mut ratios = Vec::new();
    for round in 0..rounds {
        if round % 2 == 0 {
            ours.round(to_ours, requests).await?;
            theirs.round(to_theirs, requests).await?;
        } else {
            theirs.round(to_theirs, requests).await?;
            ours.round(to_ours, requests).await?;
        }
        ratios.push(ours.last_p50 / theirs.last_p50);
    }
    Ok(ratios)
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
