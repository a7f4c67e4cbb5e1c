//! Admission requests: objects of real manifests and of our own, mutated.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Objects to begin with. Those of the corpora lie beside the repository; where they are missing,
/// CI fails, and elsewhere ours are enough.
pub fn objects() -> Vec<Value> {
    let mut found: Vec<Value> = documents(include_str!("objects.yaml"));
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    if !corpora.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no corpora at {}",
            corpora.display()
        );
        eprintln!("skipped: no corpora at {}", corpora.display());
        return found;
    }
    for name in [
        "bad-pods",
        "pod-security-standards",
        "psp-migration",
        "kubescape-rules",
    ] {
        let mut files = files(&corpora.join(name));
        files.sort();
        let texts = files
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok());
        found.extend(texts.flat_map(|text| documents(&text)));
    }
    found
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "json") {
                found.push(path);
            }
        }
    }
    found
}

/// The objects of a YAML text that are whole enough to be sent.
pub fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_norway::Deserializer::from_str(text);
    let read = documents.map_while(|document| Value::deserialize(document).ok());
    let whole = |object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).is_some_and(Value::is_string);
        text("/apiVersion")
            && text("/kind")
            && object.pointer("/metadata").is_some_and(Value::is_object)
    };
    read.filter(whole).collect()
}

const NAMESPACES: [&str; 6] = [
    "default",
    "acme-dev",
    "kube-system",
    "istio-system",
    "acme",
    "web",
];

/// A request about one of the objects, and the Namespace that it is in.
pub fn review(rng: &mut Rng, objects: &[Value]) -> Value {
    let mut object = objects[rng.usize(..objects.len())].clone();
    for _ in 0..rng.usize(..5) {
        mutate(rng, &mut object, 0);
    }
    // The API server sends no object without these.
    if !object.is_object()
        || !object["metadata"].is_object()
        || !object["kind"].is_string()
        || !object["apiVersion"].is_string()
    {
        return review(rng, objects);
    }
    for field in ["name", "namespace", "generateName"] {
        if !object["metadata"][field].is_string() {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
    }
    typed(&mut object);
    strings(&mut object["metadata"], "labels");
    strings(&mut object["metadata"], "annotations");
    let namespaced = rng.u8(..10) > 0 && object["kind"] != "Namespace";
    let namespace = NAMESPACES[rng.usize(..NAMESPACES.len())];
    if namespaced {
        object["metadata"]["namespace"] = json!(namespace);
    } else {
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("namespace");
    }
    let operation = ["CREATE", "CREATE", "CREATE", "UPDATE", "DELETE"][rng.usize(..5)];
    let mut old = object.clone();
    if operation == "UPDATE" {
        let annotations = json!({"owner": "a", "keep": "true", "example.com/cost-center": "7"});
        old["metadata"]["annotations"] = annotations;
    }
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().unwrap();
    let resource = format!("{}s", kind.to_lowercase());
    let mut request = json!({
        "uid": "7f3b", "operation": operation,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
        "userInfo": {"username": "jane", "groups": ["dev", "system:authenticated"]},
        "object": if operation == "DELETE" { Value::Null } else { object.clone() },
        "oldObject": if operation == "CREATE" { Value::Null } else { old },
        "dryRun": rng.bool(),
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    });
    if let Some(name) = object["metadata"]["name"].as_str() {
        request["name"] = json!(name);
    }
    if !namespaced {
        return json!({"request": request});
    }
    request["namespace"] = json!(namespace);
    let mut labels = Map::new();
    labels.insert("kubernetes.io/metadata.name".into(), json!(namespace));
    if rng.bool() {
        labels.insert("tokens".into(), json!("allowed"));
    }
    if rng.u8(..4) == 0 {
        labels.insert("exempt".into(), json!("yes"));
    }
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": namespace, "labels": labels},
    });
    json!({"request": request, "namespace": namespace, "namespaceObject": namespace})
}

/// What no API server lets through: names that are no strings, and containers that are no objects.
/// Of the former a policy's words differ (see `docs/rego.md`), not its verdict.
fn typed(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if key == "name" && !value.is_string() {
                    *value = json!("named");
                }
                if let (true, Some(list)) = (key.ends_with("ontainers"), value.as_array_mut()) {
                    list.retain(Value::is_object);
                }
                typed(value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(typed),
        _ => {}
    }
}

/// Labels and annotations are maps of strings, or the API server does not take them.
fn strings(metadata: &mut Value, field: &str) {
    let whole = metadata[field]
        .as_object()
        .is_some_and(|map| map.values().all(Value::is_string));
    if !whole {
        metadata.as_object_mut().unwrap().remove(field);
    }
}

/// Values that policies compare with, and values of another kind.
fn odd(rng: &mut Rng) -> Value {
    match rng.u8(..16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(0),
        4 => json!(rng.i32(-5..9000)),
        5 => json!(1.5),
        6 => json!(""),
        7 => json!("nginx:latest"),
        8 => json!("registry.example.com/app:1.2"),
        9 => json!("512Mi"),
        10 => json!("250m"),
        11 => json!([]),
        12 => json!({}),
        13 => json!(["ALL", "NET_ADMIN", "NET_BIND_SERVICE"]),
        14 => json!({"name": "x", "value": "y"}),
        _ => json!("/var/log/pods"),
    }
}

const KEYS: [&str; 14] = [
    "privileged",
    "hostPID",
    "securityContext",
    "image",
    "capabilities",
    "drop",
    "hostPort",
    "runAsUser",
    "allowPrivilegeEscalation",
    "readOnly",
    "limits",
    "replicas",
    "livenessProbe",
    "type",
];

/// Changes something somewhere.
fn mutate(rng: &mut Rng, value: &mut Value, depth: usize) {
    let deeper = depth < 2 || rng.u8(..4) > 0;
    match value {
        Value::Object(object) if !object.is_empty() && deeper => {
            let at = rng.usize(..object.len());
            let key = object.keys().nth(at).unwrap().clone();
            match rng.u8(..12) {
                0 if depth > 0 => {
                    object.remove(&key);
                }
                1 if depth > 0 => {
                    object.insert(KEYS[rng.usize(..KEYS.len())].into(), odd(rng));
                }
                _ => mutate(rng, &mut object[&key], depth + 1),
            }
        }
        Value::Array(list) if !list.is_empty() && deeper => {
            let at = rng.usize(..list.len());
            match rng.u8(..8) {
                0 => {
                    list.remove(at);
                }
                1 => list.push(list[at].clone()),
                _ => mutate(rng, &mut list[at], depth + 1),
            }
        }
        _ if depth > 1 => *value = odd(rng),
        _ => {}
    }
}
