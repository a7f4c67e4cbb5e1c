//! SARIF 2.1.0 (OASIS), as GitHub's code scanning and editors read it.

use serde_json::{Value, json};

use crate::issue::{FileReport, Issue, Level, Region, Rule, Severity};
use crate::writer::line;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(crate) fn begin(version: &str, rules: &[Rule]) -> String {
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let driver = json!({"name": "bulkhead", "semanticVersion": version, "rules": rules});
    format!(
        "{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{{\"driver\":{}}},\
         \"columnKind\":\"unicodeCodePoints\",\"results\":[\n",
        line(&driver)
    )
}

pub(crate) fn file(file: &FileReport, rules: &[Rule]) -> String {
    let results: Vec<String> = file
        .issues
        .iter()
        .map(|issue| line(&result(&file.path, issue, rules)))
        .collect();
    results.join(",\n")
}

pub(crate) fn end() -> String {
    "\n]}]}\n".to_owned()
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({
        "id": rule.name,
        "shortDescription": {"text": sentence(rule.why)},
        "help": {"text": format!("{} Mend: {}.", sentence(rule.why), rule.mend), "markdown": rule.page},
        "defaultConfiguration": {"level": level(Level::Finding, rule.severity)},
    });
    if let (Some(severity), Some(value)) = (rule.severity, value.as_object_mut()) {
        let properties = json!({
            "tags": ["security"], "problem.severity": severity.word(), "security-severity": severity.score(),
        });
        value.insert("properties".into(), properties);
    }
    value
}

fn result(path: &str, issue: &Issue, rules: &[Rule]) -> Value {
    let mut text = sentence(&issue.message());
    text.push_str(&format!(" Why: {}.", issue.why));
    if let Some(mend) = issue.mend {
        text.push_str(&format!(" Mend: {mend}."));
    }
    let mut value = json!({
        "ruleId": issue.rule,
        "level": level(issue.level, issue.severity),
        "message": {"text": text},
        "locations": [location(path, &issue.region, issue)],
        // What a line number is not: the same for the same finding after a change above it.
        "partialFingerprints": {"bulkhead/v1": fingerprint(path, issue)},
    });
    let Some(object) = value.as_object_mut() else {
        return value;
    };
    if let Some(index) = rules.iter().position(|rule| rule.name == issue.rule) {
        object.insert("ruleIndex".into(), index.into());
    }
    if issue.level == Level::NotChecked {
        object.insert("kind".into(), "open".into());
    }
    if let Some(related) = &issue.related {
        let place = json!({
            "physicalLocation": physical(path, &related.region),
            "message": {"text": sentence(&related.message)},
        });
        object.insert("relatedLocations".into(), json!([place]));
    }
    value
}

fn location(path: &str, region: &Region, issue: &Issue) -> Value {
    let mut location = json!({"physicalLocation": physical(path, region)});
    if let (Some(object), Some(location)) = (&issue.object, location.as_object_mut()) {
        let name = if issue.field.is_empty() {
            object.to_string()
        } else {
            format!("{object}: {}", issue.field)
        };
        location.insert(
            "logicalLocations".into(),
            json!([{"fullyQualifiedName": name, "kind": "object"}]),
        );
    }
    location
}

fn physical(path: &str, region: &Region) -> Value {
    json!({
        "artifactLocation": {"uri": uri(path)},
        "region": {
            "startLine": region.line, "startColumn": region.column,
            "endLine": region.end_line, "endColumn": region.end_column,
        },
    })
}

/// `open` results have the level `none`.
fn level(level: Level, severity: Option<Severity>) -> &'static str {
    match (level, severity) {
        (Level::NotChecked, _) => "none",
        (Level::Warning, _) | (Level::Finding, Some(Severity::Medium)) => "warning",
        (Level::Unreadable | Level::Finding, _) => "error",
    }
}

/// A relative reference: what no URI holds is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// FNV-1a over what names the finding.
fn fingerprint(path: &str, issue: &Issue) -> String {
    let object = issue
        .object
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let parts = [issue.rule, path, &object, &issue.field];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// A clause as a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first: String = letters
        .next()
        .map(|c| c.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
