//! The API server starts again: the guards hold from its first answer on.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Account, good_pod};
use serde_json::json;

use super::outages::guards_hold;
use crate::Check;
use crate::bed::{Bed, PATIENCE, eventually};
use crate::client::refused;

pub(super) const TRIALS: &[(&str, Check)] = &[(
    "restart::guards_hold_from_the_api_servers_first_answer",
    first_answer,
)];

fn first_answer(bed: &Bed) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{}", bed.own());
    let label = json!({"metadata": {"labels": {"bulkhead.dev/tenant": bed.field.victim.tenant}}});
    let ip = json!({"status": {"podIP": "198.51.100.78"}});
    let merge = "application/merge-patch+json";
    let attacks = [
        Request::patch(path.as_str(), merge, &label),
        Request::patch(format!("{path}/status"), merge, &label),
        Request::patch(format!("{path}/pods/attack-own/status"), merge, &ip),
    ];
    bed.kill("kube-apiserver")?;
    bed.start_without_waiting("kube-apiserver")?;
    let start = Instant::now();
    let (mut answers, mut by_guard) = (0, 0);
    // Until guards have refused a while in a row, by which time everything has started.
    while by_guard < 60 {
        ensure!(
            start.elapsed() < PATIENCE,
            "after {answers} answers, only {by_guard} of the last are a guard's"
        );
        for request in &attacks {
            let Ok(response) = bed.account(Account::Star, request) else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            answers += 1;
            ensure!(
                !response.is_success(),
                "answer {answers} after the start was a success: {}",
                response.text()
            );
            by_guard = if response.message().contains("ValidatingAdmissionPolicy") {
                by_guard + 1
            } else {
                0
            };
        }
    }
    bed.start_is_over("kube-apiserver")?;
    let namespace = bed.do_as_admin(&Request::get(path.as_str()))?.to_string();
    ensure!(
        !namespace.contains(&format!(
            "\"bulkhead.dev/tenant\":\"{}\"",
            bed.field.victim.tenant
        )),
        "{namespace}"
    );
    guards_hold(bed)?;
    eventually("the tenant works again", || {
        let pod = json!({"metadata": {"name": "e2e-again"}, "spec": good_pod()});
        Ok(bed
            .tenant(&Request::post(format!("{path}/pods?dryRun=All"), &pod))?
            .is_success()
            .then_some(()))
    })?;
    let evil = json!({"metadata": {"name": "e2e-evil"}, "spec": {"hostNetwork": true, "containers": [{"name": "main", "image": "x"}]}});
    refused(
        &bed.tenant(&Request::post(format!("{path}/pods"), &evil))?,
        403,
        &["host-network"],
    )
}
