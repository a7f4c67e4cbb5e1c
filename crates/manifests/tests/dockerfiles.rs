//! Which user the image of a Dockerfile runs as.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bulkhead_manifests::{is_dockerfile, parse_dockerfile};
use bulkhead_model::FieldPath;
use proptest::prelude::*;
use serde_json::{Value, json};

fn stages(text: &str) -> Vec<Value> {
    let parsed = parse_dockerfile(text);
    assert_eq!(parsed.problems, [], "{text}");
    let value = parsed.documents.first().unwrap().to_value();
    value.get("stages").unwrap().as_array().unwrap().clone()
}

/// The `USER` of the last stage.
fn user(text: &str) -> Value {
    let stages = stages(text);
    stages
        .last()
        .unwrap()
        .get("user")
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn stages_know_what_they_are_built_on() {
    assert_eq!(
        stages(
            "ARG V=1\nFROM --platform=linux/amd64 golang:$V AS Build\nUSER 1\nfrom build\nFROM scratch\n"
        ),
        [
            json!({"from": "golang:1", "name": "build", "user": "1"}),
            json!({"from": "build", "base": 0}),
            json!({"from": "scratch"}),
        ]
    );
}

#[test]
fn the_last_user_counts_with_its_variables_replaced() {
    for (body, expect) in [
        ("USER 1000\nUSER root", json!("root")),
        ("user \"app\"", json!("app")),
        ("ENV U=7\nUSER ${U}:${U}", json!("7:7")),
        ("ENV U 7\nUSER $U", json!("7")),
        ("ENV A=1 B=\"2 3\"\nUSER $A", json!("1")),
        ("ARG U=5\nUSER $U", json!("5")),
        ("ARG U\nUSER $U", json!({"variable": "U"})),
        ("ARG G\nUSER $G", json!("9")),
        ("ARG U=5\nENV U=6\nUSER $U", json!("6")),
        ("ENV U=6\nARG U=5\nUSER $U", json!("6")),
        ("USER $NOBODY_SAID", json!({"variable": "NOBODY_SAID"})),
        ("USER ${U:-8}", json!("8")),
        ("ARG U\nUSER ${U:-8}", json!({"variable": "U"})),
        ("ENV U=1\nUSER ${U:+0}", json!("0")),
        ("ENV U=1\nUSER ${U%1}", json!({"variable": "U"})),
        ("USER '$U'", json!("$U")),
        ("USER \\$U", json!("$U")),
        ("ONBUILD USER 0", Value::Null),
        ("RUN echo USER 0", Value::Null),
        ("USER \\\n  # why not\n\n  1001", json!("1001")),
        ("RUN <<EOF\nUSER 0\nEOF\nUSER 5", json!("5")),
        (
            "RUN <<-'A' cat <<B\nUSER 1\n\tA\nUSER 2\nB\nUSER 6",
            json!("6"),
        ),
        ("RUN echo $((1<<3))\nUSER 5", json!("5")),
        ("RUN cat <<< x\nUSER 5", json!("5")),
        ("COPY <<x.conf /etc/x\nUSER 0\nx.conf\nUSER 5", json!("5")),
    ] {
        assert_eq!(
            user(&format!("ARG G=9\nFROM a\n{body}\n")),
            expect,
            "{body}"
        );
    }
}

#[test]
fn the_escape_directive_changes_continuations() {
    assert_eq!(
        user("# escape=`\nFROM a\nRUN dir C:\\\nUSER 3\n"),
        json!("3")
    );
    assert_eq!(
        user("# syntax=x/y:1\n# ESCAPE = `\nFROM a\nUSER `\n4\n"),
        json!("4")
    );
    // After anything else it is a comment.
    assert_eq!(
        user("\n# escape=`\nFROM a\nRUN dir C:\\\nUSER 3\n"),
        Value::Null
    );
}

#[test]
fn what_is_no_dockerfile_is_a_problem() {
    for text in ["", "USER 1\nFROM a\n", "FROM a\nUSE 1\n", "FROM\n"] {
        assert!(parse_dockerfile(text).is_broken(), "{text}");
    }
    let found = |name| is_dockerfile(name);
    for name in [
        "Dockerfile",
        "Dockerfile.prod",
        "api.Dockerfile",
        "Containerfile",
        "dockerfile",
        "web.dockerfile",
    ] {
        assert!(found(name), "{name}");
    }
    for name in [
        "Dockerfile.dockerignore",
        ".dockerignore",
        "Dockerfile.md",
        "docker-compose.yaml",
        "dockerfile.go",
    ] {
        assert!(!found(name), "{name}");
    }
}

#[test]
fn places_are_those_of_the_instructions() {
    let text = "FROM golang AS build\nFROM scratch\nUSER \\\n  root\n";
    let parsed = parse_dockerfile(text);
    let root = parsed.documents.first().unwrap();
    let show = |path: &FieldPath| text.get(root.locate(path).span).unwrap().to_owned();
    let stage = |index| FieldPath::of("stages").index(index);
    assert_eq!(show(&stage(0).then("user")), "FROM golang AS build");
    assert_eq!(show(&stage(1).then("user")), "USER \\\n  root");
}

proptest! {
    #[test]
    fn any_text_gives_an_answer_whose_places_are_in_it(text in "(?s)(FROM a\n)?.{0,120}") {
        holds(&text);
    }

    #[test]
    fn any_text_that_looks_like_a_dockerfile_does(words in proptest::collection::vec(prop_oneof![
        Just("FROM a AS b\n"), Just("FROM b\n"), Just("USER "), Just("$U"), Just("${U:-"), Just("}"), Just("\\\n"), Just("# c\n"),
        Just("RUN <<E\n"), Just("E\n"), Just("ARG U=1\n"), Just("ENV U "), Just("\""), Just("'"), Just("\n"), Just(" "), Just("ä"), Just("`"),
    ], 0..40)) {
        holds(&words.concat());
    }
}

fn holds(text: &str) {
    let parsed = parse_dockerfile(text);
    for problem in &parsed.problems {
        assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    for comment in &parsed.comments {
        assert!(
            text.get(comment.span.clone())
                .is_some_and(|c| c.starts_with('#'))
        );
    }
    for document in &parsed.documents {
        for index in 0..3 {
            let place = document.locate(&FieldPath::of("stages").index(index).then("user"));
            assert!(text.get(place.span).is_some());
        }
    }
}
