//! What one evaluation costs: a pod held to twenty policies, beside the original in the same run. Both
//! begin with the pod as an object in memory, and end with a verdict and the mutated pod's fields.
//! `cargo xtask bench psp` runs it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement fails by panicking"
)]

#[path = "../tests/suite/draw.rs"]
mod draw;
#[path = "../tests/suite/some_pods.rs"]
mod some_pods;
#[path = "../tests/suite/some_policies.rs"]
#[expect(dead_code, reason = "policies that are wrong are the tests'")]
mod some_policies;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bulkhead_model::Json;
use bulkhead_oracle::Oracle;
use bulkhead_psp::{Pod, PodSecurityPolicy, Policies, Verdict, complaints, parse};
use serde_json::{Value, json};

use draw::Draw;

/// As the webhook has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static ORACLE: Oracle = Oracle::new("oracles/psp", ".", env!("CARGO_TARGET_TMPDIR"));

/// How many policies a pod is held to.
const POLICIES: usize = 20;
/// Goals: evaluations a second on one core, and how many times as fast as the original.
const GOAL: f64 = 100_000.0;
const RATIO: f64 = 10.0;

fn number(name: &str, default: u32) -> u32 {
    let said = std::env::var(name).ok();
    said.map_or(default, |said| said.parse().unwrap())
}

/// Twenty valid policies, from ones that fit most pods to ones that fit few. A usual name sorts the
/// narrow ones first.
fn policies(draw: &mut Draw) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < POLICIES {
        let strictness = 100 - 4 * all.len();
        let written = some_policies::policy(draw, &format!("p{:02}", all.len()), strictness);
        let policy = parse(&written).unwrap();
        let usable = Policies::new([&policy]).unusable().is_empty();
        if usable && complaints(&policy).is_empty() {
            all.push(written);
        }
    }
    all
}

fn main() {
    // `cargo bench` says so; a test run compiles it and leaves it at that.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds = number("BULKHEAD_PSP_BENCH_SECONDS", 5);
    let mut draw = Draw(1);
    let written = policies(&mut draw);
    let read: Vec<PodSecurityPolicy> = written.iter().map(|one| parse(one).unwrap()).collect();
    let policies = Policies::new(&read);
    let pods: Vec<Value> = (0..60)
        .map(|index| some_pods::pod(&mut draw, [2, 10, 30][index % 3]))
        .collect();
    let grants: Vec<Value> = (0..POLICIES)
        .map(|index| json!({"group": "policy", "name": format!("p{index:02}")}))
        .collect();
    let theirs = original(&written, &pods, &grants, seconds);
    let (ours, admitted) = ours(&policies, &pods, seconds);
    let (ours_rate, theirs_rate) = (1.0 / ours.as_secs_f64(), 1.0 / theirs.as_secs_f64());
    let ratio = ours_rate / theirs_rate;
    let met = |met: bool| if met { "met" } else { "missed" };
    println!(
        "{} pods, {admitted} of them admitted, {POLICIES} policies, one core\n",
        pods.len()
    );
    println!(
        "ours       {ours_rate:>10.0} a second  ({ours:?} each)   goal {GOAL}: {}",
        met(ours_rate >= GOAL)
    );
    println!("original   {theirs_rate:>10.0} a second  ({theirs:?} each)");
    println!(
        "ratio      {ratio:>10.1}                                goal {RATIO}: {}",
        met(ratio >= RATIO)
    );
}

/// What one evaluation costs, over all pods, and how many were admitted.
fn ours(policies: &Policies, pods: &[Value], seconds: u32) -> (Duration, usize) {
    let objects: Vec<Json<'_>> = pods.iter().map(Json::from).collect();
    let evaluate = |object| {
        let pod = Pod::read(object).unwrap();
        policies.admit(&pod, &|_| Some(true))
    };
    let verdicts: Vec<Verdict> = objects.iter().map(evaluate).collect();
    let admitted = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Admitted(_)))
        .count();
    let started = Instant::now();
    let before = cpu_time();
    let most = Duration::from_secs(seconds.into());
    let mut count = 0;
    while started.elapsed() < most {
        for object in &objects {
            black_box(evaluate(black_box(object)));
            count += 1;
        }
    }
    let spent = match (before, cpu_time()) {
        (Some(before), Some(after)) => after - before,
        _ => started.elapsed(),
    };
    (spent / count, admitted)
}

/// What this thread has spent, if the system says it: the work of others on the machine does not count.
fn cpu_time() -> Option<Duration> {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = said.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The same of the plugin of Kubernetes 1.24, measured inside its process.
fn original(policies: &[Value], pods: &[Value], grants: &[Value], seconds: u32) -> Duration {
    let question = |pod: &Value, repeat: u32| {
        json!({
            "policies": policies, "pod": pod, "namespace": "team", "admit": true,
            "user": grants, "account": grants, "repeat": repeat,
        })
    };
    let questions =
        |repeat| -> Vec<Value> { pods.iter().map(|pod| question(pod, repeat)).collect() };
    let mean = |repeat| {
        let answers = ORACLE.ask(&questions(repeat));
        let each = answers
            .iter()
            .map(|answer| answer["nanoseconds"].as_u64().unwrap());
        Duration::from_nanos(each.sum::<u64>() / pods.len() as u64)
    };
    let rough = mean(20);
    let total = Duration::from_secs(seconds.into()).as_nanos();
    let repeats = total / (rough.as_nanos().max(1) * pods.len() as u128);
    mean(u32::try_from(repeats).unwrap().max(20))
}
