//! Fields that are put into texts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bulkhead_manifests::{edited, insertions, parse};
use bulkhead_model::FieldPath;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fills() -> Vec<(FieldPath, Value)> {
    vec![
        (
            FieldPath::of("spec.securityContext.runAsNonRoot"),
            json!(true),
        ),
        (
            FieldPath::of("spec.securityContext.seccompProfile"),
            json!({"type": "RuntimeDefault"}),
        ),
        (
            FieldPath::of("spec.containers")
                .index(0)
                .then("securityContext.capabilities.drop"),
            json!(["ALL"]),
        ),
        (
            FieldPath::of("spec.tolerations"),
            json!([{"key": "a/b", "operator": "Equal", "value": "yes"}]),
        ),
    ]
}

fn edit(text: &str) -> Option<String> {
    let parsed = parse(text);
    let edits = insertions(text, parsed.documents.first().unwrap(), &fills())?;
    Some(edited(text, &edits))
}

fn filled(text: &str) -> Value {
    let mut value = parse(text).documents.first().unwrap().to_value();
    for (path, fill) in fills() {
        let mut at = &mut value;
        for step in path.segments() {
            at = match step {
                bulkhead_model::Segment::Key(key) => {
                    if at.is_null() {
                        *at = json!({});
                    }
                    at.as_object_mut()
                        .unwrap()
                        .entry(key.to_string())
                        .or_insert(Value::Null)
                }
                bulkhead_model::Segment::Index(index) => at.get_mut(*index).unwrap(),
            };
        }
        *at = fill;
    }
    value
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let new = edit(text).unwrap();
    assert_eq!(new, expect);
    let parsed = parse(&new);
    assert!(!parsed.is_broken(), "{:?}", parsed.problems);
    assert_eq!(parsed.documents.first().unwrap().to_value(), filled(text));
}

#[test]
fn blocks_keep_their_comments_and_their_layout() {
    check(
        "# A pod.\nspec:   # wide\n    containers:\n    - name: a   # the one\n      image: b\n\n    # the end\n",
        "# A pod.\nspec:   # wide\n    containers:\n    - name: a   # the one\n      image: b\n      securityContext:\n        capabilities:\n          drop: [ALL]\n    securityContext:\n      runAsNonRoot: true\n      seccompProfile:\n        type: RuntimeDefault\n    tolerations:\n      - key: a/b\n        operator: Equal\n        value: \"yes\"\n\n    # the end\n",
    );
}

#[test]
fn what_is_there_is_added_to() {
    check(
        "spec:\n  securityContext: {fsGroup: 1}\n  tolerations:\n  containers:\n    - securityContext:\n        capabilities: {drop: []}\n      name: a",
        "spec:\n  securityContext: {fsGroup: 1, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n  tolerations: [{key: a/b, operator: Equal, value: \"yes\"}]\n  containers:\n    - securityContext:\n        capabilities: {drop: [ALL]}\n      name: a",
    );
}

#[test]
fn json_stays_json() {
    let text = "{\n  \"spec\": {\n    \"securityContext\": null,\n    \"containers\": [{\"name\": \"a\"}]\n  }\n}\n";
    let new = edit(text).unwrap();
    let value: Value = serde_json::from_str(&new).unwrap();
    assert_eq!(value, filled(text));
    assert!(new.contains("\n    \"tolerations\": [{"), "{new}");
}

#[test]
fn windows_lines_stay_windows_lines() {
    let new = edit("spec:\r\n  containers:\r\n  - name: a\r\n").unwrap();
    assert_eq!(new.matches('\n').count(), new.matches("\r\n").count());
    assert_eq!(
        parse(&new).documents.first().unwrap().to_value(),
        filled("spec: {containers: [{name: a}]}")
    );
}

#[test]
fn what_stands_elsewhere_is_left_alone() {
    assert_eq!(
        edit("x: &c\n  name: a\nspec:\n  containers:\n    - *c\n"),
        None
    );
    assert_eq!(
        edit("x: &c {containers: [{name: a}]}\nspec:\n  <<: *c\n"),
        None
    );
    assert_eq!(
        edit("spec:\n  containers: [{name: a}]\n  securityContext: none\n"),
        None
    );
}

proptest! {
    /// However a pod is laid out, the edits do what they say or there are none.
    #[test]
    fn an_edit_adds_what_it_says_and_nothing_else(
        indent in 1usize..5, dash in 0usize..3, comment in any::<bool>(), flow in any::<bool>(), end in any::<bool>(),
        tail in prop_oneof![Just(""), Just("command: |\n  a\n  b\n"), Just("command: >-\n  a\n"), Just("args: [a,\n  b]\n"), Just("env:\n- name: x\n")],
    ) {
        let pad = " ".repeat(indent);
        let item = format!("{pad}{}", " ".repeat(dash));
        let mut text = format!("spec:\n{pad}containers:\n");
        if flow {
            text.push_str(&format!("{item}- {{name: a, image: b}}\n"));
        } else {
            text.push_str(&format!("{item}- name: a\n"));
            for line in tail.lines() {
                text.push_str(&format!("{item}  {line}\n"));
            }
        }
        if comment {
            text.push_str(&format!("{pad}# the end\n"));
        }
        if end {
            text.push_str("status: {}\n");
        }
        let new = edit(&text).unwrap();
        let parsed = parse(&new);
        prop_assert!(!parsed.is_broken(), "{new}");
        prop_assert_eq!(parsed.documents.first().unwrap().to_value(), filled(&text), "{}", new);
        // Every line that was there is there, in order.
        let mut lines = new.lines();
        if !flow {
            for line in text.lines() {
                prop_assert!(lines.any(|new| new == line), "{line} is gone from {new}");
            }
        }
    }
}
