//! The figures, for people and for machines.

use std::fmt;

use serde_json::{Value, json};

use crate::bench::Side;

/// Everything that was measured.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) goal: f64,
    pub(super) rounds: u32,
    pub(super) requests: u64,
    pub(super) connections: u32,
    /// Sizes of the bodies.
    pub(super) bytes: Vec<usize>,
    /// The ratio of the medians in each round.
    pub(super) ratios: Vec<f64>,
    pub(super) webhook: Side,
    pub(super) empty: Side,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.webhook.p50 / self.empty.p50
    }

    fn spread(&self) -> (f64, f64) {
        let fold = |pick: fn(f64, f64) -> f64| self.ratios.iter().copied().fold(f64::NAN, pick);
        (fold(f64::min), fold(f64::max))
    }

    /// The figures for a machine. Times are in microseconds.
    pub(super) fn json(&self) -> Value {
        let (low, high) = self.spread();
        json!({
            "bench": "admission", "rounds": self.rounds, "requests": self.requests,
            "connections": self.connections, "bodyBytes": self.bytes,
            "webhook": self.webhook, "empty": self.empty,
            "ratio": {
                "p50": self.ratio(), "p50PerRound": [low, high],
                "p99": self.webhook.p99 / self.empty.p99,
                "throughput": self.webhook.throughput / self.empty.throughput,
                "peak": self.webhook.peak_kib as f64 / self.empty.peak_kib as f64,
            },
            "goal": {"p50": self.goal, "met": self.ratio() <= self.goal},
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (webhook, empty) = (&self.webhook, &self.empty);
        let sizes: Vec<String> = self
            .bytes
            .iter()
            .map(|bytes| format!("{bytes} bytes"))
            .collect();
        writeln!(
            f,
            "A pod of three containers to /mutate and /validate in turns ({}),",
            sizes.join(", ")
        )?;
        writeln!(
            f,
            "{} requests to each server in {} rounds, over HTTP/2 and TLS; throughput over {} connections.",
            self.requests, self.rounds, self.connections
        )?;
        writeln!(
            f,
            "`empty` reads the body whole, finds the uid, skips the rest and allows.\n"
        )?;
        writeln!(
            f,
            "{:<14}{:>12}{:>12}{:>9}",
            "", "webhook", "empty", "ratio"
        )?;
        let mut row = |name: &str, ours: f64, theirs: f64, unit: &str| {
            let (a, b) = (format!("{ours:.0} {unit}"), format!("{theirs:.0} {unit}"));
            writeln!(f, "{name:<14}{a:>12}{b:>12}{:>8.2}×", ours / theirs)
        };
        row("p50", webhook.p50, empty.p50, "µs")?;
        row("p99", webhook.p99, empty.p99, "µs")?;
        row("throughput", webhook.throughput, empty.throughput, "/s")?;
        row(
            "peak memory",
            webhook.peak_kib as f64,
            empty.peak_kib as f64,
            "kB",
        )?;
        let (low, high) = self.spread();
        let met = if self.ratio() <= self.goal {
            "met"
        } else {
            "missed"
        };
        write!(
            f,
            "\ngoal: p50 at most {:.2}×: {met} ({:.2}×; {low:.2}× to {high:.2}× by round)",
            self.goal,
            self.ratio()
        )
    }
}
