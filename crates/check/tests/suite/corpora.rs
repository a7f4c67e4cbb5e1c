//! Manifests that others collected, and what others say of them. They lie beside the repository;
//! where they are missing, CI fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bulkhead_check::Index;
use bulkhead_manifests::parse;
use bulkhead_report::Level;
use serde_json::Value;

use crate::{all, source};

fn corpus(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpora")
        .join(name);
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

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|e| ["yaml", "yml", "json"].iter().any(|x| e == *x))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The controls that find something in files that are looked at together.
fn found(files: &[PathBuf]) -> BTreeSet<&'static str> {
    let texts: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let mut index = Index::default();
    texts.iter().for_each(|text| index.learn(&parse(text)));
    let mut found = BTreeSet::new();
    for text in &texts {
        let report = bulkhead_check::check(&source("a.yaml", text), &all(), &index);
        let findings = report
            .issues
            .iter()
            .filter(|issue| issue.level == Level::Finding);
        found.extend(findings.map(|issue| issue.rule));
    }
    found
}

#[test]
fn every_bad_pod_is_refused() {
    let Some(corpus) = corpus("bad-pods") else {
        return;
    };
    let files = files(&corpus);
    assert!(files.len() > 25, "{}", files.len());
    for file in files {
        let found = found(std::slice::from_ref(&file));
        assert!(
            found.contains("privileged-container"),
            "{}: {found:?}",
            file.display()
        );
        if file.to_string_lossy().contains("everything-allowed") {
            for control in ["host-network", "host-pid", "host-ipc", "host-path-volume"] {
                assert!(found.contains(control), "{}: {found:?}", file.display());
            }
        }
    }
}

/// What Polaris checks that we do, and by which controls.
const POLARIS: [(&str, &[&str]); 8] = [
    ("hostNetworkSet", &["host-network"]),
    ("hostPortSet", &["host-port"]),
    (
        "insecureCapabilities",
        &["capabilities-kept", "forbidden-capability"],
    ),
    ("privilegeEscalationAllowed", &["privilege-escalation"]),
    (
        "rolebindingClusterAdminClusterRole",
        &["rbac-beyond-tenant"],
    ),
    ("rolebindingClusterAdminRole", &["rbac-beyond-tenant"]),
    (
        "rolebindingClusterRolePodExecAttach",
        &["rbac-beyond-tenant"],
    ),
    ("runAsPrivileged", &["privileged-container"]),
];

/// Where we say something else than Polaris, and why. This list may only shrink.
const POLARIS_DIFFERS: [(&str, &str); 21] = [
    // Kubernetes' own `restricted` and the runtimes' documentation know `ALL`, in this spelling.
    (
        "insecureCapabilities/success.all.yaml",
        "drops `All`, and only `ALL` is sure to be all",
    ),
    // A list that is complete today is not once a runtime's default grows.
    (
        "insecureCapabilities/success.case.yaml",
        "drops a list, not `ALL`",
    ),
    (
        "insecureCapabilities/success.pod.yaml",
        "drops a list, not `ALL`",
    ),
    (
        "insecureCapabilities/success.yaml",
        "drops a list, not `ALL`",
    ),
    // What a ClusterRole holds changes without the binding: whoever may write it, widens the right.
    (
        "rolebindingClusterAdminClusterRole/success.allow_unrelated_perms.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminClusterRole/success.explicit_apigroups.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminClusterRole/success.explicit_resources.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminClusterRole/success.explicit_verbs.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminClusterRole/success.gce_calico_binding.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminClusterRole/success.system_prefix_binding.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminRole/success.binding_references_clusterrole.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminRole/success.explicit_apigroups.yaml",
        STAR,
    ),
    (
        "rolebindingClusterAdminRole/success.explicit_resources.yaml",
        STAR,
    ),
    (
        "rolebindingClusterAdminRole/success.explicit_verbs.yaml",
        STAR,
    ),
    (
        "rolebindingClusterAdminRole/success.gce_calico_binding.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterAdminRole/success.system_prefix_binding.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterRolePodExecAttach/success.allow_unrelated_perms.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterRolePodExecAttach/success.attach_wrong_verb.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterRolePodExecAttach/success.exec_wrong_verb.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterRolePodExecAttach/success.gce_calico_binding.yaml",
        CLUSTER_ROLE,
    ),
    (
        "rolebindingClusterRolePodExecAttach/success.system_prefix_binding.yaml",
        CLUSTER_ROLE,
    ),
];

