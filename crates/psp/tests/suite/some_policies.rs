//! Policies by the thousand: mostly ones that the API server takes, with values at the boundaries
//! that the pods of `some_pods` have as well.

use serde_json::{Map, Value, json};

use crate::draw::Draw;

pub const IDS: [i64; 9] = [0, 1, 99, 100, 101, 150, 200, 201, 65535];
pub const CAPABILITIES: [&str; 7] = ["A", "B", "C", "NET_ADMIN", "ALL", "a", "*"];
pub const SECCOMP: [&str; 7] = [
    "runtime/default",
    "docker/default",
    "unconfined",
    "localhost/a",
    "localhost/b",
    " runtime/default",
    "",
];
pub const APPARMOR: [&str; 5] = [
    "runtime/default",
    "unconfined",
    "localhost/a",
    "localhost/b",
    "",
];
pub const SYSCTLS: [&str; 8] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.tcp_syncookies",
    "kernel.msgmax",
    "kernel.msgmni",
    "net.core.somaxconn",
    "kernel.sem",
    "net.ipv4.tcp_syncookiesx",
    "a",
];
pub const PATHS: [&str; 9] = [
    "/", "/foo", "/foo/", "/foo/bar", "/food", "/foo//", "/etc", "foo", "",
];
pub const DRIVERS: [&str; 4] = ["d/a", "d/b", "csi.a.io", "csi.b.io"];
pub const RUNTIMES: [&str; 3] = ["runc", "gvisor", "kata"];
pub const LEVELS: [&str; 8] = [
    "s0",
    "s0:c1,c2",
    "s0:c2,c1",
    "s0:c1",
    "s1:c1,c2",
    "s0:c1,c2:c3",
    "",
    "s0:",
];
pub const VOLUMES: [&str; 9] = [
    "*",
    "hostPath",
    "emptyDir",
    "secret",
    "projected",
    "configMap",
    "flexVolume",
    "csi",
    "cephFS",
];
pub const LABEL_PARTS: [&str; 3] = ["x", "y", ""];

/// A policy. `wild` of a hundred fields take any value; the others are ones that fit many pods.
pub fn policy(draw: &mut Draw, name: &str, strictness: usize) -> Value {
    let mut spec = Map::new();
    let s = strictness;
    for key in ["privileged", "hostNetwork", "hostPID", "hostIPC"] {
        let on = !draw.chance(s);
        draw.set(&mut spec, key, 70, |_| json!(on));
    }
    draw.set(&mut spec, "readOnlyRootFilesystem", s / 2, |draw| {
        json!(draw.chance(80))
    });
    draw.set(&mut spec, "allowPrivilegeEscalation", s, |draw| {
        json!(draw.chance(40))
    });
    draw.set(
        &mut spec,
        "defaultAllowPrivilegeEscalation",
        s / 2,
        |draw| json!(draw.chance(40)),
    );
    for (key, percent) in [
        ("defaultAddCapabilities", s / 2),
        ("requiredDropCapabilities", s / 2),
        ("allowedCapabilities", 60),
    ] {
        draw.set(&mut spec, key, percent, |draw| {
            json!(draw.some(&CAPABILITIES, 3))
        });
    }
    let any = !draw.chance(s);
    spec.insert(
        "volumes".into(),
        match any {
            true => json!(["*"]),
            false => json!(draw.some(&VOLUMES[1..], 4)),
        },
    );
    draw.set(&mut spec, "hostPorts", 50, |draw| {
        let port = |draw: &mut Draw| *draw.one(&[1, 80, 81, 443, 8080]);
        let list: Vec<Value> = (0..draw.below(3))
            .map(|_| {
                let (a, b) = (port(draw), port(draw));
                if draw.chance(90) {
                    json!({"min": a.min(b), "max": a.max(b)})
                } else {
                    json!({"min": a, "max": b})
                }
            })
            .collect();
        json!(list)
    });
    spec.insert("seLinux".into(), se_linux(draw, s));
    spec.insert(
        "runAsUser".into(),
        rule(draw, s, &["MustRunAs", "MustRunAsNonRoot"]),
    );
    draw.set(&mut spec, "runAsGroup", s, |draw| {
        rule(draw, s, &["MustRunAs", "MayRunAs"])
    });
    for key in ["supplementalGroups", "fsGroup"] {
        let value = rule(draw, s, &["MustRunAs", "MayRunAs"]);
        spec.insert(key.into(), value);
    }
    draw.set(&mut spec, "allowedHostPaths", s, |draw| {
        let paths = draw.some(&PATHS, 3);
        let list: Vec<Value> = paths
            .into_iter()
            .map(|path| match draw.below(3) {
                0 => json!({"pathPrefix": path}),
                1 => json!({"pathPrefix": path, "readOnly": false}),
                _ => json!({"pathPrefix": path, "readOnly": true}),
            })
            .collect();
        json!(list)
    });
    for (key, field) in [
        ("allowedFlexVolumes", "driver"),
        ("allowedCSIDrivers", "name"),
    ] {
        draw.set(&mut spec, key, s / 2, |draw| {
            let drivers = draw.some(&DRIVERS, 2);
            drivers
                .into_iter()
                .map(|one| json!({field: one}))
                .collect::<Vec<_>>()
                .into()
        });
    }
    let patterns: Vec<String> = SYSCTLS
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}*")])
        .chain([
            "*".to_owned(),
            "kernel.*".to_owned(),
            "kernel.msg*".to_owned(),
            "net.*".to_owned(),
        ])
        .collect();
    draw.set(&mut spec, "allowedUnsafeSysctls", 50, |draw| {
        json!(draw.some(&patterns, 3))
    });
    draw.set(&mut spec, "forbiddenSysctls", s / 2, |draw| {
        json!(draw.some(&patterns, 2))
    });
    draw.set(&mut spec, "allowedProcMountTypes", 40, |draw| {
        json!(draw.some(&["Default", "Unmasked"], 2))
    });
    draw.set(&mut spec, "runtimeClass", s / 2, |draw| {
        let mut class = Map::new();
        draw.set(
            &mut class,
            "allowedRuntimeClassNames",
            90,
            |draw| match draw.below(3) {
                0 => json!(["*"]),
                _ => json!(draw.some(&RUNTIMES, 2)),
            },
        );
        draw.set(&mut class, "defaultRuntimeClassName", 40, |draw| {
            json!(draw.one(&RUNTIMES))
        });
        Value::Object(class)
    });
    let mut notes = Map::new();
    seccomp(draw, &mut notes, s);
    let prefix = "apparmor.security.beta.kubernetes.io/";
    draw.set(
        &mut notes,
        &format!("{prefix}allowedProfileNames"),
        s / 3,
        |draw| json!(draw.some(&APPARMOR, 3).join(",")),
    );
    draw.set(
        &mut notes,
        &format!("{prefix}defaultProfileName"),
        s / 3,
        |draw| json!(draw.one(&APPARMOR)),
    );
    json!({
        "apiVersion": "policy/v1beta1",
        "kind": "PodSecurityPolicy",
        "metadata": {"name": name, "annotations": notes},
        "spec": spec,
    })
}

