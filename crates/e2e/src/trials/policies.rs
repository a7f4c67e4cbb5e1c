//! The generated policies say what the rules say: the same objects go to the real API server, with
//! nothing but copies of the policies to judge them, and to our functions.
#![expect(
    clippy::indexing_slicing,
    reason = "assigning by index makes what is missing"
)]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_controls::{Facts, REGISTRY, judge, policies::policies};
use bulkhead_model::admission::{Gvk, Gvr, UserInfo};
use bulkhead_model::{AdmissionRequest, Operation, TenantRules, labels};
use fastrand::Rng;
use serde_json::{Value, json};

use super::dry_runs::{delete_policy, dry_run, make_policy, seed, warnings};
use super::policy_objects::{Sample, sample};
use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::text;

pub(super) const TRIALS: &[(&str, Check)] = &[("policies::agree_with_the_rules", agree)];

/// How many objects are judged by both.
const OBJECTS: usize = 5000;
/// Which ones; `BULKHEAD_E2E_SEED` tries others.
const SEED: u64 = 1;
/// Stands for the label of a tenant's namespace, which would bring in the webhook.
const LABEL: &str = "policies.trial";
const SAYS: &str = "Validation failed for ValidatingAdmissionPolicy '";

fn agree(bed: &Bed) -> anyhow::Result<()> {
    let seed = seed()?.unwrap_or(SEED);
    let tenants = tenants()?;
    let copies = copies();
    prepare(bed, &tenants, &copies)?;
    let outcome = compare(bed, &tenants, seed);
    for object in &copies {
        delete_policy(bed, object)?;
    }
    for namespace in tenants.keys() {
        bed.admin(&Request::delete(format!("/api/v1/namespaces/{namespace}")))?;
    }
    outcome
}

/// Namespaces of nobody, with the rules of tenants.
fn tenants() -> anyhow::Result<BTreeMap<String, TenantRules>> {
    let strict = json!({
        "allowedCapabilities": ["CHOWN", "NET_BIND_SERVICE"],
        "allowedSeccompProfiles": ["profiles/audit.json"],
        "nodes": {"allowedTolerations": ["example.com/spot"], "allowedSchedulers": ["binpack"]},
    });
    let outside = json!({"nodePort": true, "loadBalancer": true, "externalName": true});
    [
        ("strict", json!({})),
        ("outside", json!({"exposure": {"services": outside}})),
        ("lists", strict),
        ("restricted", json!({"profile": "Restricted"})),
        ("baseline", json!({"profile": "Baseline"})),
    ]
    .into_iter()
    .map(|(name, mut rules)| {
        let fields = rules.as_object_mut().context("rules are an object")?;
        fields.insert("tenant".into(), json!("acme"));
        fields.insert("uid".into(), json!("u-1"));
        fields.entry("profile").or_insert(json!("Strict"));
        Ok((format!("policies-{name}"), serde_json::from_value(rules)?))
    })
    .collect()
}

/// The policies, but for those namespaces, and warning instead of refusing: a refusal names one
/// control, warnings name them all.
fn copies() -> Vec<Value> {
    let mut copies = policies();
    for object in &mut copies {
        let name = format!("trial-{}", text(object, "/metadata/name"));
        object["metadata"]["name"] = json!(name);
        let spec = &mut object["spec"];
        if let Some(constraints) = spec.get_mut("matchConstraints") {
            constraints["namespaceSelector"] =
                json!({"matchExpressions": [{"key": LABEL, "operator": "Exists"}]});
            for variable in spec["variables"].as_array_mut().into_iter().flatten() {
                if variable["name"] == "tenant" {
                    let expression = text(variable, "/expression").replace(labels::TENANT, LABEL);
                    variable["expression"] = json!(expression);
                }
            }
        } else {
            spec["policyName"] = json!(name);
            spec["validationActions"] = json!(["Warn"]);
        }
    }
    copies
}

fn prepare(
    bed: &Bed,
    tenants: &BTreeMap<String, TenantRules>,
    copies: &[Value],
) -> anyhow::Result<()> {
    for object in copies {
        make_policy(bed, object)?;
    }
    for (name, rules) in tenants {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {LABEL: "acme"},
                "annotations": {labels::RULES: serde_json::to_string(rules)?},
            },
        });
        bed.do_as_admin(&Request::post("/api/v1/namespaces", &namespace))?;
    }
    // Every policy counts once the last one does, for a kind of each.
    let bad = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {
        "hostNetwork": true, "containers": [{"name": "c", "image": "i"}],
    }});
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "probe"}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": bad["spec"],
    }});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"}, "spec": {
        "type": "ExternalName", "externalName": "a.example",
    }});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "probe"}, "spec": {
        "volumeName": "v", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    for (resource, object) in [
        ("pods", bad),
        ("podtemplates", template),
        ("services", service),
        ("persistentvolumeclaims", claim),
    ] {
        eventually("the copied policies", || {
            let target = format!("/api/v1/namespaces/policies-strict/{resource}?dryRun=All");
            let response = bed.admin(&Request::post(target, &object))?;
            let warned = response
                .headers
                .iter()
                .any(|(_, value)| value.contains(SAYS));
            Ok(warned.then_some(()))
        })?;
    }
    Ok(())
}

