//! `bulkhead policy lint|test`, and `check --policies` with policies in Rego, as processes.

use crate::check::{bulkhead, folder};

const TEMPLATE: &str = r#"apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: requiredowner}
spec:
  crd: {spec: {names: {kind: RequiredOwner}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package requiredowner

        violation[{"msg": msg}] {
          not input.review.object.metadata.labels.owner
          msg := sprintf("%v has no owner", [input.review.object.metadata.name])
        }
"#;
const CONSTRAINT: &str = "apiVersion: constraints.gatekeeper.sh/v1beta1
kind: RequiredOwner
metadata: {name: everybody}
spec:
  match: {kinds: [{apiGroups: [\"\"], kinds: [ConfigMap]}]}
";
const SUITE: &str = r#"apiVersion: test.gatekeeper.sh/v1alpha1
kind: Suite
metadata: {name: owners}
tests:
  - name: owners
    template: template.yaml
    constraint: constraint.yaml
    cases:
      - {name: owned, object: samples/owned.yaml, assertions: [{violations: no}]}
      - {name: nobodys, object: samples/nobodys.yaml, assertions: [{violations: 1, message: has no owner}]}
      - {name: wrong, object: samples/nobodys.yaml, assertions: [{violations: "no"}]}
      - {name: later, skip: true, object: samples/owned.yaml}
"#;
const OWNED: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: n, labels: {owner: me}}\n";
const NOBODYS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n  namespace: n\n";
const PLAIN: &str = r#"package pods

deny[message] {
  input.request.kind.kind == "Pod"
  input.request.object.spec.hostIPC
  message := "no pod of ours shares IPC"
}
"#;
const PLAIN_TEST: &str = r#"package pods

pod(ipc) = {"request": {"kind": {"kind": "Pod"}, "object": {"spec": {"hostIPC": ipc}}}}

test_shared { count(deny) == 1 with input as pod(true) }
test_apart { count(deny) == 0 with input as pod(false) }
test_wrong { count(deny) == 7 with input as pod(true) }
"#;

fn library() -> tempfile::TempDir {
    folder(&[
        ("library/template.yaml", TEMPLATE),
        ("library/constraint.yaml", CONSTRAINT),
        ("library/suite.yaml", SUITE),
        ("library/samples/owned.yaml", OWNED),
        ("library/samples/nobodys.yaml", NOBODYS),
        ("library/pods.rego", PLAIN),
        ("library/pods_test.rego", PLAIN_TEST),
    ])
}

#[test]
fn suites_and_rules_that_are_tests_are_run_and_told_apart() {
    let folder = library();
    let done = bulkhead(folder.path(), &["policy", "test", "library"], "");
    assert_eq!(done.code, 1, "{}", done.err);
    insta::assert_snapshot!(done.out);
    // Only what fails fails: without the two wrong ones all is well.
    let right = |text: &str, wrong: &str| {
        let lines = text.lines().filter(|line| !line.contains(wrong));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let folder = crate::check::folder(&[
        ("template.yaml", TEMPLATE),
        ("constraint.yaml", CONSTRAINT),
        ("suite.yaml", &right(SUITE, "name: wrong")),
        ("samples/owned.yaml", OWNED),
        ("samples/nobodys.yaml", NOBODYS),
        ("pods.rego", PLAIN),
        ("pods_test.rego", &right(PLAIN_TEST, "test_wrong")),
    ]);
    let done = bulkhead(folder.path(), &["policy", "test", "."], "");
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(
        done.out.ends_with("4 passed, 0 failed, 1 skipped\n"),
        "{}",
        done.out
    );
    let nothing = crate::check::folder(&[("pods.rego", PLAIN)]);
    let done = bulkhead(nothing.path(), &["policy", "test", "."], "");
    assert_eq!(done.code, 2, "{}", done.out);
    assert!(done.err.contains("there are no tests"), "{}", done.err);
}

#[test]
fn lint_says_where_in_the_file_rego_is_refused() {
    let folder = library();
    let done = bulkhead(
        folder.path(),
        &[
            "policy",
            "lint",
            "library/template.yaml",
            "library/constraint.yaml",
            "library/pods.rego",
        ],
        "",
    );
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "policies and constraints: 3, refusals: 0\n"),
        "{}",
        done.err
    );
    let bad = TEMPLATE.replace("[input.review.object.metadata.name]", "[]");
    let folder = crate::check::folder(&[
        ("bad.yaml", &bad),
        (
            "clock.rego",
            &PLAIN.replace("input.request.object.spec.hostIPC", "time.now_ns() > 1"),
        ),
        (
            "constraint.yaml",
            &CONSTRAINT
                .replace("kinds: [ConfigMap]", "kind: ConfigMap")
                .replace("RequiredOwner", "Unheard"),
        ),
        (
            "mutation.yaml",
            "apiVersion: mutations.gatekeeper.sh/v1\nkind: Assign\nmetadata: {name: a}\n",
        ),
    ]);
    let done = bulkhead(folder.path(), &["policy", "lint", "."], "");
    assert_eq!(done.code, 1, "{}", done.err);
    insta::assert_snapshot!(done.out);
}

#[test]
fn findings_name_the_policy_its_file_and_the_line() {
    let folder = library();
    std::fs::create_dir(folder.path().join("deploy")).unwrap();
    std::fs::write(
        folder.path().join("deploy/maps.yaml"),
        format!("{OWNED}---\n{NOBODYS}"),
    )
    .unwrap();
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostIPC: true, containers: []}\n";
    std::fs::write(folder.path().join("deploy/pod.yaml"), pod).unwrap();
    let arguments = [
        "check",
        "--policies",
        "library",
        "--select",
        "rego-policy",
        "--format",
        "github",
        "deploy",
    ];
    let done = bulkhead(folder.path(), &arguments, "");
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    insta::assert_snapshot!(done.out);
}

#[test]
fn what_is_in_no_file_is_not_checked_and_policies_that_are_refused_stop_it() {
    let asks = TEMPLATE.replace(
        "not input.review.object.metadata.labels.owner",
        "data.inventory.namespace[_][\"v1\"][\"ConfigMap\"][_]",
    );
    let folder = folder(&[
        ("policies/template.yaml", &asks),
        ("policies/constraint.yaml", CONSTRAINT),
        ("map.yaml", NOBODYS),
    ]);
    let arguments = [
        "check",
        "--policies",
        "policies",
        "--select",
        "rego-policy",
        "--format",
        "json",
        "map.yaml",
    ];
    let done = bulkhead(folder.path(), &arguments, "");
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(
        done.out.contains("\"not-checked\"") && done.out.contains("data.inventory"),
        "{}",
        done.out
    );
    let bad = TEMPLATE.replace("not input.review", "http.send({}) != input.review");
    std::fs::write(folder.path().join("policies/template.yaml"), bad).unwrap();
    let done = bulkhead(folder.path(), &arguments, "");
    assert_eq!(done.code, 2, "{}", done.out);
    assert!(
        done.err.contains("policies/template.yaml:12: ")
            && done.err.contains("unsupported-function"),
        "{}",
        done.err
    );
}
