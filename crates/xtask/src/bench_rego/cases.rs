//! What is asked, and by which policies: those of the tests of `rego`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Objects of all kinds, beside a pod of three containers as controllers send it.
const OBJECTS: &str = include_str!("../../../rego/tests/suite/objects.yaml");
const POD: &str = include_str!("../bench_admission/pod.json");

/// Templates and constraints, without what compares with other objects or asks for a Namespace:
/// neither side has a cluster.
pub(super) fn policies() -> Result<(Vec<Value>, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rego/tests/policies");
    let mut files = fs::read_dir(folder)?
        .map(|file| Ok(file?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    let (mut templates, mut constraints) = (Vec::new(), Vec::new());
    for file in files {
        let text = fs::read_to_string(&file)?;
        if text.contains("data.inventory") {
            continue;
        }
        for mut object in documents(&text)? {
            if object.get("kind").and_then(Value::as_str) == Some("ConstraintTemplate") {
                templates.push(object);
                continue;
            }
            let matches = object.pointer_mut("/spec/match");
            if let Some(matches) = matches.and_then(Value::as_object_mut) {
                matches.remove("namespaceSelector");
            }
            constraints.push(object);
        }
    }
    ensure!(templates.len() >= 18, "only {} templates", templates.len());
    Ok((templates, constraints))
}

/// As many constraints, the same ones again under other names.
pub(super) fn grown(constraints: &[Value], count: usize) -> Vec<Value> {
    let all = constraints.iter().cycle().take(count).enumerate();
    all.map(|(at, constraint)| {
        let mut constraint = constraint.clone();
        if let Some(name) = constraint.pointer_mut("/metadata/name") {
            *name = json!(format!("{}-{at}", name.as_str().unwrap_or_default()));
        }
        constraint
    })
    .collect()
}

/// AdmissionReviews of objects that are made.
pub(super) fn reviews() -> Result<Vec<Bytes>> {
    let mut objects = documents(OBJECTS)?;
    objects.push(serde_json::from_str(POD).context("pod.json")?);
    // Most of what a cluster is asked about is no policy's affair.
    objects
        .push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}));
    Ok(objects
        .into_iter()
        .map(|object| review(object).into())
        .collect())
}

fn review(mut object: Value) -> String {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), json!("acme-dev"));
    }
    let text = |pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let version = text("/apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = text("/kind");
    let gvk = json!({"group": group, "version": version, "kind": kind});
    let resource = format!("{}s", kind.to_lowercase());
    let gvr = json!({"group": group, "version": version, "resource": resource});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0d8a3a52-2c1b-4a8e-b4a7-93c1f6a0f1de",
            "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr,
            "name": text("/metadata/name"), "namespace": "acme-dev", "operation": "CREATE",
            "userInfo": {"username": "dev", "groups": ["system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
    .to_string()
}

/// Whether it is let in, and of how many lines the message is.
pub(super) fn verdict(answer: &[u8]) -> Result<(bool, usize)> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
    let allowed = answer.pointer("/response/allowed");
    let allowed = allowed.and_then(Value::as_bool).context("no verdict")?;
    let message = answer.pointer("/response/status/message");
    let message = message.and_then(Value::as_str).unwrap_or_default();
    let lines = message.lines().filter(|_| !allowed).count();
    Ok((allowed, lines))
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_norway::Deserializer::from_str(text);
    let objects = documents
        .map(Value::deserialize)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(objects.into_iter().filter(Value::is_object).collect())
}
