//! What texts are read as.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bulkhead_manifests::{Content, NotManifest, Parsed, ProblemKind, looks_like_a_template, parse};
use bulkhead_model::FieldPath;
use proptest::prelude::*;
use serde_json::{Value, json};

fn one(text: &str) -> Value {
    let parsed = parse(text);
    assert!(!parsed.is_broken(), "{text}: {:?}", parsed.problems);
    assert_eq!(parsed.documents.len(), 1, "{text}: {parsed:?}");
    parsed.documents.first().unwrap().to_value()
}

fn errors(parsed: &Parsed) -> Vec<(ProblemKind, String)> {
    let found = parsed.problems.iter().filter(|p| p.kind.is_error());
    found.map(|p| (p.kind, p.message.clone())).collect()
}

/// The first error of a text that must have one, and the text that it points at.
fn error(text: &str) -> (ProblemKind, &str) {
    let parsed = parse(text);
    let problem = parsed.problems.iter().find(|p| p.kind.is_error());
    let problem = problem.unwrap_or_else(|| panic!("{text} reads as {parsed:?}"));
    (problem.kind, text.get(problem.span.clone()).unwrap())
}

#[test]
fn documents_are_read_one_by_one_and_a_broken_one_spoils_no_other() {
    let parsed = parse("a: 1\n---\n# nothing\n---\nb: [\n---\nc: 3\n");
    let values: Vec<Value> = parsed.documents.iter().map(|d| d.to_value()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"c": 3})]);
    assert_eq!(errors(&parsed).len(), 1, "{parsed:?}");
}

#[test]
fn json_is_read_with_its_own_escapes() {
    let text = "{\n\t\"a\": \"\\ud83d\\ude00\\/\",\n\t\"b\": [1, -2.5e3, true, null]\n}";
    assert_eq!(one(text), json!({"a": "😀/", "b": [1, -2500, true, null]}));
}

#[test]
fn duplicate_keys_are_an_error_that_points_at_both() {
    for text in [
        "a: 1\nb: 2\na: 3\n",
        "{\"a\": 1, \"a\": 2}",
        "1: x\n\"1\": y\n",
        "y: 1\n\"true\": 2\n",
    ] {
        let parsed = parse(text);
        let problem = parsed.problems.iter().find(|p| p.kind.is_error()).unwrap();
        assert_eq!(problem.kind, ProblemKind::DuplicateKey);
        let (first, _) = problem.related.clone().unwrap();
        assert!(first.end <= problem.span.start, "{text}");
        assert!(
            parsed.documents.is_empty(),
            "what is ambiguous is not judged"
        );
    }
}

#[test]
fn aliases_and_merge_keys_stand_for_what_they_mean() {
    assert_eq!(
        one(
            "base: &b {x: 1, w: 2}\nmore: &m {w: 3, z: 4}\nall:\n  <<: [*b, *m]\n  x: 9\nsame: *b\n"
        ),
        json!({
            "base": {"x": 1, "w": 2}, "more": {"w": 3, "z": 4},
            "all": {"x": 9, "w": 2, "z": 4}, "same": {"x": 1, "w": 2},
        })
    );
    // The specification and Kubernetes' reader differ in which `x` counts.
    let (kind, at) = error("base: &b {x: 1}\nall:\n  x: 9\n  <<: *b\n");
    assert_eq!((kind, at), (ProblemKind::DuplicateKey, "<<"));
    assert_eq!(error("a: &a\n  b: *a\n"), (ProblemKind::Syntax, "*a"));
    assert_eq!(error("a: *b\n").0, ProblemKind::Syntax);
    assert_eq!(error("<<: [1]\n"), (ProblemKind::Syntax, "1"));
}

#[test]
fn what_kubectl_would_not_read_is_an_error() {
    for text in [
        "a: 1\n--- {b: 2}\n",
        "a: 1\n...\nb: 2\n",
        "%YAML 1.2\n---\na: 1\n",
        "? [a]\n: 1\n",
        "a: .inf\n",
        "a: !!int x\n",
    ] {
        assert_eq!(error(text).0, ProblemKind::Syntax, "{text}");
    }
    assert_eq!(one("---  # fine\na: 1\n...\n"), json!({"a": 1}));
}

#[test]
fn what_versions_of_yaml_read_differently_is_named_with_both_readings() {
    let messages = |text: &str| -> Vec<String> {
        let parsed = parse(text);
        assert!(!parsed.is_broken());
        parsed.problems.into_iter().map(|p| p.message).collect()
    };
    assert_eq!(
        messages("a: yes\nb: 010\nc: \"no\"\non: 1\nd: 1_000\n"),
        [
            "the value `yes` is the boolean `true` to Kubernetes, and the string `yes` to readers of YAML 1.2",
            "the value `010` is the number 8 to Kubernetes, and the number 10 to readers of YAML 1.2",
            "the key `on` is the boolean `true` to Kubernetes, and the string `on` to readers of YAML 1.2",
            "the value `1_000` is the number 1000 to Kubernetes, and the string `1_000` to readers of YAML 1.2",
        ]
    );
    assert_eq!(
        messages("a: 0o10\nb: 0x1F\nc: 1.0\nd: 1e3\ne: 2001-01-01\nf: -1\n"),
        [""; 0]
    );
}

