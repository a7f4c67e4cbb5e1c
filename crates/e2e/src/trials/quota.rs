//! Quota over all of a tenant's namespaces: never more, and no false refusal.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{names, refused, succeeded, text};
use crate::guest::{Guest, uid};

use super::leaders::CONTROLLER;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("quota::namespaces_share_one_limit", shared),
    ("quota::a_limit_that_changes_closes_nothing", changed),
    ("quota::the_status_says_what_is_in_use", told),
    ("quota::wrong_limits_are_refused_by_path", wrong),
];

/// Trials in which the webhook is killed.
pub(super) const DISRUPTIVE: &[(&str, Check)] =
    &[("quota::a_killed_webhook_gives_nothing_away", killed)];

const LIMIT: usize = 4;

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": bulkhead_attack::good_pod()})
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn limited<'a>(bed: &'a Bed, name: &str) -> anyhow::Result<(Guest<'a>, String)> {
    let quota = json!({"resources": {"quota": {"hard": {"pods": LIMIT.to_string()}}}});
    let guest = Guest::arrive(bed, name, &quota)?;
    let second = format!("{name}-two");
    guest.make_namespace(&second)?;
    eventually("the second namespace opens", || {
        let probe = Request::post(format!("{}?dryRun=All", pods(&second)), &pod("probe"));
        Ok(bed.admin(&probe)?.is_success().then_some(()))
    })?;
    Ok((guest, second))
}

fn count(bed: &Bed, namespaces: &[&str]) -> anyhow::Result<usize> {
    let mut sum = 0;
    for namespace in namespaces {
        sum += names(&bed.do_as_admin(&Request::get(pods(namespace)))?).len();
    }
    Ok(sum)
}

/// Makes many pods at once in two namespaces.
fn rush(bed: &Bed, namespaces: &[&str], wave: usize) -> anyhow::Result<usize> {
    let requests: Vec<Request> = (0..6 * LIMIT)
        .filter_map(|i| {
            let namespace = namespaces.get(i % namespaces.len())?;
            Some(Request::post(
                pods(namespace),
                &pod(&format!("rush-{wave}-{i}")),
            ))
        })
        .collect();
    let sent = requests.iter().map(|request| bed.field.as_admin(request));
    let answers = bed.wait(futures::future::join_all(sent));
    let made = answers
        .iter()
        .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.is_success()));
    Ok(made.count())
}

fn delete_all(bed: &Bed, namespaces: &[&str]) -> anyhow::Result<()> {
    for namespace in namespaces {
        let path = format!("{}?gracePeriodSeconds=0", pods(namespace));
        bed.do_as_admin(&Request::delete(path))?;
    }
    Ok(())
}

fn shared(bed: &Bed) -> anyhow::Result<()> {
    let (guest, second) = limited(bed, "quota")?;
    let namespaces = [guest.namespace.as_str(), second.as_str()];
    for wave in 0..3 {
        let made = rush(bed, &namespaces, wave)?;
        ensure!(made == LIMIT, "wave {wave}: {made} pods instead of {LIMIT}");
        ensure!(count(bed, &namespaces)? == LIMIT);
        let refusal = bed.admin(&Request::post(pods(&second), &pod("more")))?;
        refused(
            &refusal,
            403,
            &["exceeded quota of the tenant", "pods", "4 of 4 in use"],
        )?;
        delete_all(bed, &namespaces)?;
        // What a deletion frees is usable within a second.
        let freed = Instant::now();
        let again = format!("again-{wave}");
        loop {
            let answer = bed.admin(&Request::post(pods(&second), &pod(&again)))?;
            if answer.is_success() {
                break;
            }
            ensure!(
                freed.elapsed() < Duration::from_secs(1),
                "still refused: {}",
                answer.message()
            );
        }
        delete_all(bed, &namespaces)?;
        eventually("the pods are gone", || {
            Ok((count(bed, &namespaces)? == 0).then_some(()))
        })?;
    }
    // A dry run charges nothing.
    for i in 0..3 * LIMIT {
        let path = format!("{}?dryRun=All", pods(&second));
        succeeded(&bed.admin(&Request::post(path, &pod(&format!("dry-{i}"))))?)?;
    }
    ensure!(rush(bed, &namespaces, 9)? == LIMIT);
    guest.leave()
}

