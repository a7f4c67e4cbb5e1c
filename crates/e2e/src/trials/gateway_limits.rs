//! One tenant floods the gateway; what of it reaches the API server, and what becomes of another
//! tenant's requests. Told by counts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{succeeded, text};
use crate::guest::Guest;
use crate::own_gateway::{OwnGateway, configs};

pub(super) const TRIALS: &[(&str, Check)] =
    &[("gateway::a_flood_stops_at_the_limit_and_others_pass", flood)];

/// The limit of each tenant in the trial, per second and at once.
const LIMIT: u64 = 5;
/// The flood: a hundred times what the limit lets through in four seconds.
const FLOOD: u64 = 100 * LIMIT * 4;
/// How many of it are under way at a time.
const ABREAST: usize = 40;
/// What the other tenant asks meanwhile, within its limit.
const OTHERS: usize = 12;

fn flood(bed: &Bed) -> anyhow::Result<()> {
    let flooder = Guest::arrive(bed, "e2e-flood", &serde_json::json!({}))?;
    let other = Guest::arrive(bed, "e2e-calm", &serde_json::json!({}))?;
    let limit = LIMIT.to_string();
    let gateway = OwnGateway::start(
        bed,
        "gateway-limits",
        &[
            "--tenant-requests-per-second",
            &limit,
            "--tenant-burst",
            &limit,
            "--tenant-calls",
            "500",
            "--person-requests-per-second",
            "100000",
            "--person-burst",
            "100000",
            "--person-calls",
            "500",
        ],
    )?;
    let (many, few) = (
        gateway.certified("e2e-flood-admin")?,
        gateway.certified("e2e-calm-admin")?,
    );
    let (ask, own) = (configs(&flooder.namespace), configs(&other.namespace));
    for (client, request) in [(&many, &ask), (&few, &own)] {
        eventually("the gateway knows the guests", || {
            succeeded(&bed.send(client, request)?).map(Some)
        })?;
    }
    let before = bed.audit_mark()?;
    let began = Instant::now();
    let (asked, passed) = (AtomicU64::new(0), AtomicU64::new(0));
    let flooding = futures::future::try_join_all((0..ABREAST).map(|_| async {
        while asked.fetch_add(1, Ordering::Relaxed) < FLOOD {
            let response = many.send_again(&ask).await.context("the flood")?;
            match response.status {
                200 => {
                    passed.fetch_add(1, Ordering::Relaxed);
                }
                429 => {
                    let again = response.header("retry-after").unwrap_or_default();
                    ensure!(again == "1", "`Retry-After` is `{again}`");
                }
                other => anyhow::bail!("the flood got {other}: {}", response.message()),
            }
        }
        Ok(())
    }));
    let calm = async {
        for number in 0..OTHERS {
            let response = few.send_again(&own).await;
            let response = response.with_context(|| format!("the other's request {number}"))?;
            succeeded(&response).with_context(|| format!("the other's request {number}"))?;
            tokio::time::sleep(Duration::from_millis(1000 / LIMIT + 20)).await;
        }
        anyhow::Ok(())
    };
    bed.wait(futures::future::try_join(flooding, calm))?;
    let took = began.elapsed();
    let passed = passed.into_inner();
    let upstream = bed.asked_as_since(before, "bulkhead:tenant:e2e-flood:admin")?;
    let let_through = u64::try_from(upstream.len())?;
    // A whole burst may have been there at the start, and a second has begun.
    let allowed = LIMIT + LIMIT * (took.as_secs() + 1);
    ensure!(
        let_through == passed && let_through <= allowed && let_through >= LIMIT,
        "of {FLOOD} requests in {took:?}, {let_through} came through, {passed} were answered, {allowed} are allowed"
    );
    let theirs = bed.asked_as_since(before, "bulkhead:tenant:e2e-calm:admin")?;
    ensure!(
        theirs.len() == OTHERS,
        "{} of the other's came through",
        theirs.len()
    );
    let limited = gateway.metric("bulkhead_gateway_limited_total", "tenant")?;
    ensure!(
        limited >= FLOOD - passed,
        "only {limited} refusals are counted"
    );
    books(&gateway, &upstream, passed)?;
    flooder.leave()?;
    other.leave()
}

/// Every request of the flood is in the gateway's audit log, under the API server's own id.
fn books(
    gateway: &OwnGateway<'_>,
    upstream: &[serde_json::Value],
    passed: u64,
) -> anyhow::Result<()> {
    let lines = eventually("the audit log is whole", || {
        let mut lines = gateway.lines()?;
        lines.retain(|line| text(line, "/user") == "e2e-flood-admin");
        let refused = lines.iter().filter(|line| line["status"] == 429).count();
        Ok((u64::try_from(refused)? >= FLOOD - passed).then_some(lines))
    })?;
    let ids: BTreeSet<&str> = lines
        .iter()
        .filter(|line| text(line, "/decision") == "forwarded")
        .map(|line| text(line, "/auditId"))
        .collect();
    for entry in upstream {
        let id = text(entry, "/auditID");
        ensure!(ids.contains(id), "the gateway's log has no {id}");
    }
    let lost = gateway.metric("bulkhead_gateway_audit_lines_lost_total", "")?;
    ensure!(lost == 0, "{lost} lines were lost");
    Ok(())
}