fn compare(bed: &Bed, tenants: &BTreeMap<String, TenantRules>, seed: u64) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(seed);
    let spoken = spoken();
    let names: Vec<&String> = tenants.keys().collect();
    let mut taken = 0_usize;
    let mut sent = 0_usize;
    let mut differences = Vec::new();
    let mut met: BTreeSet<String> = BTreeSet::new();
    while taken < OBJECTS {
        ensure!(
            sent < OBJECTS * 2,
            "the API server takes only {taken} of {sent} generated objects"
        );
        let batch: Vec<_> = (0..200)
            .map(|_| {
                let namespace = rng.choice(&names).map_or("", |name| name.as_str());
                let mut sample = sample(&mut rng);
                let (path, object) = (sample.path(namespace), sample.object.take());
                ((namespace, sample), path, object)
            })
            .collect();
        sent += batch.len();
        for ((namespace, sample), response) in dry_run(bed, batch)? {
            taken += 1;
            let says = warned(&response.headers);
            let rules = tenants.get(namespace).context("no such namespace")?;
            // As the API server has judged it, with its defaults.
            let stored = response.json();
            let heard = spoken.get(sample.resource).cloned().unwrap_or_default();
            let ours: BTreeSet<String> = rules_say(&sample, &stored, namespace, rules)?
                .into_iter()
                .filter(|name| heard.contains(name.as_str()))
                // Pod Security Admission is the second line at Kubernetes' own levels.
                .filter(|name| holds(name, rules))
                .collect();
            met.extend(ours.iter().cloned());
            if ours != says && differences.len() < 5 {
                differences.push(format!(
                    "{namespace}: ours {ours:?}, the policies {says:?}: {stored}"
                ));
            }
        }
    }
    ensure!(
        differences.is_empty(),
        "seed {seed}: the policies and the rules differ:\n{}",
        differences.join("\n")
    );
    let all: BTreeSet<String> = spoken.into_values().flatten().collect();
    let unmet: Vec<&String> = all.difference(&met).collect();
    ensure!(
        unmet.is_empty(),
        "no generated object is refused by {unmet:?}, so nothing was compared there"
    );
    Ok(())
}

/// The controls that the policies speak of, by resource.
fn spoken() -> BTreeMap<String, BTreeSet<String>> {
    let mut spoken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let empty = Vec::new();
    let list = |value: &Value, pointer: &str| {
        let list = value.pointer(pointer).and_then(Value::as_array);
        list.unwrap_or(&empty).clone()
    };
    for policy in policies() {
        let names: BTreeSet<String> = list(&policy, "/spec/validations")
            .iter()
            .filter_map(|it| Some(text(it, "/message").split_once(':')?.0.to_owned()))
            .collect();
        for rule in list(&policy, "/spec/matchConstraints/resourceRules") {
            for resource in list(&rule, "/resources") {
                let resource = resource.as_str().unwrap_or_default().to_owned();
                spoken.entry(resource).or_default().extend(names.clone());
            }
        }
    }
    spoken
}

/// The controls that the API server's warnings name.
fn warned(headers: &[(String, String)]) -> BTreeSet<String> {
    warnings(headers, SAYS)
        .filter_map(|value| {
            let (_, message) = value.split_once("with binding '")?;
            let (_, message) = message.split_once("': ")?;
            Some(message.split_once(':')?.0.to_owned())
        })
        .collect()
}

fn rules_say(
    sample: &Sample,
    stored: &Value,
    namespace: &str,
    rules: &TenantRules,
) -> anyhow::Result<Vec<String>> {
    let (group, version) = sample.api.split_once('/').unwrap_or(("", sample.api));
    let request = AdmissionRequest {
        uid: String::new(),
        kind: Gvk {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text(stored, "/kind").to_owned(),
        },
        resource: Gvr {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: sample.resource.to_owned(),
        },
        sub_resource: None,
        name: String::new(),
        namespace: Some(namespace.to_owned()),
        operation: Operation::Create,
        user_info: UserInfo::default(),
        object: Some(stored.into()),
        old_object: None,
        dry_run: true,
    };
    let findings = judge(&request, rules, Facts::NONE)?;
    Ok(findings.iter().map(|it| it.control.to_owned()).collect())
}

fn holds(name: &str, rules: &TenantRules) -> bool {
    let control = REGISTRY.iter().find(|control| control.name == name);
    let strict = rules.profile == bulkhead_model::Profile::Strict;
    control.is_some_and(|control| strict || !control.profiles.is_standard())
}