fn seccomp(draw: &mut Draw, notes: &mut Map<String, Value>, strictness: usize) {
    let prefix = "seccomp.security.alpha.kubernetes.io/";
    draw.set(notes, &format!("{prefix}allowedProfileNames"), 70, |draw| {
        let mut names = draw.some(&SECCOMP, 3);
        if !draw.chance(strictness) {
            names.push("*");
        }
        json!(names.join(","))
    });
    draw.set(
        notes,
        &format!("{prefix}defaultProfileName"),
        strictness / 2,
        |draw| json!(draw.one(&SECCOMP)),
    );
}

fn rule(draw: &mut Draw, strictness: usize, strict: &[&str]) -> Value {
    if !draw.chance(strictness) {
        return json!({"rule": "RunAsAny"});
    }
    if draw.chance(2) {
        return draw
            .one(&[json!({}), json!({"rule": "Nonsense"}), json!({"rule": ""})])
            .clone();
    }
    let mut rule = Map::from_iter([("rule".to_owned(), json!(draw.one(strict)))]);
    draw.set(&mut rule, "ranges", 97, |draw| {
        let least = usize::from(draw.chance(97));
        let list: Vec<Value> = (0..least + draw.below(2))
            .map(|_| {
                let (a, b) = (*draw.one(&IDS), *draw.one(&IDS));
                if draw.chance(95) {
                    json!({"min": a.min(b), "max": a.max(b)})
                } else {
                    json!({"min": a, "max": b})
                }
            })
            .collect();
        json!(list)
    });
    Value::Object(rule)
}

fn se_linux(draw: &mut Draw, strictness: usize) -> Value {
    if !draw.chance(strictness / 2) {
        return json!({"rule": "RunAsAny"});
    }
    let mut rule = Map::from_iter([("rule".to_owned(), json!("MustRunAs"))]);
    draw.set(&mut rule, "seLinuxOptions", 95, label);
    Value::Object(rule)
}

