//! PodSecurityPolicies that Kubernetes took, and pods that it takes, at each other's boundaries.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Some of these, without repetition.
fn some(rng: &mut Rng, of: &[&str], percent: u8) -> Vec<String> {
    let kept = of.iter().filter(|_| rng.u8(0..100) < percent);
    kept.map(|one| (*one).to_owned()).collect()
}

fn one<T: Clone>(rng: &mut Rng, of: &[T]) -> Option<T> {
    rng.choice(of).cloned()
}

/// Sets one of the values, with this chance.
fn maybe(rng: &mut Rng, fields: &mut Map<String, Value>, key: &str, percent: u8, of: &[Value]) {
    if rng.u8(0..100) < percent
        && let Some(value) = one(rng, of)
    {
        fields.insert(key.to_owned(), value);
    }
}

const CAPABILITIES: [&str; 6] = [
    "NET_BIND_SERVICE",
    "CHOWN",
    "KILL",
    "NET_ADMIN",
    "SYS_TIME",
    "ALL",
];
const SECCOMP: [&str; 5] = [
    "runtime/default",
    "docker/default",
    "unconfined",
    "localhost/a.json",
    "localhost/b.json",
];
const APPARMOR: [&str; 3] = ["runtime/default", "unconfined", "localhost/a"];
const VOLUMES: [&str; 10] = [
    "hostPath",
    "emptyDir",
    "secret",
    "projected",
    "configMap",
    "csi",
    "flexVolume",
    "persistentVolumeClaim",
    "downwardAPI",
    "nfs",
];
/// Forbidden sysctls, and unsafe ones that are allowed.
const SYSCTLS: [(&[&str], &[&str]); 7] = [
    (&[], &[]),
    (&[], &["*"]),
    (&["kernel.msg*"], &["net.core.somaxconn"]),
    (&["net.*"], &["kernel.msg*"]),
    (
        &["kernel.shm_rmid_forced"],
        &["kernel.msgmax", "net.core.*"],
    ),
    (&["net.ipv4.tcp_syncookies", "kernel.sem"], &[]),
    (&["*"], &[]),
];

/// A policy that Kubernetes took. No policy lets pods use all four: the host's network, processes
/// and IPC, and privileges.
pub fn policy(rng: &mut Rng, name: &str) -> Value {
    let mut spec = Map::new();
    let host = ["hostNetwork", "hostPID", "hostIPC", "privileged"];
    let kept = rng.usize(0..host.len());
    for (index, key) in host.into_iter().enumerate() {
        let may = index != kept && rng.u8(0..100) < 50;
        spec.insert(key.to_owned(), json!(may));
    }
    let escalation = rng.u8(0..100) < 55;
    spec.insert("allowPrivilegeEscalation".into(), json!(escalation));
    if rng.u8(0..100) < 20 {
        let default = escalation && rng.bool();
        spec.insert("defaultAllowPrivilegeEscalation".into(), json!(default));
    }
    let yes = [json!(true)];
    maybe(rng, &mut spec, "readOnlyRootFilesystem", 20, &yes);
    capabilities(rng, &mut spec);
    let all = rng.u8(0..100) < 35;
    let volumes = if all {
        vec!["*".to_owned()]
    } else {
        some(rng, &VOLUMES, 55)
    };
    spec.insert("volumes".into(), json!(volumes));
    let paths = [
        json!([{"pathPrefix": "/srv"}]),
        json!([{"pathPrefix": "/srv", "readOnly": true}]),
        json!([{"pathPrefix": "/srv/", "readOnly": true}, {"pathPrefix": "/srv/w"}]),
        json!([{"pathPrefix": "/"}]),
    ];
    maybe(rng, &mut spec, "allowedHostPaths", 60, &paths);
    let flex = [json!([{"driver": "a.example/one"}])];
    maybe(rng, &mut spec, "allowedFlexVolumes", 30, &flex);
    let csi = [json!([{"name": "one.csi.example"}])];
    maybe(rng, &mut spec, "allowedCSIDrivers", 30, &csi);
    let ports = [
        json!([{"min": 8080, "max": 8081}]),
        json!([{"min": 1, "max": 80}, {"min": 443, "max": 443}]),
        json!([{"min": 0, "max": 65535}]),
    ];
    maybe(rng, &mut spec, "hostPorts", 60, &ports);
    ids(rng, &mut spec);
    let label = json!({"level": "s0:c123,c456", "type": "container_t"});
    let labels = [
        json!({"rule": "RunAsAny"}),
        json!({"rule": "RunAsAny"}),
        json!({"rule": "MustRunAs", "seLinuxOptions": label}),
        json!({"rule": "MustRunAs", "seLinuxOptions": {"level": "s0"}}),
    ];
    spec.insert("seLinux".into(), json!(one(rng, &labels)));
    let (forbidden, allowed) = one(rng, &SYSCTLS).unwrap_or_default();
    spec.insert("forbiddenSysctls".into(), json!(forbidden));
    spec.insert("allowedUnsafeSysctls".into(), json!(allowed));
    let proc_mounts = [json!(["Default"]), json!(["Default", "Unmasked"])];
    maybe(rng, &mut spec, "allowedProcMountTypes", 50, &proc_mounts);
    let classes = [
        json!({"allowedRuntimeClassNames": ["*"]}),
        json!({"allowedRuntimeClassNames": ["psp-one"]}),
        json!({"allowedRuntimeClassNames": []}),
        json!({"allowedRuntimeClassNames": ["psp-one"], "defaultRuntimeClassName": "psp-one"}),
    ];
    maybe(rng, &mut spec, "runtimeClass", 50, &classes);
    json!({
        "apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy",
        "metadata": {"name": name, "annotations": notes(rng)}, "spec": spec,
    })
}

