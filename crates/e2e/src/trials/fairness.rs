//! One tenant's ServiceAccount floods the API server; another's is served. Told by what the API
//! server has rejected and kept waiting, not by time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Account, Credential, Door};
use serde_json::json;

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;

pub(super) const TRIALS: &[(&str, Check)] = &[(
    "fairness::a_flood_of_one_tenant_is_refused_and_others_are_served",
    flood,
)];

const LEVEL: &str =
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/bulkhead-service-accounts";
const SCHEMA: &str = "bulkhead-service-accounts";
/// How many requests the flood has under way at a time.
const FLOOD: usize = 60;
/// How many requests the other tenant makes meanwhile.
const OTHERS: usize = 40;

/// The sum of a metric's values, of those lines that have the text.
fn metric(bed: &Bed, name: &str, with: &str) -> anyhow::Result<f64> {
    let metrics = bed.admin(&Request::get("/metrics"))?;
    let metrics = metrics.text();
    let lines = metrics.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('{'))
            && line.contains(with)
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

fn rejected(bed: &Bed, schema: &str) -> anyhow::Result<f64> {
    let with = format!("flow_schema=\"{schema}\"");
    metric(bed, "apiserver_flowcontrol_rejected_requests_total", &with)
}

fn flood(bed: &Bed) -> anyhow::Result<()> {
    let before = bed.do_as_admin(&Request::get(LEVEL))?;
    // Few seats and short queues, so that a flood that a small machine can make is one.
    let narrow = json!({"spec": {"limited": {
        "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
        "limitResponse": {"queuing": {"queueLengthLimit": 1}},
    }}});
    let merge = "application/merge-patch+json";
    bed.do_as_admin(&Request::patch(LEVEL, merge, &narrow))?;
    let result = served(bed);
    let limited = before.pointer("/spec/limited").cloned();
    let mut wide = json!({"spec": {"limited": limited}});
    if let Some(limited) = wide
        .pointer_mut("/spec/limited")
        .and_then(|l| l.as_object_mut())
    {
        limited
            .entry("borrowingLimitPercent")
            .or_insert(json!(null));
    }
    bed.do_as_admin(&Request::patch(LEVEL, merge, &wide))?;
    result
}

fn served(bed: &Bed) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/default/token",
        bed.theirs()
    );
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = bed.do_as_admin(&Request::post(path, &request))?;
    let token = text(&answer, "/status/token").to_owned();
    let other = bed
        .field
        .client(Door::ApiServer, &Credential::Token(token))?;
    let flooder = bed
        .field
        .client(Door::ApiServer, &Credential::Account(Account::Star))?;
    let ask = Request::get(format!("/api/v1/namespaces/{}/pods", bed.own()));
    let own = Request::get(format!("/api/v1/namespaces/{}/pods", bed.theirs()));
    let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let level = format!("priority_level=\"{SCHEMA}\"");
    eventually("a flood is refused", || {
        refused.store(0, Ordering::Relaxed);
        bed.wait(futures::future::join_all((0..FLOOD).map(|_| async {
            if let Ok(response) = flooder.send(&ask).await
                && response.status == 429
            {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        })));
        Ok((refused.load(Ordering::Relaxed) > 0).then_some(()))
    })?;
    let calm = [
        "bulkhead",
        "bulkhead-tenants",
        "kube-system-service-accounts",
        "system-nodes",
    ];
    let calm_before: f64 = calm
        .iter()
        .map(|s| rejected(bed, s))
        .sum::<anyhow::Result<f64>>()?;
    let before = rejected(bed, SCHEMA)?;
    let waited = "apiserver_flowcontrol_request_wait_duration_seconds_count";
    let waited_before = metric(bed, waited, &level)?;
    refused.store(0, Ordering::Relaxed);
    let (answers, ()) = bed.wait(futures::future::join(
        async {
            let mut answers = Vec::new();
            for _ in 0..OTHERS {
                answers.push(other.send_again(&own).await.map(|response| response.status));
            }
            over.store(true, Ordering::Relaxed);
            answers
        },
        async {
            futures::future::join_all((0..FLOOD).map(|_| async {
                while !over.load(Ordering::Relaxed) {
                    if let Ok(response) = flooder.send(&ask).await
                        && response.status == 429
                    {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }))
            .await;
        },
    ));
    let flooded = refused.load(Ordering::Relaxed);
    let after = rejected(bed, SCHEMA)?;
    ensure!(flooded > 0, "the flood was none: nothing of it was refused");
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let counted = flooded as f64;
    ensure!(
        after - before >= counted,
        "the API server has rejected {} requests, the flood saw {flooded} refusals",
        after - before
    );
    ensure!(
        metric(bed, waited, &level)? > waited_before,
        "nothing has waited in {SCHEMA}"
    );
    for (number, status) in answers.into_iter().enumerate() {
        let status = status.with_context(|| format!("request {number} of the other tenant"))?;
        // It has no right there, and hears so: authorization comes after the queues.
        ensure!(
            status == 403,
            "request {number} of the other tenant: {status}"
        );
    }
    let calm_after: f64 = calm
        .iter()
        .map(|s| rejected(bed, s))
        .sum::<anyhow::Result<f64>>()?;
    ensure!(
        (calm_after - calm_before).abs() < 0.5,
        "others than ServiceAccounts were rejected: {calm_before} before, {calm_after} after"
    );
    Ok(())
}
