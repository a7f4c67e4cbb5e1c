//! `--fix`.

use bulkhead_check::{Index, fix};
use bulkhead_controls::{Mend, REGISTRY};
use proptest::prelude::*;

use crate::{check, source, strict};

fn fixed(text: &str) -> Option<String> {
    fix(&source("a.yaml", text), &strict(), &Index::default())
}

#[test]
fn a_fixed_deployment_passes_and_keeps_every_line() {
    let text = "# A server.
apiVersion: apps/v1
kind: Deployment
metadata:
    name: web   # four spaces here
spec:
    template:
        spec:
            containers:
            - name: web   # no indent for dashes
              image: registry.example/web:1

            - name: side
              securityContext: {capabilities: {}}
---
apiVersion: v1
kind: ConfigMap
data: {x: z}
";
    let new = fixed(text).unwrap();
    insta::assert_snapshot!(new);
    assert_eq!(check(&new).issues, []);
    assert_eq!(fixed(&new), None, "fixing twice is fixing once");
    let mut lines = new.lines();
    for line in text
        .lines()
        .filter(|line| !line.contains("capabilities: {}"))
    {
        assert!(lines.any(|new| new == line), "{line}");
    }
}

#[test]
fn what_needs_a_person_is_left_alone() {
    for text in [
        // Not a value that nobody has set.
        "apiVersion: v1\nkind: Pod\nspec: {hostIPC: true, containers: []}\n",
        // Root may be what the image needs, and somebody said so.
        "# bulkhead: allow runs-as-root, capabilities-kept, privilege-escalation, seccomp-unconfined -- x\napiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n",
        // Broken.
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, name: b}]}\n",
        "a: [\n",
    ] {
        assert_eq!(fixed(text), None, "{text}");
    }
}

#[test]
fn an_exception_of_one_container_keeps_its_pod_as_it_is() {
    let text = "apiVersion: v1
kind: Pod
spec:
  containers:
    - name: a
    # bulkhead: allow runs-as-root -- x
    - name: b
";
    let new = fixed(text).unwrap();
    assert!(!new.contains("runAsNonRoot"), "{new}");
    let left: Vec<(&str, bool)> = check(&new)
        .issues
        .iter()
        .map(|i| (i.rule, i.fixable))
        .collect();
    assert_eq!(left, [("runs-as-root", false)]);
}

#[test]
fn what_is_shared_by_an_alias_is_changed_for_no_one() {
    let text = "apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    spec: &pod
      containers: [{name: a}]
  - apiVersion: v1
    kind: Pod
    spec: *pod
  - apiVersion: v1
    kind: Pod
    spec:
      containers: [{name: b}]
";
    let new = fixed(text).unwrap();
    assert!(
        new.starts_with(
            text.split("  - apiVersion: v1\n    kind: Pod\n    spec:\n      c")
                .next()
                .unwrap()
        ),
        "{new}"
    );
    assert!(new.ends_with("type: RuntimeDefault\n"), "{new}");
}

#[test]
fn every_page_that_shows_a_mend_is_mended_as_it_shows() {
    let mut tried = 0;
    for control in REGISTRY
        .iter()
        .filter(|control| matches!(control.mend, Mend::Fill(_)))
    {
        for block in control.page.split("```yaml before\n").skip(1) {
            let text = block.split("```").next().unwrap();
            if let Some(new) = fixed(text) {
                assert_eq!(fixed(&new), None, "{new}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 4, "only {tried}");
}

proptest! {
    /// Whatever a text is, what comes of it is read, and fixing it again changes nothing.
    #[test]
    fn fixing_twice_is_fixing_once(
        parts in proptest::collection::vec(prop_oneof![
            Just("    - name: a\n"), Just("      image: b # c\n"), Just("      securityContext: {}\n"),
            Just("      securityContext:\n"), Just("      securityContext:\n        runAsNonRoot: true\n"),
            Just("      args: |\n        x\n"), Just("    # d\n"), Just("\n"), Just("    - {name: b}\n"),
            Just("  securityContext: &x {fsGroup: 1}\n"), Just("  hostIPC: true\n"), Just("---\n"),
            Just("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"), Just("    - <<: *x\n"),
        ], 0..12)
    ) {
        let text = format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n{}", parts.concat());
        if let Some(new) = fixed(&text) {
            prop_assert_ne!(&new, &text);
            prop_assert_eq!(fixed(&new), None, "{}", new);
        }
    }
}
