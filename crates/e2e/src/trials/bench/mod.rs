//! `cargo xtask bench tenants`: what keeping many tenants apart costs, in ratios against a bare client
//! of the same API server in the same run. No trial of the gate: it is there only if
//! `BULKHEAD_E2E_BENCH` says how large it is to be.

mod bare;
mod crowd;
mod reviews;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::leaders::{CONTROLLER, signal};
use crate::Check;
use crate::bed::Bed;

pub(super) fn trials() -> &'static [(&'static str, Check)] {
    match std::env::var_os(SIZE) {
        Some(_) => &[("bench::tenants", tenants)],
        None => &[],
    }
}

/// Tenants, namespaces of each, seconds of idling, requests to the webhook: `200,3,30,400`.
const SIZE: &str = "BULKHEAD_E2E_BENCH";
/// Where the figures go as JSON, if anywhere.
const FIGURES: &str = "BULKHEAD_E2E_BENCH_JSON";
/// How many requests are under way at a time where it is not one.
const AT_ONCE: usize = 8;
/// What the controller says when it has seen to everything.
const SETTLED: &str = "all observed: nothing is left to do";

#[derive(Debug, Clone, Copy)]
struct Size {
    tenants: usize,
    namespaces: usize,
    idle: Duration,
    reviews: usize,
}

impl Size {
    fn read() -> anyhow::Result<Self> {
        let written = std::env::var(SIZE)?;
        let numbers: Vec<u64> = written
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("`{SIZE}` is `{written}`, not four numbers"))?;
        let [tenants, namespaces, idle, reviews] = numbers[..] else {
            anyhow::bail!("`{SIZE}` is `{written}`, not four numbers");
        };
        Ok(Self {
            tenants: usize::try_from(tenants)?,
            namespaces: usize::try_from(namespaces)?,
            idle: Duration::from_secs(idle),
            reviews: usize::try_from(reviews)?,
        })
    }

    /// How long anything may take before the bench gives up.
    fn patience(self) -> Duration {
        Duration::from_secs(120)
            + Duration::from_millis(500) * u32::try_from(self.tenants).unwrap_or(u32::MAX)
    }
}

fn tenants(bed: &Bed) -> anyhow::Result<()> {
    let size = Size::read()?;
    let client = bed.kube_admin()?;
    // All is there before the controller is: its work alone is measured.
    end_controller(bed)?;
    bed.wait(crowd::arrive(&client, size))?;
    let mark = bed.last_stamp()?;
    let began = Instant::now();
    bed.start_without_waiting("controller")?;
    bed.wait(crowd::ready(&client, size, began + size.patience()))?;
    let ready = began.elapsed();
    quiet(bed, size)?;
    let writes = bed.count_writes(&mark, CONTROLLER)?;
    let peak = peak_kib(bed.pid("controller")?)?;

    let mark = bed.last_stamp()?;
    std::thread::sleep(size.idle);
    let idle = bed.count_writes(&mark, CONTROLLER)?;

    let objects = bed.wait(bare::objects(&client))?;
    let one = bed.wait(bare::apply(&client, &objects, "one", 1))?;
    let many = bed.wait(bare::apply(&client, &objects, "many", AT_ONCE))?;

    let mut restarts = Vec::new();
    for _ in 0..3 {
        let list = bed.wait(bare::list(&client))?;
        restarts.push((restart(bed, size)?, list));
    }
    let (restart, list) = median(&mut restarts, |(restart, list)| {
        restart.as_secs_f64() / list.as_secs_f64()
    })
    .context("no restart")?;
    let reviews = reviews::compare(bed, size.reviews)?;

    let rate = writes as f64 / ready.as_secs_f64();
    let peak_mib = peak as f64 / 1024.0;
    let figures = json!({
        "bench": "tenants", "tenants": size.tenants, "namespaces": size.tenants * size.namespaces,
        "writes": writes, "readySeconds": ready.as_secs_f64(), "writesPerSecond": rate,
        "bare": {"objects": objects.len(), "onePerSecond": one, "manyPerSecond": many, "many": AT_ONCE},
        "ratio": {"one": rate / one, "many": rate / many},
        "restart": {"seconds": restart.as_secs_f64(), "listSeconds": list.as_secs_f64(),
                    "ratio": restart.as_secs_f64() / list.as_secs_f64()},
        "peakMib": peak_mib,
        "idle": {"seconds": size.idle.as_secs(), "writes": idle},
        "webhook": reviews.json(),
    });
    println!(
        "\n{} tenants with {} namespaces\n\
         to Ready               {:>10.1} s   {writes} writes of ours, {rate:.0} in a second\n\
         beside a bare loop     {:>10.2} ×   {one:.0} in a second, one at a time\n\
         beside {AT_ONCE} at a time     {:>10.2} ×   {many:.0} in a second             goal: at least 0.80 ×\n\
         restart beside a list  {:>10.2} ×   {:.2} s and {:.2} s               goal: at most 1.50 ×\n\
         controller's peak      {peak_mib:>10.0} MiB                              goal: at most 200 MiB\n\
         writes while idle      {idle:>10}     in {} s                        goal: none\n\
         {reviews}",
        size.tenants,
        size.tenants * size.namespaces,
        ready.as_secs_f64(),
        rate / one,
        rate / many,
        restart.as_secs_f64() / list.as_secs_f64(),
        restart.as_secs_f64(),
        list.as_secs_f64(),
        size.idle.as_secs(),
    );
    if let Some(file) = std::env::var_os(FIGURES) {
        std::fs::write(&file, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    // Times depend on the machine; this does not.
    ensure!(idle == 0, "{idle} writes though nothing happened");
    Ok(())
}

/// Asked to end, it lets go of its lease: the next need not wait for that to run out.
fn end_controller(bed: &Bed) -> anyhow::Result<()> {
    let pid = bed.pid("controller")?;
    signal(pid, "-TERM")?;
    let began = Instant::now();
    while bed.pid("controller").is_ok_and(|now| now == pid) {
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "the controller does not end"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn settled(bed: &Bed) -> anyhow::Result<usize> {
    let log = std::fs::read_to_string(bed.layout.log("controller"))?;
    Ok(log.matches(SETTLED).count())
}

/// From the start of a controller to its word that nothing is left to do.
fn restart(bed: &Bed, size: Size) -> anyhow::Result<Duration> {
    end_controller(bed)?;
    let before = settled(bed)?;
    let began = Instant::now();
    bed.start_without_waiting("controller")?;
    while settled(bed)? == before {
        ensure!(
            began.elapsed() < size.patience(),
            "the controller does not settle"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(began.elapsed())
}

/// Statuses and usage follow within seconds: waits until nothing has been written for a while.
fn quiet(bed: &Bed, size: Size) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let mark = bed.last_stamp()?;
        std::thread::sleep(Duration::from_secs(10));
        if bed.count_writes(&mark, CONTROLLER)? == 0 {
            return Ok(());
        }
        ensure!(
            began.elapsed() < size.patience(),
            "the controller never stops writing"
        );
    }
}

/// The most memory that a process ever held.
fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(number
        .with_context(|| format!("`{path}` has no VmHWM"))?
        .parse()?)
}

/// The one in the middle.
fn median<T: Copy>(list: &mut [T], by: impl Fn(&T) -> f64) -> Option<T> {
    list.sort_by(|a, b| by(a).total_cmp(&by(b)));
    list.get(list.len() / 2).copied()
}