/// What is used shows, what went goes from it though nobody asks, and a limit under what there is is said.
fn told(bed: &Bed) -> anyhow::Result<()> {
    let (guest, second) = limited(bed, "quotatold")?;
    let namespaces = [guest.namespace.as_str(), second.as_str()];
    let says = |usage: &Value, condition: &str| {
        eventually(&format!("the status says {usage}"), || {
            let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
            let conditions = tenant
                .pointer("/status/conditions")
                .and_then(Value::as_array);
            let mut conditions = conditions.into_iter().flatten();
            let limits = conditions.find(|it| text(it, "/type") == "WithinLimits");
            let reason = limits.map_or("", |it| text(it, "/reason"));
            let same = tenant.pointer("/status/usage/pods") == Some(usage) && reason == condition;
            ensure!(same, "{tenant}");
            Ok(Some(()))
        })
    };
    says(&json!({"used": "0", "hard": "4"}), "")?;
    ensure!(rush(bed, &namespaces, 0)? == LIMIT);
    says(&json!({"used": "4", "hard": "4"}), "")?;
    let lower = json!({"spec": {"resources": {"quota": {"hard": {"pods": "2"}}}}});
    let merge = "application/merge-patch+json";
    bed.do_as_admin(&Request::patch(guest.path(), merge, &lower))?;
    says(&json!({"used": "4", "hard": "2"}), "LimitBelowUse")?;
    delete_all(bed, &namespaces)?;
    says(&json!({"used": "0", "hard": "2"}), "")?;
    guest.leave()
}

/// What is open stays open, though the control plane takes a new limit up some time later. Pods are
/// asked for all along.
fn changed(bed: &Bed) -> anyhow::Result<()> {
    let (guest, second) = limited(bed, "quotachange")?;
    let namespace = format!("/api/v1/namespaces/{second}");
    let mark = bed.audit_mark()?;
    for limit in LIMIT + 1..LIMIT + 6 {
        let limit = limit.to_string();
        let spec = json!({"spec": {"resources": {"quota": {"hard": {"pods": limit}}}}});
        let patch = Request::patch(guest.path(), "application/merge-patch+json", &spec);
        bed.do_as_admin(&patch)?;
        let mut refusals = Vec::new();
        let mut tries = 0;
        eventually("the control plane takes the limit up", || {
            tries += 1;
            let pod = pod(&format!("pod-{limit}-{tries}"));
            let answer = bed.admin(&Request::post(pods(&second), &pod))?;
            if !answer.is_success() {
                refusals.push(answer.message());
            }
            let quota = Request::get(format!("{namespace}/resourcequotas/bulkhead-quota"));
            let quota = bed.do_as_admin(&quota)?;
            Ok((text(&quota, "/status/hard/pods") == limit).then_some(()))
        })?;
        let closed = refusals.iter().find(|it| !it.contains("exceeded quota"));
        ensure!(closed.is_none(), "refused for another reason: {closed:?}");
    }
    let written = bed.writes_since(mark, CONTROLLER)?;
    let of = |resource: &str, name: &str| {
        let mut written = written.iter();
        written.any(|it| it.resource == resource && it.name.ends_with(name))
    };
    ensure!(
        of("resourcequotas/", &format!("{second}/bulkhead-quota")),
        "the limits were not written: {written:?}"
    );
    // Neither closed nor opened again meanwhile.
    ensure!(
        !of("namespaces/", &format!("/{second}")),
        "the namespace was written: {written:?}"
    );
    let object = bed.do_as_admin(&Request::get(namespace))?;
    let opened = text(&object, "/metadata/annotations/bulkhead.dev~1isolated");
    ensure!(opened == uid(bed, &guest.name)?, "it is closed: {object}");
    guest.leave()
}

/// The replica that dies takes its lease with it; the one that comes after it counts again.
fn killed(bed: &Bed) -> anyhow::Result<()> {
    let (guest, second) = limited(bed, "quotakill")?;
    let namespaces = [guest.namespace.as_str(), second.as_str()];
    for wave in 0..2 {
        rush(bed, &namespaces, wave)?;
        bed.kill("webhook")?;
        bed.start("webhook")?;
        rush(bed, &namespaces, 100 + wave)?;
        let found = count(bed, &namespaces)?;
        ensure!(found <= LIMIT, "{found} pods with a limit of {LIMIT}");
    }
    delete_all(bed, &namespaces)?;
    // Nothing of the limit is lost, once it is certain that the dead hold nothing.
    let mut wave = 1000;
    eventually("all of the limit is usable", || {
        wave += 1;
        rush(bed, &namespaces, wave)?;
        Ok((count(bed, &namespaces)? == LIMIT).then_some(()))
    })?;
    guest.leave()
}

fn wrong(bed: &Bed) -> anyhow::Result<()> {
    for (resource, quantity, path) in [
        ("pods", "-1", "spec.resources.quota.hard"),
        ("pods", "1e400", "spec.resources.quota.hard"),
        ("requests.cpu", "lots", "spec.resources.quota.hard"),
        ("potatoes", "1", "potatoes"),
        ("secrets", "1", "reads nobody's Secrets"),
        ("limits.nvidia.com/gpu", "1", "spec.resources.quota.hard"),
    ] {
        let tenant = json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "wrongquota"},
            "spec": {"resources": {"quota": {"hard": {resource: quantity}}}},
        });
        let answer = bed.admin(&Request::post(
            "/apis/bulkhead.dev/v1alpha1/tenants?dryRun=All",
            &tenant,
        ))?;
        refused(&answer, 422, &[path])?;
    }
    Ok(())
}
