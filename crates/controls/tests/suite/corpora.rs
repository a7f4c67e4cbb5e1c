//! Manifests that others collected: the fixtures of Pod Security Admission, and pods that are
//! bad on purpose. They lie beside the repository; where they are missing, CI fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::admission::{admit, carrier, create, names, strict};
use crate::yaml::Manifest;

pub fn corpus(name: &str) -> Option<PathBuf> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let path = corpora.join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "the corpus is missing: {}",
        path.display()
    );
    eprintln!("skipped: no corpus at {}", path.display());
    None
}

/// Every document of every YAML file below a directory, with the file's path from there.
pub fn files(directory: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                let name = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(
                    Manifest::parse_all(&text)
                        .into_iter()
                        .map(|m| (name.clone(), m.value)),
                );
            }
        }
    }
    found
}

/// What each family of fixtures is refused for here.
const OURS: [(&str, &[&str]); 17] = [
    ("allowprivilegeescalation", &["privilege-escalation"]),
    ("apparmorprofile", &["apparmor-unconfined"]),
    ("hostprobesandhostlifecycle", &["probe-host"]),
    ("procmount", &["unmasked-proc"]),
    ("sysctls", &["unsafe-sysctl"]),
    ("capabilities_baseline", &["forbidden-capability"]),
    (
        "capabilities_restricted",
        &["capabilities-kept", "forbidden-capability"],
    ),
    ("hostnamespaces", &["host-network", "host-pid", "host-ipc"]),
    ("hostpathvolumes", &["host-path-volume"]),
    ("hostports", &["host-port"]),
    ("privileged", &["privileged-container"]),
    (
        "restrictedvolumes",
        &["unsafe-volume-type", "host-path-volume"],
    ),
    ("runasnonroot", &["runs-as-root"]),
    ("runasuser", &["runs-as-root"]),
    ("seccompprofile", &["seccomp-unconfined"]),
    ("selinuxoptions", &["selinux-label-chosen"]),
    ("windowshostprocess", &["host-process"]),
];

/// Families that are held by the namespace's Pod Security label alone.
const NOT_OURS: [&str; 0] = [];

/// Fixtures that fail there because something is unset. Here it is mended, and they pass.
const MENDED: [&str; 4] = [
    // The only container has no `allowPrivilegeEscalation`.
    "restricted/allowprivilegeescalation2",
    // No container drops anything.
    "restricted/capabilities_restricted0",
    // Drops are unset, `add` is unset too.
    "restricted/capabilities_restricted1",
    // No profile anywhere.
    "restricted/seccompprofile_restricted0",
];

/// Fixtures of `restricted` that pass there and are refused here.
const STRICTER: [(&str, &str); 3] = [
    // Before 1.22 `restricted` let containers add the runtime's default capabilities.
    ("capabilities_baseline0", "forbidden-capability"),
    // A file on the node says nothing about what is in it.
    ("apparmorprofile0", "apparmor-unconfined"),
    ("seccompprofile_restricted1", "seccomp-unconfined"),
];

/// Fixtures of `restricted` that pass from a version on that is later than ours.
const LATER: [&str; 1] = ["v1.37/pass/sysctls1.yaml"];

/// `LEVEL/VERSION/VERDICT/NAME.yaml` in parts.
pub fn parts(file: &str) -> [&str; 4] {
    let parts: Vec<&str> = file.trim_end_matches(".yaml").split('/').collect();
    parts.try_into().expect("level, version, verdict, name")
}

#[test]
fn what_pod_security_refuses_we_refuse_or_mend() {
    let Some(corpus) = corpus("pod-security-standards") else {
        return;
    };
    let mut seen = BTreeSet::new();
    for (file, pod) in files(&corpus) {
        let [level, _, verdict, name] = parts(&file);
        if verdict != "fail" {
            continue;
        }
        let found = names(&admit(create(pod), &strict()).unwrap());
        let passes = MENDED.contains(&format!("{level}/{name}").as_str())
            || NOT_OURS.iter().any(|family| name.starts_with(family));
        if passes {
            assert_eq!(found, BTreeSet::new(), "{file}");
            continue;
        }
        let (family, reasons) = OURS
            .iter()
            .find(|(family, _)| name.starts_with(family))
            .expect("a known family");
        assert!(
            reasons.iter().any(|reason| found.contains(reason)),
            "{file}: {found:?}"
        );
        seen.insert(*family);
    }
    // Everything in `capabilities_restricted` is unset, and so mended.
    let expect = OURS.iter().map(|(family, _)| *family);
    assert_eq!(
        seen,
        expect
            .filter(|family| *family != "capabilities_restricted")
            .collect()
    );
}

#[test]
fn what_restricted_pods_may_do_tenants_may_do() {
    let Some(corpus) = corpus("pod-security-standards/restricted") else {
        return;
    };
    let mut passed = 0;
    for (file, pod) in files(&corpus) {
        let full = format!("restricted/{file}");
        let [_, _, verdict, name] = parts(&full);
        if verdict != "pass" {
            continue;
        }
        let found = names(&admit(create(pod), &strict()).unwrap());
        let stricter = STRICTER.iter().find(|(stricter, _)| *stricter == name);
        let expect = match stricter {
            Some((_, control)) => Some(*control),
            None => LATER.contains(&file.as_str()).then_some("unsafe-sysctl"),
        };
        assert_eq!(found, expect.into_iter().collect(), "{file}");
        passed += usize::from(found.is_empty());
    }
    assert!(passed > 100, "only {passed}");
}

#[test]
fn bad_pods_are_refused_in_every_kind_that_makes_them() {
    let Some(corpus) = corpus("bad-pods") else {
        return;
    };
    let mut kinds = BTreeSet::new();
    for (file, mut object) in files(&corpus) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let carrier = carrier(&kind).unwrap_or_else(|| panic!("{file}: {kind} is no carrier"));
        // Some manifests have versions that no API server serves any more.
        object["apiVersion"] = match &*carrier.group {
            "" => carrier.version.into(),
            group => format!("{group}/{}", carrier.version).into(),
        };
        let found = names(&admit(create(object), &strict()).unwrap());
        if kind == "Service" {
            assert_eq!(
                found,
                BTreeSet::new(),
                "{file}: a StatefulSet's headless Service"
            );
            continue;
        }
        let mut expect = BTreeSet::from(["privileged-container", "privilege-escalation"]);
        if file.starts_with("everything-allowed") {
            expect.extend(["host-network", "host-pid", "host-ipc", "host-path-volume"]);
        }
        assert_eq!(found, expect, "{file}");
        kinds.insert(kind);
    }
    let expect = [
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Job",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    ];
    assert_eq!(kinds, expect.map(str::to_owned).into());
}