/// An SELinux label, of policies and of pods.
pub fn label(draw: &mut Draw) -> Value {
    let mut label = Map::new();
    draw.set(&mut label, "level", 80, |draw| json!(draw.one(&LEVELS)));
    for part in ["user", "role", "type"] {
        draw.set(&mut label, part, 20, |draw| json!(draw.one(&LABEL_PARTS)));
    }
    Value::Object(label)
}

/// A policy that is wrong here and there, for what the API server says to it.
pub fn odd_policy(draw: &mut Draw) -> Value {
    let names = [
        "",
        "a",
        "Tenant",
        "a.b",
        "-a",
        "a..b",
        "a b",
        &"x".repeat(254),
    ];
    let name = *draw.one(&names);
    let strictness = draw.below(101);
    let mut policy = policy(draw, name, strictness);
    let spec = policy["spec"].as_object_mut().unwrap();
    for _ in 0..draw.below(4) {
        let odd: [(&str, Value); 21] = [
            (
                "runAsUser",
                json!({"rule": draw.one(&["", "MayRunAs", "MustRunAs"])}),
            ),
            (
                "runAsUser",
                json!({"rule": "MustRunAs", "ranges": [{"min": -1, "max": -2}]}),
            ),
            (
                "runAsGroup",
                json!({"rule": draw.one(&["", "MayRunAs", "RunAsAny", "X\"y"])}),
            ),
            (
                "runAsGroup",
                json!({"rule": "RunAsAny", "ranges": [{"min": 1, "max": 2}]}),
            ),
            ("runAsGroup", json!({"rule": "MayRunAs", "ranges": []})),
            (
                "runAsGroup",
                json!({"rule": "MustRunAs", "ranges": [{"min": 3, "max": 2}]}),
            ),
            ("seLinux", json!({"rule": draw.one(&["", "mustRunAs"])})),
            ("fsGroup", json!({"rule": "MustRunAsNonRoot"})),
            (
                "supplementalGroups",
                json!({"ranges": [{"min": 5, "max": -5}]}),
            ),
            (
                "volumes",
                json!(["*", "none", "secret", "image", "storageOS", "cephfs"]),
            ),
            (
                "requiredDropCapabilities",
                json!(draw.some(&CAPABILITIES, 3)),
            ),
            ("allowedCapabilities", json!(["*", "A", "ALL"])),
            ("defaultAddCapabilities", json!(draw.some(&CAPABILITIES, 3))),
            ("defaultAllowPrivilegeEscalation", json!(true)),
            ("allowPrivilegeEscalation", json!(false)),
            ("allowedProcMountTypes", json!(["Default", "default", ""])),
            (
                "allowedHostPaths",
                json!([{"pathPrefix": "/a/../.."}, {"pathPrefix": "a..b"}, {"readOnly": true}, {"pathPrefix": ".."}]),
            ),
            (
                "allowedFlexVolumes",
                json!([{"driver": ""}, {"driver": "x"}]),
            ),
            (
                "allowedCSIDrivers",
                json!([{"name": ""}, {"name": "A.b"}, {"name": "é_"}, {"name": "x".repeat(64)}]),
            ),
            (
                "runtimeClass",
                json!({"allowedRuntimeClassNames": draw.some(&["*", "a", "a", "B", ""], 3), "defaultRuntimeClassName": draw.one(&["a", "C", ""])}),
            ),
            (
                "forbiddenSysctls",
                json!(draw.some(
                    &[
                        "*", "", "a", "a.b", "a.*", "A", "a*b", ".a", "a.", "a-", "a-.b", "-*",
                        "a_*", "kernel.*", "a/b", "**"
                    ],
                    4
                )),
            ),
        ];
        let (key, value) = draw.one(&odd).clone();
        spec.insert(key.to_owned(), value);
    }
    draw.set(spec, "allowedUnsafeSysctls", 40, |draw| {
        json!(draw.some(&["*", "a", "a.b", "a.*", "kernel.msg*", "a.b*"], 3))
    });
    let odd_names = [
        "x",
        "localhost/",
        "localhost//a",
        "localhost/../a",
        "localhost/a/..b",
        "\u{1}é\u{200b}\"",
        "runtime/default",
    ];
    let notes = policy["metadata"]["annotations"].as_object_mut().unwrap();
    for key in [
        "seccomp.security.alpha.kubernetes.io/allowedProfileNames",
        "seccomp.security.alpha.kubernetes.io/defaultProfileName",
        "apparmor.security.beta.kubernetes.io/allowedProfileNames",
        "apparmor.security.beta.kubernetes.io/defaultProfileName",
    ] {
        draw.set(notes, key, 30, |draw| {
            json!(draw.some(&odd_names, 3).join(","))
        });
    }
    if draw.chance(5) {
        policy["metadata"]["namespace"] = json!("default");
    }
    policy
}
