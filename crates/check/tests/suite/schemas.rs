//! Reports as those who read them check them: by schemas.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use bulkhead_report::Format;
use serde_json::{Value, json};

use crate::outputs::plain;

/// The schema of SARIF 2.1.0. `serde-sarif` carries it, and is no dependency for anything else.
fn sarif_schema() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages
        .find(|package| package["name"] == "serde-sarif")
        .unwrap();
    let manifest = std::path::Path::new(package["manifest_path"].as_str().unwrap());
    let schema = std::fs::read_to_string(manifest.with_file_name("src/schema.json")).unwrap();
    serde_json::from_str(&schema).unwrap()
}

/// What a schema says against a value: the keywords of JSON Schema that the schema of SARIF uses. One
/// that is not known here is no pass: the test fails.
fn against(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |bad: bool, what: &str| {
        if bad {
            wrong.push(format!("{at}: {what}"));
        }
    };
    let mut below = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let rules = || rule.as_array().unwrap().iter();
        let passing = || rules().filter(|rule| against(value, rule, root, at).is_empty());
        match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "default" | "definitions" => {}
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').unwrap();
                below.push((value, root.pointer(target).unwrap(), at.to_owned()));
            }
            "type" => {
                let fits = match rule.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("the type {other}"),
                };
                say(!fits, &format!("is no {rule}"));
            }
            "enum" => say(!rules().any(|one| one == value), "is none of the enum"),
            "required" => {
                for name in rules().map(|name| name.as_str().unwrap()) {
                    say(value.get(name).is_none(), &format!("lacks {name}"));
                }
            }
            "properties" | "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (name, value) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{name}");
                    match known.and_then(|known| known.get(name)) {
                        Some(rule) if keyword == "properties" => below.push((value, rule, at)),
                        Some(_) => {}
                        None if rule.is_boolean() => say(rule == false, &format!("has {name}")),
                        None if keyword == "additionalProperties" => below.push((value, rule, at)),
                        None => {}
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    below.push((value, rule, format!("{at}/{index}")));
                }
            }
            "minItems" => {
                let few = |list: &Vec<Value>| (list.len() as u64) < rule.as_u64().unwrap();
                say(value.as_array().is_some_and(few), "is too short");
            }
            "uniqueItems" => {
                let twice = |list: &Vec<Value>| {
                    list.iter()
                        .enumerate()
                        .any(|(index, one)| list[..index].contains(one))
                };
                let bad = rule == true && value.as_array().is_some_and(twice);
                say(bad, "has an item twice");
            }
            "minimum" => say(value.as_f64() < rule.as_f64(), "is too small"),
            "maximum" => say(value.as_f64() > rule.as_f64(), "is too great"),
            "anyOf" => say(passing().next().is_none(), "fits none of `anyOf`"),
            "oneOf" => say(passing().count() != 1, "fits not one of `oneOf`"),
            "format" => {
                let text = value.as_str().unwrap_or_default();
                let plain = !text.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']);
                let fits = match rule.as_str().unwrap() {
                    "uri" => plain && text.starts_with("https://"),
                    "uri-reference" => plain,
                    other => panic!("the format {other}"),
                };
                say(!fits, &format!("is no {rule}"));
            }
            other => panic!("the keyword {other} at {at}"),
        }
    }
    for (value, rule, at) in below {
        wrong.extend(against(value, rule, root, &at));
    }
    wrong
}

#[test]
fn sarif_is_valid_by_the_standards_schema() {
    let schema = sarif_schema();
    let title = schema["title"].as_str().unwrap();
    assert!(title.contains("(SARIF) Version 2.1.0"), "{title}");
    let report: Value = serde_json::from_str(&plain(Format::Sarif)).unwrap();
    let run = &report["runs"][0];
    assert!(run["results"].as_array().unwrap().len() > 10);
    assert!(run["tool"]["driver"]["rules"].as_array().unwrap().len() > 50);
    assert_eq!(against(&report, &schema, &schema, ""), [""; 0]);
    // It is the schema that says so.
    for (at, wrong) in [
        ("/runs/0/results/0/level", json!("fatal")),
        (
            "/runs/0/results/0/locations/0/physicalLocation",
            json!({"region": {"startLine": 1}}),
        ),
        (
            "/runs/0/results/0/locations/0/physicalLocation/region/startLine",
            json!(0),
        ),
        ("/runs/0/tool/driver/rules/0/help", json!({"texts": ""})),
        ("/runs/0/results/0/message/text", json!(1)),
        ("/version", json!("2.2.0")),
    ] {
        let mut report = report.clone();
        *report.pointer_mut(at).unwrap() = wrong;
        assert_ne!(against(&report, &schema, &schema, ""), [""; 0], "{at}");
    }
}

/// Elements of Jenkins' `junit-10.xsd`, which is as near to a standard as JUnit's XML has: the parent, and
/// what attributes there may be, of which the first are those that there must be.
const JUNIT: [(&str, &str, usize, &[&str]); 6] = [
    ("testsuites", "", 0, &["name"]),
    (
        "testsuite",
        "testsuites",
        2,
        &["name", "tests", "failures", "errors", "skipped"],
    ),
    ("testcase", "testsuite", 2, &["name", "classname"]),
    ("skipped", "testcase", 0, &["message"]),
    ("error", "testcase", 0, &["message"]),
    ("failure", "testcase", 0, &["message"]),
];

#[test]
fn junit_has_the_elements_of_jenkins_schema() {
    let report = plain(Format::Junit);
    let mut report = report
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
        .unwrap();
    let (mut open, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    while let Some((_, rest)) = report.split_once('<') {
        let (tag, rest) = rest.split_once('>').unwrap();
        report = rest;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (tag, empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.split(' ').next().unwrap();
        let (_, parent, needed, attributes) =
            JUNIT.iter().find(|(known, ..)| *known == name).unwrap();
        assert_eq!(open.last().copied().unwrap_or_default(), *parent, "{tag}");
        // In values, quotes are escaped: what stands between them is no attribute.
        let pieces: Vec<&str> = tag[name.len()..].split('"').collect();
        let given: Vec<&str> = pieces
            .chunks(2)
            .filter(|pair| pair.len() == 2)
            .map(|pair| pair[0].trim().strip_suffix('=').unwrap())
            .collect();
        for attribute in &attributes[..*needed] {
            assert!(given.contains(attribute), "{tag}");
        }
        for attribute in given {
            assert!(attributes.contains(&attribute), "{tag}");
        }
        seen.insert(name);
        if !empty {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
    assert_eq!(seen.len(), JUNIT.len(), "{seen:?}");
}