fn capabilities(rng: &mut Rng, spec: &mut Map<String, Value>) {
    if rng.u8(0..100) < 15 {
        spec.insert("allowedCapabilities".into(), json!(["*"]));
        return;
    }
    let mut left: Vec<&str> = CAPABILITIES.to_vec();
    let dropped = some(rng, &["ALL", "NET_ADMIN"], 40);
    left.retain(|one| !dropped.iter().any(|dropped| dropped == one));
    let added = some(rng, &left, 10);
    spec.insert("requiredDropCapabilities".into(), json!(dropped));
    spec.insert("defaultAddCapabilities".into(), json!(added));
    let allowed = some(rng, &left, 35);
    spec.insert("allowedCapabilities".into(), json!(allowed));
}

fn ids(rng: &mut Rng, spec: &mut Map<String, Value>) {
    let ranges = [
        json!([{"min": 1000, "max": 1001}]),
        json!([{"min": 1, "max": 65535}]),
        json!([{"min": 0, "max": 0}, {"min": 1000, "max": 2000}]),
    ];
    for (key, rules) in [
        ("runAsUser", ["RunAsAny", "MustRunAs", "MustRunAsNonRoot"]),
        ("runAsGroup", ["RunAsAny", "MustRunAs", "MayRunAs"]),
        ("fsGroup", ["RunAsAny", "MustRunAs", "MayRunAs"]),
        ("supplementalGroups", ["RunAsAny", "MustRunAs", "MayRunAs"]),
    ] {
        let rule = one(rng, &rules).unwrap_or("RunAsAny");
        let mut fields = Map::from_iter([("rule".to_owned(), json!(rule))]);
        if rule == "MustRunAs" || rule == "MayRunAs" {
            fields.insert("ranges".into(), json!(one(rng, &ranges)));
        }
        spec.insert(key.to_owned(), Value::Object(fields));
    }
}

fn notes(rng: &mut Rng) -> Value {
    let mut notes = Map::new();
    if rng.u8(0..100) < 75 {
        let names = if rng.bool() {
            "*".to_owned()
        } else {
            let names = some(rng, &SECCOMP, 60);
            if names.is_empty() {
                "runtime/default".to_owned()
            } else {
                names.join(",")
            }
        };
        let key = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";
        notes.insert(key.to_owned(), json!(names));
    }
    let key = "seccomp.security.alpha.kubernetes.io/defaultProfileName";
    maybe(rng, &mut notes, key, 20, &[json!("runtime/default")]);
    if rng.u8(0..100) < 25 {
        let names = some(rng, &APPARMOR, 60);
        if !names.is_empty() {
            let key = "apparmor.security.beta.kubernetes.io/allowedProfileNames";
            notes.insert(key.to_owned(), json!(names.join(",")));
        }
    }
    let key = "apparmor.security.beta.kubernetes.io/defaultProfileName";
    maybe(rng, &mut notes, key, 10, &[json!("runtime/default")]);
    json!(notes)
}

