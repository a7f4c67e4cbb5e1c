//! Translated PodSecurityPolicies say what the originals say: the same pods go to the real API
//! server, with the generated policies to judge them, and to the evaluator.
#![expect(
    clippy::indexing_slicing,
    reason = "assigning by index makes what is missing"
)]

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_model::Json;
use bulkhead_psp::{NAMESPACE_LABEL, Pod, Policies, Translation, Verdict, apply, parse, translate};
use fastrand::Rng;
use serde_json::{Value, json};

use super::dry_runs::{delete_policy, dry_run, make_policy, number, seed, warnings};
use super::pod_policy_objects::{pod, policy};
use crate::Check;
use crate::bed::{Bed, eventually};

pub(super) const TRIALS: &[(&str, Check)] = &[("translated::policies_admit_the_same_pods", agree)];

/// How many pods are judged by both; `BULKHEAD_E2E_PODS` says otherwise.
const PODS: u64 = 2000;
/// By how many policies.
const POLICIES: usize = 24;
/// Which ones; `BULKHEAD_E2E_SEED` tries others.
const SEED: u64 = 1;
const SAYS: &str = "Validation failed for ValidatingAdmissionPolicy 'psp-";
const RUNTIMES: &str = "/apis/node.k8s.io/v1/runtimeclasses";

/// A namespace, and the policy to which its pods are held.
struct Held {
    translation: Translation,
    carried: Policies,
}

fn agree(bed: &Bed) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(seed()?.unwrap_or(SEED));
    let mut all = BTreeMap::new();
    for index in 0..POLICIES {
        let name = format!("translated-{index}");
        let written = policy(&mut rng, &name);
        let read = parse(&written).map_err(|wrong| anyhow::anyhow!("{wrong:?}: {written}"))?;
        let translation = match translate(&read) {
            Ok(translation) => translation,
            Err(error) => bail!("{error:?}: {written}"),
        };
        let carried = Policies::new([&translation.carried]);
        all.insert(
            name,
            Held {
                translation,
                carried,
            },
        );
    }
    let outcome = prepare(bed, &all).and_then(|()| compare(bed, &all, &mut rng));
    for (name, held) in &all {
        for object in [&held.translation.policy, &held.translation.binding] {
            delete_policy(bed, object)?;
        }
        bed.admin(&Request::delete(format!("/api/v1/namespaces/{name}")))?;
    }
    for name in ["psp-one", "psp-two"] {
        bed.admin(&Request::delete(format!("{RUNTIMES}/{name}")))?;
    }
    outcome
}

/// Everything is as `psp translate` prints it, but that it warns where it would refuse: then the
/// answer holds the pod as it would be stored.
fn prepare(bed: &Bed, all: &BTreeMap<String, Held>) -> anyhow::Result<()> {
    for name in ["psp-one", "psp-two"] {
        let class = json!({"metadata": {"name": name}, "handler": "x"});
        bed.do_as_admin(&Request::post(RUNTIMES, &class))?;
    }
    for (name, held) in all {
        let mut binding = held.translation.binding.clone();
        binding["spec"]["validationActions"] = json!(["Warn"]);
        for object in [&held.translation.policy, &binding] {
            make_policy(bed, object)?;
        }
        // The label of the standard would speak too.
        let label = held.translation.labels.get(NAMESPACE_LABEL);
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {NAMESPACE_LABEL: label}},
        });
        bed.do_as_admin(&Request::post("/api/v1/namespaces", &namespace))?;
        let account = json!({"metadata": {"name": "default"}});
        let made = bed.admin(&Request::post(
            format!("/api/v1/namespaces/{name}/serviceaccounts"),
            &account,
        ))?;
        ensure!(
            made.is_success() || made.status == 409,
            "{}",
            made.message()
        );
    }
    // No policy admits this.
    let bad = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {
        "hostNetwork": true, "hostPID": true, "hostIPC": true, "containers": [
            {"name": "c", "image": "i", "securityContext": {"privileged": true}},
        ],
    }});
    for name in all.keys() {
        let path = format!("/api/v1/namespaces/{name}/pods?dryRun=All");
        eventually("a translated policy", || {
            let response = bed.admin(&Request::post(path.as_str(), &bad))?;
            Ok(warnings(&response.headers, SAYS).next().map(drop))
        })?;
    }
    Ok(())
}

/// Whether the policy admits a pod as it is. Annotations of seccomp do not count any more.
fn admits(policies: &Policies, stored: &Value) -> anyhow::Result<bool> {
    let mut stored = stored.clone();
    if let Some(notes) = stored
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        notes.retain(|key, _| !key.contains("seccomp.security.alpha.kubernetes.io"));
    }
    let object = Json::from(&stored);
    let pod = Pod::read(&object)?.as_stored();
    let verdict = policies.validate(&pod, &|_| Some(true));
    Ok(matches!(verdict, Verdict::Admitted(_)))
}

/// A pod, often with what the policy sets in it, so that some are admitted.
fn drawn(rng: &mut Rng, held: &Held) -> anyhow::Result<Value> {
    let wild = rng.choice([4, 10, 25, 50]).unwrap_or(10);
    let mut pod = pod(rng, wild);
    if rng.u8(0..100) < 70 {
        let object = Json::from(&pod);
        let read = Pod::read(&object)?;
        if let Verdict::Admitted(admitted) = held.carried.admit(&read, &|_| Some(true)) {
            apply(&mut pod, &admitted.changes);
            apply(&mut pod, &admitted.fields);
        }
    }
    Ok(pod)
}

fn compare(bed: &Bed, all: &BTreeMap<String, Held>, rng: &mut Rng) -> anyhow::Result<()> {
    let wanted = number("BULKHEAD_E2E_PODS")?.unwrap_or(PODS);
    let names: Vec<&String> = all.keys().collect();
    let (mut taken, mut sent, mut admitted) = (0_u64, 0_u64, 0_u64);
    let mut differences = Vec::new();
    while taken < wanted {
        ensure!(
            sent < wanted * 3,
            "the API server takes only {taken} of {sent} generated pods"
        );
        let mut batch = Vec::new();
        for _ in 0..200 {
            let name = rng.choice(&names).context("no policy")?;
            let held = all.get(*name).context("no such policy")?;
            let collection = format!("/api/v1/namespaces/{name}/pods");
            batch.push((held, collection, drawn(rng, held)?));
        }
        sent += 200;
        for (held, response) in dry_run(bed, batch)? {
            taken += 1;
            let says: Vec<&str> = warnings(&response.headers, SAYS).collect();
            let failed = says.iter().find(|said| said.contains("resulted in error"));
            ensure!(failed.is_none(), "an expression fails: {failed:?}");
            let stored = response.json();
            let ours = admits(&held.carried, &stored)?;
            admitted += u64::from(ours);
            if ours != says.is_empty() && differences.len() < 3 {
                let name = &held.translation.name;
                let spec = &held.translation.carried.written;
                differences.push(format!(
                    "{name}: ours {ours}, theirs {says:?}\n{stored}\n{spec}"
                ));
            }
        }
    }
    ensure!(
        differences.is_empty(),
        "the translations and the policies differ:\n{}",
        differences.join("\n")
    );
    println!("translated: {taken} pods, {admitted} of them admitted, by {POLICIES} policies");
    ensure!(
        admitted * 10 > taken && admitted * 10 < taken * 9,
        "{admitted} of {taken} pods are admitted: too few of one sort are compared"
    );
    Ok(())
}
