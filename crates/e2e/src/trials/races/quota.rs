//! Clients that make, delete and resize pods against one quota, over several namespaces.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_model::quantity::nanos;
use serde_json::{Value, json};

use super::history::{Change, History};
use super::replicas::Replicas;
use super::{between, scale};
use crate::bed::{Bed, PATIENCE, eventually};
use crate::client::{refused, succeeded};
use crate::guest::Guest;

/// The limits, and what a pod asks for, in thousandths of a CPU: on average both are used up at once.
const PODS: u64 = 20;
const MILLIS: u64 = 4000;
const ASKS: [u64; 3] = [100, 200, 300];
/// For how long a pod is kept, in milliseconds.
const KEPT: (u64, u64) = (1000, 6000);
/// What is not judged: until the limit is used up for the first time.
const WARM_UP: Duration = Duration::from_secs(2);

/// What became of the requests.
#[derive(Default)]
struct Tally {
    made: AtomicUsize,
    resized: AtomicUsize,
    over: AtomicUsize,
    failed: AtomicUsize,
}

pub(super) fn race(bed: &Bed) -> anyhow::Result<()> {
    let scale = scale();
    let hard = json!({"pods": PODS.to_string(), "requests.cpu": format!("{MILLIS}m")});
    let spec = json!({"resources": {"quota": {"hard": hard}}});
    let guest = Guest::arrive(bed, "e2e-race", &spec)?;
    let mut namespaces = vec![guest.namespace.clone()];
    for more in ["two", "three", "four"] {
        let name = format!("{}-{more}", guest.name);
        guest.make_namespace(&name)?;
        eventually("the namespace opens", || {
            let probe = Request::post(
                format!("/api/v1/namespaces/{name}/pods?dryRun=All"),
                &pod("probe", 100),
            );
            Ok(bed.admin(&probe)?.is_success().then_some(()))
        })?;
        namespaces.push(name);
    }
    let replicas = Replicas::start(bed, &namespaces)?;
    let history = History::begin(bed, "", "v1", "Pod")?;
    let (over, tally) = (AtomicBool::new(false), Tally::default());
    let start = Instant::now();
    let killing = bed.wait(async {
        let clients = (0..scale.clients).map(|id| client(bed, id, &namespaces, &over, &tally));
        let timer = async {
            tokio::time::sleep(scale.lasts).await;
            over.store(true, Ordering::Relaxed);
        };
        let (_, (), killing) = futures::join!(
            futures::future::join_all(clients),
            timer,
            replicas.kill_at_random(&over)
        );
        killing
    });
    killing?;
    let settled = settle(bed, &namespaces)?;
    let changes = history.end(bed)?;
    let (kills, shares) = (replicas.kills(), replicas.shares());
    drop(replicas);
    let use_ = judge(&changes, &namespaces, start + WARM_UP, start + scale.lasts)?;
    let count = |it: &AtomicUsize| it.load(Ordering::Relaxed);
    println!(
        "{} clients for {} s, {kills} kills, connections {shares:?}: {} pods made, {} resized, {} refused over quota, {} \
         requests failed; {} revisions, at most {} pods of {PODS} and {}m CPU of {MILLIS}m; in use {:.1} %, \
         {:.1} % of the time no smallest pod more would have fitted; after it, all of the limit again within {:.1} s",
        scale.clients,
        scale.lasts.as_secs(),
        count(&tally.made),
        count(&tally.resized),
        count(&tally.over),
        count(&tally.failed),
        use_.revisions,
        use_.most_pods,
        use_.most_millis,
        use_.mean * 100.0,
        use_.full * 100.0,
        settled.as_secs_f64(),
    );
    ensure!(kills > 0, "nobody was killed");
    ensure!(
        shares.iter().all(|share| *share > 0),
        "one replica was never asked: {shares:?}"
    );
    ensure!(count(&tally.resized) > 0, "nothing was resized");
    ensure!(
        count(&tally.over) > 0,
        "nobody asked for more than there is"
    );
    // A short race is mostly what a death costs.
    let least = if scale.lasts < Duration::from_secs(60) {
        0.6
    } else {
        0.8
    };
    ensure!(
        use_.mean >= least,
        "only {:.1} % of the limit was in use",
        use_.mean * 100.0
    );
    guest.leave()
}