/// A pod. `wild` of a hundred fields that could hurt are set.
pub fn pod(rng: &mut Rng, wild: u8) -> Value {
    let mut spec = Map::new();
    let flags = [json!(true), json!(false)];
    for key in ["hostPID", "hostIPC"] {
        maybe(rng, &mut spec, key, wild / 2, &flags);
    }
    let on_host = rng.u8(0..100) < wild / 4;
    if on_host {
        spec.insert("hostNetwork".into(), json!(true));
    } else {
        // Only such pods may see all of `/proc`.
        maybe(rng, &mut spec, "hostUsers", wild, &[json!(false)]);
    }
    let classes = [json!("psp-one"), json!("psp-two")];
    maybe(rng, &mut spec, "runtimeClassName", wild, &classes);
    maybe(rng, &mut spec, "automountServiceAccountToken", 50, &flags);
    let context = context(rng, wild, true);
    spec.insert("securityContext".into(), context);
    let volumes: Vec<Value> = (0..rng.usize(0..3))
        .filter_map(|index| volume(rng, index))
        .collect();
    let mut notes = Map::new();
    for (list, most) in [("initContainers", 1), ("containers", 2)] {
        let least = usize::from(list == "containers");
        let mut containers = Vec::new();
        for index in 0..rng.usize(least..=most) {
            let name = format!("{}{index}", list.get(..1).unwrap_or_default());
            let key = format!("container.apparmor.security.beta.kubernetes.io/{name}");
            let profiles = APPARMOR.map(|one| json!(one));
            maybe(rng, &mut notes, &key, wild / 4, &profiles);
            containers.push(container(rng, wild, &name, on_host, volumes.len()));
        }
        if !containers.is_empty() {
            spec.insert(list.to_owned(), json!(containers));
        }
    }
    spec.insert("volumes".into(), json!(volumes));
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "annotations": notes}, "spec": spec,
    })
}

fn context(rng: &mut Rng, wild: u8, of_pod: bool) -> Value {
    let mut fields = Map::new();
    let ids = [0, 1, 999, 1000, 1001, 1002, 2000, 65535].map(|id| json!(id));
    maybe(rng, &mut fields, "runAsUser", wild, &ids);
    maybe(rng, &mut fields, "runAsGroup", wild, &ids);
    let flags = [json!(true), json!(true), json!(false)];
    maybe(rng, &mut fields, "runAsNonRoot", wild, &flags);
    let labels = [
        json!({"level": "s0:c123,c456", "type": "container_t"}),
        json!({"level": "s0:c456,c123", "type": "container_t"}),
        json!({"level": "s0:c123,c123", "type": "container_t"}),
        json!({"level": "s0:c123,c456", "type": "spc_t"}),
        json!({"level": "s0"}),
    ];
    maybe(rng, &mut fields, "seLinuxOptions", wild / 2, &labels);
    let profiles = [
        json!({"type": "RuntimeDefault"}),
        json!({"type": "RuntimeDefault"}),
        json!({"type": "Unconfined"}),
        json!({"type": "Localhost", "localhostProfile": "a.json"}),
    ];
    maybe(rng, &mut fields, "seccompProfile", wild, &profiles);
    let profiles = [
        json!({"type": "RuntimeDefault"}),
        json!({"type": "Unconfined"}),
        json!({"type": "Localhost", "localhostProfile": "a"}),
    ];
    maybe(rng, &mut fields, "appArmorProfile", wild / 3, &profiles);
    if of_pod {
        maybe(rng, &mut fields, "fsGroup", wild, &ids);
        let groups = [json!([]), json!([1000]), json!([1000, 2001]), json!([0])];
        maybe(rng, &mut fields, "supplementalGroups", wild, &groups);
        let sysctls = [
            "kernel.shm_rmid_forced",
            "kernel.msgmax",
            "net.core.somaxconn",
            "net.ipv4.tcp_syncookies",
        ]
        .map(|name| json!([{"name": name, "value": "1"}]));
        maybe(rng, &mut fields, "sysctls", wild / 2, &sysctls);
        return Value::Object(fields);
    }
    let escalation = rng.u8(0..3);
    if escalation == 0 {
        fields.insert("allowPrivilegeEscalation".into(), json!(false));
    } else {
        maybe(
            rng,
            &mut fields,
            "allowPrivilegeEscalation",
            wild,
            &[json!(true)],
        );
        maybe(rng, &mut fields, "privileged", wild / 2, &flags);
    }
    let mounts = [json!("Default"), json!("Unmasked")];
    maybe(rng, &mut fields, "procMount", wild / 3, &mounts);
    maybe(rng, &mut fields, "readOnlyRootFilesystem", wild, &flags);
    let mut lists = Map::new();
    let add = some(rng, &CAPABILITIES, wild / 6);
    let drop = some(rng, &["ALL", "NET_ADMIN"], 50);
    for (key, list) in [("add", add), ("drop", drop)] {
        if !list.is_empty() {
            lists.insert(key.to_owned(), json!(list));
        }
    }
    if !lists.is_empty() {
        fields.insert("capabilities".into(), Value::Object(lists));
    }
    Value::Object(fields)
}

