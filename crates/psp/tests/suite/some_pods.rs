//! Pods by the thousand, at the boundaries of `some_policies`: empty against absent, the pod's
//! value against the container's, annotations against fields.

use serde_json::{Map, Value, json};

use crate::draw::Draw;
use crate::some_policies::{
    APPARMOR, CAPABILITIES, DRIVERS, IDS, PATHS, RUNTIMES, SECCOMP, SYSCTLS, label,
};

/// A pod. Of a hundred fields that could hurt, `wild` are set.
pub fn pod(draw: &mut Draw, wild: usize) -> Value {
    let mut spec = Map::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        draw.set(&mut spec, key, wild / 3, |draw| json!(draw.chance(60)));
    }
    draw.set(&mut spec, "runtimeClassName", wild / 3, |draw| {
        json!(draw.one(&RUNTIMES))
    });
    draw.set(&mut spec, "serviceAccountName", 60, |draw| {
        json!(draw.one(&["builder", "default", ""]))
    });
    draw.set(&mut spec, "serviceAccount", 10, |_| json!("old"));
    draw.set(&mut spec, "securityContext", 70, |draw| {
        context(draw, wild, true)
    });
    let mut names = Vec::new();
    for (list, most) in [
        ("initContainers", 2),
        ("containers", 2),
        ("ephemeralContainers", 1),
    ] {
        let count = match list {
            "containers" => 1 + draw.below(most),
            "initContainers" if draw.chance(40) => draw.below(most + 1),
            _ if draw.chance(wild / 5) => 1,
            _ => 0,
        };
        let containers: Vec<Value> = (0..count)
            .map(|_| container(draw, wild, &mut names))
            .collect();
        if count > 0 {
            spec.insert(list.into(), json!(containers));
        }
    }
    draw.set(&mut spec, "volumes", 60, |draw| {
        let volumes: Vec<Value> = (0..draw.below(4))
            .map(|index| volume(draw, index))
            .collect();
        json!(volumes)
    });
    let mut notes = Map::new();
    draw.set(
        &mut notes,
        "seccomp.security.alpha.kubernetes.io/pod",
        wild / 3,
        |draw| json!(draw.one(&SECCOMP)),
    );
    for name in &names {
        let seccomp = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
        draw.set(&mut notes, &seccomp, wild / 3, |draw| {
            json!(draw.one(&SECCOMP))
        });
        let apparmor = format!("container.apparmor.security.beta.kubernetes.io/{name}");
        draw.set(&mut notes, &apparmor, wild / 3, |draw| {
            json!(draw.one(&APPARMOR))
        });
    }
    draw.set(&mut notes, "kubernetes.io/psp", 10, |draw| {
        json!(draw.one(&["a", "c", "gone"]))
    });
    draw.set(&mut notes, "other", 10, |_| json!("kept"));
    let mut metadata = Map::new();
    match draw.below(4) {
        0 => metadata.insert("generateName".into(), json!("web-")),
        1 => None,
        _ => metadata.insert("name".into(), json!("web")),
    };
    if !notes.is_empty() || draw.chance(20) {
        metadata.insert("annotations".into(), json!(notes));
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn context(draw: &mut Draw, wild: usize, of_pod: bool) -> Value {
    let mut context = Map::new();
    for key in ["runAsUser", "runAsGroup"] {
        draw.set(&mut context, key, wild, |draw| json!(draw.one(&IDS)));
    }
    draw.set(&mut context, "runAsNonRoot", wild / 2, |draw| {
        json!(draw.chance(60))
    });
    draw.set(&mut context, "seLinuxOptions", wild / 3, label);
    draw.set(&mut context, "seccompProfile", wild / 3, |draw| {
        draw.one(&[
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Unconfined"}),
            json!({"type": "Localhost", "localhostProfile": "a"}),
            json!({"type": "Localhost"}),
            json!({"type": "Other"}),
        ])
        .clone()
    });
    if of_pod {
        draw.set(&mut context, "fsGroup", wild, |draw| json!(draw.one(&IDS)));
        draw.set(&mut context, "supplementalGroups", wild, |draw| {
            json!(draw.some(&IDS, 3))
        });
        draw.set(&mut context, "sysctls", wild / 3, |draw| {
            let names = draw.some(&SYSCTLS, 2);
            names
                .into_iter()
                .map(|name| json!({"name": name, "value": "1"}))
                .collect::<Vec<_>>()
                .into()
        });
        return Value::Object(context);
    }
    draw.set(&mut context, "privileged", wild / 3, |draw| {
        json!(draw.chance(50))
    });
    draw.set(&mut context, "procMount", wild / 3, |draw| {
        json!(draw.one(&["Default", "Unmasked", "Odd\"one"]))
    });
    draw.set(&mut context, "readOnlyRootFilesystem", wild / 2, |draw| {
        json!(draw.chance(70))
    });
    draw.set(&mut context, "allowPrivilegeEscalation", wild / 2, |draw| {
        json!(draw.chance(40))
    });
    draw.set(&mut context, "capabilities", wild / 2, |draw| {
        let mut lists = Map::new();
        for key in ["add", "drop"] {
            draw.set(&mut lists, key, 60, |draw| {
                json!(draw.some(&CAPABILITIES, 3))
            });
        }
        Value::Object(lists)
    });
    Value::Object(context)
}

fn container(draw: &mut Draw, wild: usize, names: &mut Vec<String>) -> Value {
    let mut name = format!("c{}", names.len());
    if let (true, Some(first)) = (draw.chance(3), names.first()) {
        name.clone_from(first);
    }
    names.push(name.clone());
    let mut fields = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("image".to_owned(), json!("nginx")),
    ]);
    draw.set(&mut fields, "securityContext", 60, |draw| {
        context(draw, wild, false)
    });
    draw.set(&mut fields, "ports", wild / 3, |draw| {
        let ports: Vec<Value> = (0..draw.below(3))
            .map(|_| {
                let mut port = Map::new();
                port.insert("containerPort".into(), json!(draw.one(&[80, 82, 8080])));
                draw.set(&mut port, "hostPort", 60, |draw| {
                    json!(draw.one(&[0, 79, 80, 81, 82, 443, 8080, 8081]))
                });
                Value::Object(port)
            })
            .collect();
        json!(ports)
    });
    draw.set(&mut fields, "volumeMounts", 60, |draw| {
        let mounts: Vec<Value> = (0..draw.below(3))
            .map(|_| {
                let mut mount = Map::new();
                mount.insert("name".into(), json!(format!("v{}", draw.below(3))));
                mount.insert("mountPath".into(), json!("/m"));
                draw.set(&mut mount, "readOnly", 60, |draw| json!(draw.chance(80)));
                Value::Object(mount)
            })
            .collect();
        json!(mounts)
    });
    Value::Object(fields)
}

