//! What is said of files.

use bulkhead_check::{Index, Settings, is_rule, rules};
use bulkhead_controls::REGISTRY;
use bulkhead_model::Profile;
use bulkhead_report::Level;

use crate::{FEW, check, said, source, strict};

#[test]
fn what_is_unset_is_a_finding_unless_admission_counts() {
    let text =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: a\n";
    let found = said(&check(text));
    assert_eq!(
        found.iter().map(|(_, rule, _)| *rule).collect::<Vec<_>>(),
        [
            "capabilities-kept",
            "privilege-escalation",
            "runs-as-root",
            "seccomp-unconfined"
        ]
    );
    assert!(
        found
            .iter()
            .all(|(level, _, line)| (*level, *line) == (Level::Finding, 6))
    );
    assert!(check(text).issues.iter().all(|issue| issue.fixable));
    let mut settings = strict();
    settings.as_admitted = true;
    let report = bulkhead_check::check(&source("a.yaml", text), &settings, &Index::default());
    assert_eq!(said(&report), []);
}

/// Ids come from the ledger, so that no file and no Tenant in a file can say which group it will be.
#[test]
fn what_only_admission_knows_is_left_to_it() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  volumes: [{name: s, secret: {secretName: s}}]\n  containers: []\n";
    let mut settings = crate::all();
    for as_admitted in [false, true] {
        settings.as_admitted = as_admitted;
        let report = bulkhead_check::check(&source("a.yaml", text), &settings, &Index::default());
        let found = report.issues.iter().any(|i| i.rule == "missing-fs-group");
        assert_eq!(found, !as_admitted);
    }
}

#[test]
fn old_versions_and_lists_are_judged_as_what_they_mean() {
    for text in [
        "apiVersion: extensions/v1beta1\nkind: DaemonSet\nspec: {template: {spec: {hostIPC: true, containers: []}}}\n",
        "apiVersion: batch/v1beta1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {hostIPC: true, containers: []}}}}}\n",
        "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Pod, spec: {hostIPC: true, containers: []}}\n",
        "{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"spec\": {\"hostIPC\": true, \"containers\": []}}]}",
    ] {
        let found: Vec<&str> = check(text).issues.iter().map(|issue| issue.rule).collect();
        assert_eq!(found, ["host-ipc"], "{text}");
    }
}

#[test]
fn a_broken_document_is_an_error_and_the_others_are_judged() {
    let text = "a: 1\na: 2\n---\napiVersion: v1\nkind: Pod\nspec: {hostIPC: true, containers: []}\n---\napiVersion: v1\nkind: Pod\nspec: {containers: {}}\n---\nb: [\n";
    assert_eq!(
        said(&check(text)),
        [
            (Level::Unreadable, "duplicate-key", 2),
            (Level::Finding, "host-ipc", 6),
            (Level::Unreadable, "malformed-object", 10),
            (Level::Unreadable, "yaml-syntax", 12),
        ]
    );
}

#[test]
fn what_is_no_manifest_is_left_aside() {
    for (text, reason) in [
        (
            "{{- if .Values.a }}\napiVersion: v1\nkind: Pod\n{{- end }}\n",
            "template",
        ),
        ("replicas: yes\n", "no Kubernetes object"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 3}\n",
            "as patches are",
        ),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
            "kustomize build",
        ),
    ] {
        let report = check(text);
        assert_eq!(said(&report), [], "{text}");
        assert_eq!((report.objects, report.skipped.len()), (0, 1), "{text}");
        assert!(report.skipped[0].contains(reason), "{:?}", report.skipped);
    }
    let harmless = check("apiVersion: v1\nkind: ConfigMap\ndata: {a: \"{{ x }}\"}\n");
    assert_eq!((said(&harmless), harmless.objects), (vec![], 1));
}

#[test]
fn rules_are_chosen_by_name() {
    let text = "apiVersion: v1\nkind: Pod\nspec: {hostIPC: yes, hostPID: true, containers: []}\n";
    let found = |select: &[&str], ignore: &[&str]| -> Vec<&'static str> {
        let own = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let settings = strict().choose(own(select), own(ignore)).unwrap();
        let report = bulkhead_check::check(&source("a.yaml", text), &settings, &Index::default());
        report.issues.iter().map(|issue| issue.rule).collect()
    };
    assert_eq!(
        found(&FEW, &[]),
        ["host-ipc", "ambiguous-scalar", "host-pid"]
    );
    assert_eq!(found(&["host-pid"], &[]), ["host-pid"]);
    assert_eq!(found(&FEW, &["host-pid", "ambiguous-scalar"]), ["host-ipc"]);
    let error = strict()
        .choose(vec!["host-pit".into()], vec![])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no rule `host-pit`: `bulkhead rules` lists them all"
    );
}

#[test]
fn every_profile_has_rules_and_every_rule_a_name_of_its_own() {
    for profile in Profile::ALL {
        assert!(Settings::of_profile(profile).is_some(), "{profile}");
    }
    let names: std::collections::BTreeSet<&str> = rules().iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules().len());
    assert!(names.iter().all(|name| is_rule(name)));
    assert!(REGISTRY.iter().all(|control| names.contains(control.name)));
}