fn container(rng: &mut Rng, wild: u8, name: &str, on_host: bool, volumes: usize) -> Value {
    let mut fields = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("image".to_owned(), json!("registry.example/app:1")),
    ]);
    if rng.u8(0..100) < 70 {
        let context = context(rng, wild, false);
        fields.insert("securityContext".into(), context);
    }
    // Two containers must not want the same port of the host.
    if name == "c1" && rng.u8(0..100) < wild {
        let port = one(rng, &[80, 443, 8080, 8081, 8082]);
        let ports = if on_host || rng.bool() {
            json!([{"containerPort": port, "hostPort": port}])
        } else {
            json!([{"containerPort": port}])
        };
        fields.insert("ports".into(), ports);
    }
    if name.starts_with('c') {
        let probes = [
            json!({"httpGet": {"port": 80}}),
            json!({"httpGet": {"port": 80, "host": "10.0.0.1"}}),
        ];
        maybe(rng, &mut fields, "livenessProbe", wild / 4, &probes);
    }
    let mut mounts = Vec::new();
    for index in 0..volumes {
        if rng.bool() {
            let (name, path) = (format!("v{index}"), format!("/m{index}"));
            let read_only = rng.u8(0..100) < 70;
            mounts.push(json!({"name": name, "mountPath": path, "readOnly": read_only}));
        }
    }
    fields.insert("volumeMounts".into(), json!(mounts));
    Value::Object(fields)
}

fn volume(rng: &mut Rng, index: usize) -> Option<Value> {
    let paths = ["/srv", "/srv/", "/srv/w/a", "/srvx", "/etc", "/"];
    let (source, value) = match rng.u8(0..13) {
        0..4 => ("hostPath", json!({"path": one(rng, &paths)})),
        4 => ("emptyDir", json!({})),
        5 => ("secret", json!({"secretName": "s"})),
        6 => ("configMap", json!({"name": "m"})),
        7 => {
            let drivers = ["one.csi.example", "two.csi.example"];
            ("csi", json!({"driver": one(rng, &drivers)}))
        }
        8 => {
            let drivers = ["a.example/one", "a.example/two"];
            ("flexVolume", json!({"driver": one(rng, &drivers)}))
        }
        9 => ("persistentVolumeClaim", json!({"claimName": "d"})),
        10 => ("nfs", json!({"server": "nfs.example", "path": "/"})),
        11 => ("projected", projected(rng)),
        // The API server makes an `emptyDir` of it.
        _ => return Some(json!({"name": format!("v{index}")})),
    };
    Some(json!({"name": format!("v{index}"), source: value}))
}

fn projected(rng: &mut Rng) -> Value {
    let sources = [
        json!({"serviceAccountToken": {"path": "token"}}),
        json!({"serviceAccountToken": {"path": "token", "audience": "vault"}}),
        json!({"serviceAccountToken": {"path": "other"}}),
        json!({"configMap": {"name": "kube-root-ca.crt"}}),
        json!({"configMap": {"name": "mine"}}),
        json!({"secret": {"name": "s"}}),
        json!({"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}),
        json!({"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
    ];
    json!({"sources": [one(rng, &sources)]})
}
