//! Tenants that come and go, and want the same names and nodes, under two controllers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use super::history::{Change, History};
use super::{between, scale};
use crate::bed::{Bed, eventually};
use crate::client::text;
use crate::trials::leaders::{Second, signal};

/// Names of which many exclude each other: one's prefix is the beginning of another's.
const NAMES: [&str; 10] = [
    "race", "race-a", "race-a-x", "race-a-y", "race-b", "race-b-x", "race-c", "rash", "rash-a",
    "rash-b",
];
const NODES: [&str; 3] = ["e2e-race-1", "e2e-race-2", "e2e-race-3"];
const LABEL: &str = "node-restriction.kubernetes.io/tenant";
const TENANTS: &str = "/apis/bulkhead.dev/v1alpha1/tenants";

pub(super) fn race(bed: &Bed) -> anyhow::Result<()> {
    let scale = scale();
    for name in NODES {
        let node = json!({
            "metadata": {"name": name, "labels": {"type": "kwok", "kubernetes.io/hostname": name, "e2e/pool": "race"}},
            "status": {"capacity": {"cpu": "1", "memory": "1Gi", "pods": "9"}, "allocatable": {"cpu": "1", "memory": "1Gi", "pods": "9"}}});
        bed.do_as_admin(&Request::post("/api/v1/nodes", &node))?;
    }
    let entries = History::begin(bed, "bulkhead.dev", "v1alpha1", "LedgerEntry")?;
    let tenants = History::begin(bed, "bulkhead.dev", "v1alpha1", "Tenant")?;
    let nodes = History::begin(bed, "", "v1", "Node")?;
    bed.kill("controller")?;
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let raced = bed.wait(async {
        let clients = (0..scale.clients.min(20)).map(|_| client(bed, &over, &made));
        let timer = async {
            // A leader that is gone is missed for five seconds.
            tokio::time::sleep(scale.lasts + Duration::from_secs(6)).await;
            over.store(true, Ordering::Relaxed);
        };
        let (_, (), raced) = futures::join!(
            futures::future::join_all(clients),
            timer,
            kill_at_random(bed, &over)
        );
        raced
    });
    bed.start("controller")?;
    let kills = raced?;
    for name in NAMES {
        bed.admin(&Request::delete(format!("{TENANTS}/{name}")))?;
    }
    eventually("all Tenants of the race are gone", || {
        let left = crate::client::names(&bed.do_as_admin(&Request::get(TENANTS))?);
        Ok(left
            .iter()
            .all(|left| !NAMES.contains(&left.as_str()))
            .then_some(()))
    })?;
    let mut all = nodes.end(bed)?;
    all.extend(tenants.end(bed)?);
    all.extend(entries.end(bed)?);
    all.sort_by_key(|change| change.version);
    for name in NODES {
        bed.do_as_admin(&Request::delete(format!("/api/v1/nodes/{name}")))?;
    }
    let found = judge(&all)?;
    println!(
        "{} Tenants made, {} kills and sleeps of controllers: {} revisions, {} blocks of ids and {} pairs handed out, {} claims of nodes, \
         {} prefixes",
        made.load(Ordering::Relaxed),
        kills,
        all.len(),
        found.blocks,
        found.pairs,
        found.nodes,
        found.prefixes,
    );
    ensure!(
        kills > 0 && found.blocks > 3 && found.pairs > 3,
        "nothing was raced for"
    );
    ensure!(found.nodes > 0 && found.prefixes > 3, "nothing was claimed");
    Ok(())
}

async fn client(bed: &Bed, over: &AtomicBool, made: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let name = fastrand::choice(NAMES).unwrap_or_default();
        let mut spec = json!({"podSecurity": {"selinuxLevel": "PerTenant"}});
        if fastrand::bool() {
            spec["nodes"] = json!({"placement": "Dedicated", "selector": {"matchLabels": {"e2e/pool": "race"}}});
        }
        let tenant = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec});
        let answer = bed.field.as_admin(&Request::post(TENANTS, &tenant)).await;
        if answer.is_ok_and(|answer| answer.is_success()) {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(between(200, 4000)).await;
            let gone = Request::delete(format!("{TENANTS}/{name}"));
            bed.field.as_admin(&gone).await.ok();
        }
        tokio::time::sleep(between(50, 300)).await;
    }
}

