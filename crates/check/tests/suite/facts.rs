//! What the files say together, and what they do not say.

use bulkhead_check::{Index, Settings};
use bulkhead_report::Level;

use crate::{index, said, source, strict};

const TENANT: &str = "apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  podSecurity: {profile: Baseline}
";

fn pod(namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: {namespace}}}\nspec:\n  hostIPC: true\n  containers: [{{name: a}}]\n"
    )
}

fn check(text: &str, settings: &Settings, index: &Index) -> Vec<&'static str> {
    let report = bulkhead_check::check(&source("a.yaml", text), settings, index);
    let mut found: Vec<_> = report.issues.iter().map(|issue| issue.rule).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_namespace_of_a_tenant_in_the_files_is_held_to_its_rules() {
    let index = index(&[TENANT]);
    // `Baseline` lets pods be root, and the guide's own policy does not.
    let root = |found: Vec<&str>| (found.contains(&"host-ipc"), found.contains(&"runs-as-root"));
    assert_eq!(
        root(check(&pod("acme-dev"), &strict(), &index)),
        (true, false)
    );
    assert_eq!(root(check(&pod("other"), &strict(), &index)), (true, true));
}

#[test]
fn tenants_that_differ_count_for_nothing_whichever_is_read_first() {
    let strict = TENANT.replace("Baseline", "Strict");
    // `Baseline` under another name, which covers some of the same namespaces.
    let inner = TENANT.replace("{name: acme}", "{name: acme-dev}");
    let root = |files: &[&str], namespace: &str| {
        check(&pod(namespace), &self::strict(), &index(files)).contains(&"runs-as-root")
    };
    assert!(!root(&[TENANT, TENANT], "acme-dev-1"), "they agree");
    for files in [[TENANT, &strict], [&strict, TENANT]] {
        assert!(root(&files, "acme-dev-1"), "{files:?}");
    }
    for files in [[TENANT, &inner], [&inner, TENANT]] {
        assert!(root(&files, "acme-dev-1"), "{files:?}");
        assert!(!root(&files, "acme-1"), "one alone has its prefix");
    }
}

#[test]
fn the_tenant_that_somebody_names_holds_for_all() {
    let settings = Settings::of_tenant(TENANT).unwrap();
    let found = check(&pod("other"), &settings, &Index::default());
    assert!(
        found.contains(&"host-ipc") && !found.contains(&"runs-as-root"),
        "{found:?}"
    );
    for wrong in [
        "",
        "a: [",
        "kind: Pod\n",
        &format!("{TENANT}---\n{TENANT}"),
        &TENANT.replace("Baseline", "Lax"),
    ] {
        assert!(Settings::of_tenant(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_tenant_that_is_none_is_named() {
    let text = TENANT.replace("Baseline", "Lax");
    let report = bulkhead_check::check(&source("a.yaml", &text), &strict(), &Index::default());
    assert_eq!(said(&report), [(Level::Unreadable, "malformed-object", 5)]);
    assert_eq!(report.issues[0].field, "spec.podSecurity.profile");
}

#[test]
fn a_pod_in_a_kind_that_nobody_knows_is_not_checked() {
    let text = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers: [{name: a, image: b}]\n";
    let report = bulkhead_check::check(&source("a.yaml", text), &strict(), &Index::default());
    assert_eq!(said(&report), [(Level::NotChecked, "unknown-workload", 7)]);
}

#[test]
fn what_no_file_holds_is_looked_for_in_all() {
    for (text, wants) in [
        ("kind: Namespace\n", true),
        ("kind: StorageClass\n", false),
        ("{\"kind\":\"PersistentVolume\"}", true),
        ("{kind: 'Tenant'}", true),
        ("kind: Deployment\nserviceAccountName: x\n", false),
    ] {
        assert_eq!(Index::may_want(text), wants, "{text}");
    }
}

#[test]
fn what_files_do_not_say_is_not_checked() {
    let policy = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: acme-dev}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}
";
    let namespace = |labels: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: other, labels: {{{labels}}}}}\n"
        )
    };
    let own = namespace("bulkhead.dev/tenant: tenant, bulkhead.dev/tenant-uid: of-a-file");
    let foreign = namespace("");
    let settings = strict()
        .choose(vec!["network-policy-widened".into()], vec![])
        .unwrap();
    let levels = |index: &Index| -> Vec<Level> {
        let report = bulkhead_check::check(&source("a.yaml", policy), &settings, index);
        report.issues.iter().map(|issue| issue.level).collect()
    };
    assert_eq!(levels(&Index::default()), [Level::NotChecked]);
    assert_eq!(levels(&index(&[&own])), []);
    assert_eq!(levels(&index(&[&foreign])), [Level::Finding]);
    // Two files that differ say nothing together.
    assert_eq!(levels(&index(&[&own, &foreign])), [Level::NotChecked]);
}