const CLUSTER_ROLE: &str =
    "binds a ClusterRole, which Polaris looks into, and which we take only if the Tenant names it";
const STAR: &str = "grants `*`, which takes in what comes tomorrow";

#[test]
fn we_agree_with_polaris() {
    let Some(corpus) = corpus("polaris-checks") else {
        return;
    };
    let mut differs = BTreeSet::new();
    let mut agreed = 0;
    for (check, controls) in POLARIS {
        for file in files(&corpus.join(check)) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            // What Polaris makes of a failing file, which it does not say passes.
            if name.starts_with("mutated") {
                continue;
            }
            let found = found(std::slice::from_ref(&file));
            let refused = controls.iter().any(|control| found.contains(control));
            if refused == name.starts_with("failure") {
                agreed += 1;
            } else {
                differs.insert(format!("{check}/{name}"));
            }
        }
    }
    assert!(agreed > 20, "only {agreed}");
    assert_eq!(
        differs,
        POLARIS_DIFFERS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    );
}

/// What Kubescape's rules look for that we do, and by which controls.
const KUBESCAPE: [(&str, &[&str]); 13] = [
    ("alert-any-hostpath", &["host-path-volume"]),
    (
        "alert-mount-potential-credentials-paths",
        &["host-path-volume"],
    ),
    ("container-hostPort", &["host-port"]),
    ("host-pid-ipc-privileges", &["host-pid", "host-ipc"]),
    ("host-pid-privileges", &["host-pid"]),
    (
        "rule-can-approve-cert-signing-request",
        &["rbac-beyond-tenant"],
    ),
    ("rule-can-bind-escalate", &["rbac-beyond-tenant"]),
    (
        "rule-privileged-container",
        &["privileged-container", "forbidden-capability"],
    ),
    ("set-procmount-default", &["unmasked-proc"]),
    ("set-seLinuxOptions", &["selinux-label-chosen"]),
    ("set-seccomp-profile", &["seccomp-unconfined"]),
    (
        "set-seccomp-profile-RuntimeDefault",
        &["seccomp-unconfined"],
    ),
    ("set-sysctls-params", &["unsafe-sysctl"]),
];

/// Where we say something else than Kubescape, and why. This list may only shrink.
const KUBESCAPE_DIFFERS: [(&str, &str); 4] = [
    (
        "alert-mount-potential-credentials-paths/deployment_no_cloud_provider_pass",
        "mounts a path of the node, where no cloud keeps credentials, and we take none",
    ),
    (
        "alert-mount-potential-credentials-paths/pod_eks_passed",
        "mounts a path of the node, where this cloud keeps none, and we take none",
    ),
    (
        "rule-can-bind-escalate/clusterrole-clusterrolebinding",
        "binds in the whole cluster, which no tenant can: RBAC and a guard refuse it, and files of the platform hold it rightly",
    ),
    (
        "set-procmount-default/workload",
        "leaves `procMount` unset, which is `Default`",
    ),
];

#[test]
fn we_agree_with_kubescape() {
    let Some(corpus) = corpus("kubescape-rules") else {
        return;
    };
    let mut differs = BTreeSet::new();
    let mut agreed = 0;
    for (rule, controls) in KUBESCAPE {
        for entry in std::fs::read_dir(corpus.join(rule).join("test")).unwrap() {
            let case = entry.unwrap().path();
            let expected = std::fs::read_to_string(case.join("expected.json")).unwrap();
            let expected: Value = serde_json::from_str(&expected).unwrap();
            let found = found(&files(&case.join("input")));
            let refused = controls.iter().any(|control| found.contains(control));
            let bad = !expected.as_array().unwrap().is_empty();
            if refused == bad {
                agreed += 1;
            } else {
                let name = case.file_name().unwrap().to_string_lossy().into_owned();
                differs.insert(format!("{rule}/{name}"));
            }
        }
    }
    assert!(agreed > 20, "only {agreed}");
    assert_eq!(
        differs,
        KUBESCAPE_DIFFERS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    );
}