/// Of two controllers one or the other is killed, or sleeps for longer than its lease lasts and wakes
/// up believing that it leads.
async fn kill_at_random(bed: &Bed, over: &AtomicBool) -> anyhow::Result<u32> {
    let names = ["race-one", "race-two"];
    let mut both = [Second::start(bed, names[0])?, Second::start(bed, names[1])?];
    let mut kills = 0;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(between(2000, 5000)).await;
        let index = fastrand::usize(0..both.len());
        if fastrand::bool() {
            both[index].kill();
            tokio::time::sleep(between(100, 1500)).await;
            both[index] = Second::start(bed, names[index])?;
        } else {
            signal(both[index].pid(), "-STOP")?;
            tokio::time::sleep(between(3000, 7000)).await;
            signal(both[index].pid(), "-CONT")?;
        }
        kills += 1;
    }
    Ok(kills)
}

/// How much was handed out.
#[derive(Default)]
struct Handed {
    blocks: usize,
    pairs: usize,
    nodes: usize,
    prefixes: usize,
}

/// Goes through the history of entries, nodes and Tenants together: at no revision has anything two
/// holders, and nobody shows or uses what the ledger does not say is theirs.
fn judge(all: &[Change]) -> anyhow::Result<Handed> {
    let mut found = Handed::default();
    // What was ever handed out rests for longer than any race lasts: a key has one holder in all.
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut claims: BTreeMap<String, String> = BTreeMap::new();
    let mut prefixes: BTreeSet<(String, String)> = BTreeSet::new();
    for change in all {
        let at = format!("at revision {}: {}", change.version, change.key().1);
        let data = &change.object.data;
        let kind = change
            .object
            .types
            .as_ref()
            .map_or("", |types| types.kind.as_str());
        match (kind, text(data, "/spec/kind")) {
            ("LedgerEntry", "IdBlock" | "SelinuxLevels") => {
                let holder = text(data, "/spec/holder/uid");
                if holder.is_empty() {
                    continue;
                }
                let key = change.key().1;
                let is_block = text(data, "/spec/kind") == "IdBlock";
                if is_block {
                    let first: u64 = text(data, "/spec/key").parse()?;
                    ensure!(first.is_multiple_of(10_000), "{at} overlaps others");
                }
                match ids.insert(key, holder.to_owned()) {
                    None if is_block => found.blocks += 1,
                    None => found.pairs += 1,
                    Some(before) => {
                        ensure!(before == holder, "{at} was {before}'s and is {holder}'s")
                    }
                }
            }
            ("LedgerEntry", "Node") => {
                let (key, holder) = (text(data, "/spec/key"), text(data, "/spec/holder/tenant"));
                if change.gone || holder.is_empty() {
                    claims.remove(key);
                    continue;
                }
                let before = claims.insert(key.to_owned(), holder.to_owned());
                found.nodes += usize::from(before.is_none());
                ensure!(
                    before.is_none_or(|it| it == holder),
                    "{at} went from hand to hand"
                );
            }
            ("LedgerEntry", "Prefix") => {
                let held = data.pointer("/spec/data").and_then(Value::as_object);
                let held: Vec<(&String, &str)> = held
                    .into_iter()
                    .flatten()
                    .map(|(prefix, by)| (prefix, text(by, "/uid")))
                    .collect();
                for (one, mine) in &held {
                    for (other, theirs) in &held {
                        let overlap = one.starts_with(other.as_str());
                        ensure!(
                            !overlap || mine == theirs,
                            "{at}: {one} and {other} have two holders"
                        );
                    }
                    let news = prefixes.insert(((*one).clone(), (*mine).to_owned()));
                    found.prefixes += usize::from(news);
                }
            }
            ("Node", _) => {
                let labels = change.object.metadata.labels.as_ref();
                let Some(marked) = labels.and_then(|labels| labels.get(LABEL)) else {
                    continue;
                };
                let holder = claims.get(&change.key().1);
                let gone = change.gone;
                ensure!(
                    gone || holder == Some(marked),
                    "{at} is marked {marked}'s and is {holder:?}'s"
                );
            }
            ("Tenant", _) if !change.gone => {
                let uid = change.object.metadata.uid.clone().unwrap_or_default();
                let range = text(data, "/status/ranges/uid");
                if let Some((first, _)) = range.split_once('-') {
                    let holder = ids.get(&format!("idblock.{first}"));
                    ensure!(
                        holder == Some(&uid),
                        "{at} shows {range}, which is {holder:?}'s"
                    );
                }
            }
            _ => {}
        }
    }
    Ok(found)
}