#[test]
fn places_are_those_of_the_source() {
    let text = "kind: Pod\nspec:\n  containers:\n    - name: ä\n      ports: [{hostPort: 80}]\n    # of the second\n    - securityContext:\n        privileged: true  # really\n";
    let parsed = parse(text);
    let root = parsed.documents.first().unwrap();
    let show = |path: FieldPath| text.get(root.locate(&path).span).unwrap();
    let container = |index| FieldPath::of("spec.containers").index(index);
    assert_eq!(
        show(container(0).then("ports").index(0).then("hostPort")),
        "hostPort: 80"
    );
    assert_eq!(
        show(container(1).then("securityContext.privileged")),
        "privileged: true"
    );
    assert_eq!(
        show(container(1).then("securityContext.runAsUser")),
        "securityContext"
    );
    assert_eq!(
        show(container(0).then("securityContext.runAsUser")),
        "name: ä"
    );
    assert_eq!(show(FieldPath::of("spec.securityContext.x")), "spec");
    assert_eq!(show(FieldPath::of("kind")), "kind: Pod");
    assert_eq!(show(container(1)), "securityContext");
    let comments: Vec<&str> = parsed.comments.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(comments, [" of the second", " really"]);
}

#[test]
fn documents_are_told_apart() {
    let text = "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Pod}\n  - {apiVersion: apps/v1, kind: DeploymentList, items: [{apiVersion: apps/v1, kind: Deployment}]}\n---\nreplicas: 3\n---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n---\napiVersion: v2\nname: web\nversion: 1.0.0\n";
    let parsed = parse(text);
    let found: Vec<Content<'_>> = parsed.documents.iter().flat_map(Content::of).collect();
    let kinds: Vec<String> = found
        .iter()
        .map(|content| match content {
            Content::Object {
                api_version, kind, ..
            } => format!("{kind} of {api_version}"),
            Content::Other(other) => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "Pod of v1",
            "Deployment of apps/v1",
            "NoKind",
            "Kustomization",
            "Chart"
        ]
    );
    assert!(matches!(
        found.get(2),
        Some(Content::Other(NotManifest::NoKind))
    ));
}

#[test]
fn helm_templates_are_no_yaml_and_look_like_templates() {
    for text in [
        "{{- if .Values.enabled }}\napiVersion: v1\nkind: Pod\n{{- end }}\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ include \"x.name\" . }}\n  labels:\n    {{- include \"x.labels\" . | nindent 4 }}\n",
        "replicas: {{ .Values.replicas }}\n",
    ] {
        assert!(parse(text).is_broken(), "{text}");
        assert!(looks_like_a_template(text), "{text}");
    }
    assert!(!looks_like_a_template("a: {b: {c: 1}}\n"));
}

#[test]
fn bombs_end_fast() {
    let mut billion = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..20 {
        let p = n - 1;
        billion.push_str(&format!(
            "a{n}: &a{n} [*a{p},*a{p},*a{p},*a{p},*a{p},*a{p},*a{p},*a{p},*a{p}]\n"
        ));
    }
    let mut stairs = String::from("a0: &a0 {x: 1}\n");
    for n in 1..2000 {
        stairs.push_str(&format!("a{n}: &a{n} {{x: *a{}}}\n", n - 1));
    }
    let indented: String = (0..20_000)
        .map(|n| format!("{:n$}a:\n", ""))
        .take(2000)
        .collect();
    for text in [
        billion,
        stairs,
        "[".repeat(1 << 18),
        "{a: ".repeat(1 << 18),
        "- ".repeat(1 << 18),
        "? ".repeat(1 << 18),
        indented,
        format!(
            "{}{}",
            "a: &x\n".to_owned()
                + &(1..200)
                    .map(|n| format!("{:n$}- &x{n}\n", ""))
                    .collect::<String>(),
            format!("{:300}- x\n", "").repeat(20_000)
        ),
        "x".repeat(65 << 20),
    ] {
        let started = std::time::Instant::now();
        let parsed = parse(&text);
        let took = started.elapsed();
        assert_eq!(
            errors(&parsed).first().map(|(kind, _)| *kind),
            Some(ProblemKind::TooLarge),
            "{:?} of {:.40}",
            parsed.problems,
            text
        );
        // In a release build a hundredth of this; a quadratic reader takes minutes.
        assert!(took.as_secs() < 10, "{took:?} for {:.40}", text);
    }
}

proptest! {
    #[test]
    fn any_text_gives_an_answer_whose_places_are_in_it(text in "(?s).{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_text_that_looks_like_yaml_does(words in proptest::collection::vec(
        prop_oneof![
            Just("a"), Just("<<"), Just(": "), Just("\n"), Just("\n  "), Just("- "), Just("["), Just("]"), Just("{"),
            Just("}"), Just(", "), Just("&x "), Just("*x"), Just("!!int "), Just("\"q\""), Just("'"), Just("|\n"),
            Just("---\n"), Just("...\n"), Just("# c\n"), Just("ä"), Just("010"), Just("? "), Just("\t"), Just("\r\n"),
        ], 0..40)
    ) {
        holds(&words.concat());
    }

    #[test]
    fn json_is_what_json_says(value in json_value(4)) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let parsed = parse(&text);
        prop_assert!(!parsed.is_broken(), "{:?}", parsed.problems);
        let read = parsed.documents.first().map_or(Value::Null, |d| d.to_value());
        prop_assert_eq!(read, value);
    }
}

fn holds(text: &str) {
    let parsed = parse(text);
    for problem in &parsed.problems {
        assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    for document in &parsed.documents {
        inside(document, text);
        for content in Content::of(document) {
            if let Content::Object { node, .. } = content {
                assert!(text.get(node.span.clone()).is_some());
            }
        }
    }
}

fn inside(node: &bulkhead_manifests::Node, text: &str) {
    assert!(text.get(node.span.clone()).is_some(), "{node:?}");
    node.items().iter().for_each(|item| inside(item, text));
    for entry in node.entries() {
        assert!(text.get(entry.key_span.clone()).is_some(), "{entry:?}");
        inside(&entry.value, text);
    }
}

fn json_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\u{7f}-\u{9f}\u{feff}\u{fffe}\u{ffff}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-z.*&!%@`'\" -]{0,8}", inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
