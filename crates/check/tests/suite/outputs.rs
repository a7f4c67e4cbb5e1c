//! Every output, as people and machines read it.

use bulkhead_check::{Index, check, rules};
use bulkhead_report::{FileReport, Format, Look, Summary, Writer};
use serde_json::Value;

use crate::{source, strict};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: acme-dev}
spec:
  template:
    spec:
      hostNetwork: yes
      containers:
        - name: web
          image: registry.example/a/very/long/path/to/an/image/that/does/not/fit/into/a/narrow/terminal/at/all:1
          ports: [{containerPort: 80, hostPort: 80}]
        - name: side
          securityContext: {privileged: true}
        - name: third
        - name: fourth
        - name: fifth
";
const BROKEN: &str = "apiVersion: v1\nkind: Pod\nkind: Pod\n---\na: [\n";
const ROLLOUT: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: a, image: b}]}}}\n";
const TEMPLATE: &str = "{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n{{- end }}\n";
const CLEAN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
const DOCKERFILE: &str = "FROM golang:1 AS build\nFROM scratch\nUSER 0:0\n";

fn files() -> Vec<(FileReport, &'static str)> {
    let files = [
        ("deploy/web,1.yaml", WEB),
        ("deploy/broken.yaml", BROKEN),
        ("deploy/ä rollout.yaml", ROLLOUT),
        ("chart/templates/pod.yaml", TEMPLATE),
        ("clean.yaml", CLEAN),
        ("Dockerfile", DOCKERFILE),
    ];
    let files = files.into_iter();
    files
        .map(|(path, text)| {
            (
                check(&source(path, text), &strict(), &Index::default()),
                text,
            )
        })
        .collect()
}

fn written(files: &[(FileReport, &str)], format: Format, look: Look) -> String {
    let writer = Writer::new(format, look, rules(), "1.2.3");
    let mut summary = Summary::default();
    let mut pieces = Vec::new();
    for (file, text) in files {
        summary.add(file);
        pieces.push(writer.file(file, text));
    }
    pieces.retain(|piece| !piece.is_empty());
    let files = pieces.join(writer.between());
    [writer.begin(), files, writer.end(&summary)].concat()
}

pub fn plain(format: Format) -> String {
    written(
        &files(),
        format,
        Look {
            colour: false,
            width: 120,
        },
    )
}

#[test]
fn text_narrow() {
    insta::assert_snapshot!(written(
        &files(),
        Format::Text,
        Look {
            colour: false,
            width: 80
        }
    ));
}

#[test]
fn text_wide() {
    insta::assert_snapshot!(written(
        &files(),
        Format::Text,
        Look {
            colour: false,
            width: 160
        }
    ));
}

#[test]
fn text_in_colours() {
    let text = written(
        &files()[1..2],
        Format::Text,
        Look {
            colour: true,
            width: 100,
        },
    );
    insta::assert_snapshot!(text.replace('\u{1b}', "ESC"));
}

#[test]
fn text_of_what_is_clean_is_one_line() {
    let text = written(
        &files()[4..5],
        Format::Text,
        Look {
            colour: false,
            width: 100,
        },
    );
    assert_eq!(text, "no findings in 1 object in 1 file\n");
}

#[test]
fn markdown() {
    insta::assert_snapshot!(plain(Format::Markdown));
}

#[test]
fn github() {
    insta::assert_snapshot!(plain(Format::Github));
}

#[test]
fn junit() {
    insta::assert_snapshot!(plain(Format::Junit));
}

#[test]
fn json() {
    let text = plain(Format::Json);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], 1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn sarif() {
    let value: Value = serde_json::from_str(&plain(Format::Sarif)).unwrap();
    let mut shown = value["runs"][0].clone();
    // The rules are the pages of the controls, which have tests of their own.
    let rules = shown["tool"]["driver"]["rules"].as_array_mut().unwrap();
    rules.retain(|rule| rule["id"] == "host-network");
    rules[0]["help"]["markdown"] = "…".into();
    // New controls move the others.
    for result in shown["results"].as_array_mut().unwrap() {
        assert!(
            result
                .as_object_mut()
                .unwrap()
                .remove("ruleIndex")
                .is_some()
        );
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}

/// What the schema of SARIF 2.1.0 says of everything that we write.
#[test]
fn sarif_is_what_its_schema_says() {
    let value: Value = serde_json::from_str(&plain(Format::Sarif)).unwrap();
    only(&value, &["$schema", "version", "runs"]);
    assert_eq!(value["version"], "2.1.0");
    let [run] = value["runs"].as_array().unwrap().as_slice() else {
        panic!("one run")
    };
    only(run, &["tool", "results", "columnKind"]);
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let driver = &run["tool"]["driver"];
    only(driver, &["name", "semanticVersion", "rules"]);
    assert!(driver["name"].is_string() && driver["semanticVersion"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for rule in rules {
        only(
            rule,
            &[
                "id",
                "shortDescription",
                "help",
                "defaultConfiguration",
                "properties",
            ],
        );
        assert!(ids.insert(rule["id"].as_str().unwrap()), "{rule}");
        message(&rule["shortDescription"]);
        message(&rule["help"]);
        level(&rule["defaultConfiguration"]["level"]);
        if let Some(score) = rule["properties"].get("security-severity") {
            let score: f64 = score.as_str().unwrap().parse().unwrap();
            assert!((0.1..=10.0).contains(&score));
        }
    }
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 10);
    for result in results {
        only(
            result,
            &[
                "ruleId",
                "ruleIndex",
                "level",
                "kind",
                "message",
                "locations",
                "relatedLocations",
                "partialFingerprints",
            ],
        );
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        message(&result["message"]);
        level(&result["level"]);
        // "If kind has any value other than fail, then level shall be none."
        assert_eq!(result["level"] == "none", result.get("kind").is_some());
        for location in result["locations"]
            .as_array()
            .unwrap()
            .iter()
            .chain(result["relatedLocations"].as_array().into_iter().flatten())
        {
            only(
                location,
                &["physicalLocation", "logicalLocations", "message"],
            );
            let place = &location["physicalLocation"];
            only(place, &["artifactLocation", "region"]);
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(
                uri.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"/-_.~%".contains(&b)),
                "{uri}"
            );
            let number = |key: &str| place["region"][key].as_u64().unwrap();
            assert!(
                number("startLine") >= 1 && number("startColumn") >= 1 && number("endColumn") >= 1
            );
            assert!(number("endLine") >= number("startLine"));
        }
        assert!(
            result["partialFingerprints"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string)
        );
    }
}

fn only(value: &Value, keys: &[&str]) {
    for key in value.as_object().unwrap().keys() {
        assert!(keys.contains(&key.as_str()), "{key} in {value}");
    }
}

fn message(value: &Value) {
    let text = value["text"].as_str().unwrap();
    assert!(
        !text.is_empty() && text.ends_with('.') && !text.contains(".."),
        "{text}"
    );
}

fn level(value: &Value) {
    assert!(
        ["none", "note", "warning", "error"].contains(&value.as_str().unwrap()),
        "{value}"
    );
}
