//! One run of a program: how long, and how much memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// What a run took.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    /// From the start of the process to its end.
    pub(super) millis: f64,
    /// The most memory that was resident, as far as it was seen.
    pub(super) peak_kib: u64,
}

impl Run {
    pub(super) fn within(&self, goal: Duration) -> bool {
        self.millis <= goal.as_secs_f64() * 1000.0
    }
}

/// How often memory is looked at. The kernel keeps the peak, so only what comes between the last
/// look and the end is missed.
const LOOK: Duration = Duration::from_millis(1);

/// Runs a program to its end, what it writes thrown away; what it took, and its exit code.
pub(super) fn run_once(mut command: Command) -> Result<(Run, Option<i32>)> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak(&status_file).unwrap_or(0).max(peak_kib);
        std::thread::sleep(LOOK);
    };
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    Ok((Run { millis, peak_kib }, status.code()))
}

fn peak(status_file: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status_file).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