fn volume(draw: &mut Draw, index: usize) -> Value {
    let (source, value) = match draw.below(10) {
        0..3 => ("hostPath", json!({"path": draw.one(&PATHS)})),
        3 => ("emptyDir", json!({})),
        4 => ("secret", json!({"secretName": "s"})),
        5 => ("flexVolume", json!({"driver": draw.one(&DRIVERS)})),
        6 => ("csi", json!({"driver": draw.one(&DRIVERS)})),
        7 => ("cephfs", json!({"monitors": ["m"]})),
        8 => return json!({"name": format!("v{index}")}),
        _ => ("projected", projected(draw)),
    };
    json!({"name": format!("v{index}"), source: value})
}

/// Mostly what a ServiceAccount's token comes with.
fn projected(draw: &mut Draw) -> Value {
    let mut sources = vec![
        json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}),
        json!({"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        json!({"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}),
    ];
    if draw.chance(40) {
        let odd = draw
            .one(&[
                json!({"serviceAccountToken": {"path": "token", "audience": "vault"}}),
                json!({"serviceAccountToken": {"path": "other"}}),
                json!({"serviceAccountToken": {"path": "token", "audience": ""}}),
                json!({"configMap": {"name": "mine"}}),
                json!({"secret": {"name": "s"}}),
                json!({"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}),
                json!({"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
                json!({"downwardAPI": {"items": [{"path": "namespace", "resourceFieldRef": {"containerName": "c0", "resource": "limits.cpu"}}]}}),
                json!({"downwardAPI": {}}),
                json!({}),
            ])
            .clone();
        sources.push(odd);
    }
    if draw.chance(10) {
        sources.clear();
    }
    json!({"sources": sources})
}