/// A pod that waits for a node that does not come: simulated nodes resize nothing.
fn pod(name: &str, millis: u64) -> Value {
    let mut spec = bulkhead_attack::good_pod();
    spec["nodeSelector"] = json!({"e2e/of": "nowhere"});
    if let Some(container) = spec.pointer_mut("/containers/0") {
        container["resources"] = json!({
            "requests": {"cpu": format!("{millis}m"), "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1Mi"},
        });
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

/// Makes a pod, keeps it for a while, perhaps resizes it, deletes it, and again.
async fn client(bed: &Bed, id: usize, namespaces: &[String], over: &AtomicBool, tally: &Tally) {
    let add = |to: &AtomicUsize| to.fetch_add(1, Ordering::Relaxed);
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let namespace = fastrand::choice(namespaces).map_or("", String::as_str);
        let name = format!("c{id}-{number}");
        let millis = fastrand::choice(ASKS).unwrap_or(100);
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let made = bed
            .field
            .as_admin(&Request::post(pods.as_str(), &pod(&name, millis)))
            .await;
        match made {
            Ok(answer) if answer.is_success() => add(&tally.made),
            Ok(answer) if answer.message().contains("exceeded quota") => {
                add(&tally.over);
                tokio::time::sleep(between(100, 600)).await;
                continue;
            }
            // It may have been made all the same.
            _ => add(&tally.failed),
        };
        let path = format!("{pods}/{name}");
        for _ in 0..2 {
            tokio::time::sleep(between(KEPT.0 / 2, KEPT.1 / 2)).await;
            if fastrand::u8(0..3) == 0 && !over.load(Ordering::Relaxed) {
                let millis = fastrand::choice(ASKS).unwrap_or(100);
                let size = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": format!("{millis}m")}}}]}});
                let patch = "application/strategic-merge-patch+json";
                let resize = Request::patch(format!("{path}/resize"), patch, &size);
                match bed.field.as_admin(&resize).await {
                    Ok(answer) if answer.is_success() => add(&tally.resized),
                    Ok(answer) if answer.message().contains("exceeded quota") => add(&tally.over),
                    _ => add(&tally.failed),
                };
            }
        }
        let gone = Request::delete(format!("{path}?gracePeriodSeconds=0"));
        if bed.field.as_admin(&gone).await.is_err() {
            add(&tally.failed);
        }
    }
}

/// Deletes what is left, and waits until all of the limit can be used again, to the last bit. The result
/// is how long that took.
fn settle(bed: &Bed, namespaces: &[String]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for namespace in namespaces {
        let pods = format!("/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0");
        bed.do_as_admin(&Request::delete(pods))?;
    }
    let pods = format!(
        "/api/v1/namespaces/{}/pods",
        namespaces.first().context("no namespace")?
    );
    for number in 0..PODS {
        loop {
            let pod = pod(&format!("last-{number}"), MILLIS / PODS);
            let answer = bed.admin(&Request::post(pods.as_str(), &pod))?;
            if answer.is_success() {
                break;
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "pod {number} of {PODS}: {}",
                answer.message()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let took = start.elapsed();
    let more = bed.admin(&Request::post(pods.as_str(), &pod("more", 1)))?;
    refused(&more, 403, &["exceeded quota", "20 of 20 in use"])?;
    for namespace in namespaces {
        let pods = format!("/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0");
        succeeded(&bed.admin(&Request::delete(pods))?)?;
    }
    Ok(took)
}

/// How the limit was used.
struct Use {
    revisions: usize,
    most_pods: u64,
    most_millis: u64,
    /// The larger of both shares, on average over time.
    mean: f64,
    /// The part of the time in which not even the smallest pod would have fitted.
    full: f64,
}

/// Goes through the history: at no revision there is more than the limit.
fn judge(
    changes: &[Change],
    namespaces: &[String],
    from: Instant,
    to: Instant,
) -> anyhow::Result<Use> {
    let mut there: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut found = Use {
        revisions: 0,
        most_pods: 0,
        most_millis: 0,
        mean: 0.0,
        full: 0.0,
    };
    let ours = |change: &&Change| namespaces.contains(&change.key().0);
    let mut changes = changes.iter().filter(ours).peekable();
    while let Some(change) = changes.next() {
        if change.gone {
            there.remove(&change.key());
        } else {
            there.insert(change.key(), millis(&change.object.data)?);
        }
        let (pods, millis) = (there.len() as u64, there.values().sum::<u64>());
        ensure!(
            pods <= PODS && millis <= MILLIS,
            "at revision {} there are {pods} pods of {PODS} and {millis}m CPU of {MILLIS}m",
            change.version
        );
        found.revisions += 1;
        found.most_pods = found.most_pods.max(pods);
        found.most_millis = found.most_millis.max(millis);
        let until = changes.peek().map_or(to, |next| next.at);
        let lasts = until.clamp(from, to) - change.at.clamp(from, to);
        let part = lasts.as_secs_f64() / (to - from).as_secs_f64();
        let share = (pods as f64 / PODS as f64).max(millis as f64 / MILLIS as f64);
        found.mean += share * part;
        if pods == PODS || millis + ASKS[0] > MILLIS {
            found.full += part;
        }
    }
    ensure!(
        found.most_pods == PODS,
        "the limit was never reached: {}",
        found.most_pods
    );
    Ok(found)
}

/// What a pod asks for, added up here by other code than the webhook's.
fn millis(pod: &Value) -> anyhow::Result<u64> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let mut sum = 0;
    for container in containers.context("no containers")? {
        let cpu = container
            .pointer("/resources/requests/cpu")
            .context("no request")?;
        let nanos = nanos(cpu).context("no quantity")?;
        sum += u64::try_from(nanos / 1_000_000)?;
    }
    Ok(sum)
}
