//! What policies say of objects that exist already: counted, and as Gatekeeper's users and readers
//! of PolicyReports expect to see it.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_model::quiet::{PLATFORM_NAMESPACES, QUIET_GROUPS};
use serde_json::{Value, json};

use crate::policies::Violation;
use crate::template::Action;

/// How many violations a constraint's status names; Gatekeeper's own number. All are counted.
pub const MOST_VIOLATIONS: usize = 20;
/// How many results a PolicyReport has, and how many objects each names.
const MOST_RESULTS: usize = 100;
/// Longer messages are cut, as Gatekeeper cuts them.
const LONGEST: usize = 256;
/// The API group of PolicyReports.
pub const REPORTS: &str = "wgpolicyk8s.io";

/// Whether an object is a namespace of the platform's or stands in one: no policy is asked about it.
#[must_use]
pub fn is_of_the_platform(object: &Value) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let is_namespace = (text("/apiVersion"), text("/kind")) == (Some("v1"), Some("Namespace"));
    let within = text(if is_namespace {
        "/metadata/name"
    } else {
        "/metadata/namespace"
    });
    within.is_some_and(|within| PLATFORM_NAMESPACES.contains(&within))
}

/// What the cluster says of itself all the time, and policies: no policy is asked about them.
#[must_use]
pub fn is_quiet(group: &str, kind: &str) -> bool {
    QUIET_GROUPS.contains(&group)
        || (group.is_empty() && ["Binding", "ComponentStatus", "Event", "Node"].contains(&kind))
}

/// Whether pairs of groups and kinds, as a constraint's `match.kinds` has them, hold for a kind.
#[must_use]
pub fn covers(pairs: &[(Vec<String>, Vec<String>)], group: &str, kind: &str) -> bool {
    let among = |names: &[String], name: &str| {
        names.is_empty() || names.iter().any(|each| each == "*" || each == name)
    };
    pairs.is_empty()
        || pairs
            .iter()
            .any(|(groups, kinds)| among(groups, group) && among(kinds, kind))
}

/// What has been found so far.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// By policy: `Kind/name` of a constraint, or the name of a ConfigMap's module.
    found: BTreeMap<String, Found>,
    /// Results by namespace; those of the cluster under the empty name.
    reports: BTreeMap<String, Report>,
}

#[derive(Debug, Clone, Default)]
struct Found {
    total: u64,
    shown: Vec<Value>,
}

#[derive(Debug, Clone, Default)]
struct Report {
    /// By policy, result and message.
    results: BTreeMap<(String, &'static str, String), Hit>,
    /// By result.
    summary: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Default)]
struct Hit {
    count: u64,
    objects: Vec<Value>,
}

impl Audit {
    /// Takes what was found against an object. Objects come in any order, and the outcome is the
    /// same if that order is. `reported` is the namespace whose report it goes into; none: the
    /// cluster's.
    pub fn note(&mut self, object: &Value, reported: Option<&str>, violations: Vec<Violation>) {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let version = text("/apiVersion");
        let (group, short) = version.split_once('/').unwrap_or(("", version));
        for violation in violations {
            let message = cut(&violation.message);
            let found = self.found.entry(violation.policy.clone()).or_default();
            found.total += 1;
            if found.shown.len() < MOST_VIOLATIONS {
                let mut shown = json!({
                    "enforcementAction": violation.action.to_string(),
                    "group": group, "version": short, "kind": text("/kind"),
                    "name": text("/metadata/name"), "message": message,
                });
                let namespace = text("/metadata/namespace");
                if let (Some(fields), false) = (shown.as_object_mut(), namespace.is_empty()) {
                    fields.insert("namespace".to_owned(), namespace.into());
                }
                found.shown.push(shown);
            }
            let result = match (violation.failed, violation.action) {
                (true, _) => "error",
                (false, Action::Deny) => "fail",
                (false, Action::Warn | Action::DryRun) => "warn",
            };
            let report = self
                .reports
                .entry(reported.unwrap_or_default().to_owned())
                .or_default();
            *report.summary.entry(result).or_default() += 1;
            let results = report.results.len();
            let key = (violation.policy, result, message);
            if results < MOST_RESULTS || report.results.contains_key(&key) {
                let hit = report.results.entry(key).or_default();
                hit.count += 1;
                if hit.objects.len() < MOST_VIOLATIONS {
                    let namespace = text("/metadata/namespace");
                    let mut object = json!({
                        "apiVersion": version, "kind": text("/kind"), "name": text("/metadata/name"),
                    });
                    if let (Some(fields), false) = (object.as_object_mut(), namespace.is_empty()) {
                        fields.insert("namespace".to_owned(), namespace.into());
                    }
                    hit.objects.push(object);
                }
            }
        }
    }

    /// What a constraint's status says of its violations: `totalViolations` and `violations`.
    #[must_use]
    pub fn status(&self, policy: &str) -> Value {
        let found = self.found.get(policy).cloned().unwrap_or_default();
        let mut status = json!({"totalViolations": found.total});
        if let (Some(fields), false) = (status.as_object_mut(), found.shown.is_empty()) {
            fields.insert("violations".to_owned(), found.shown.into());
        }
        status
    }

    /// The namespaces that something is reported of, the empty name for the cluster.
    pub fn reported(&self) -> BTreeSet<&str> {
        self.reports.keys().map(String::as_str).collect()
    }

    /// The PolicyReport of a namespace, or for the empty name the ClusterPolicyReport; none if there
    /// is nothing to report.
    #[must_use]
    pub fn report(&self, namespace: &str, name: &str) -> Option<Value> {
        let report = self.reports.get(namespace)?;
        let results = report
            .results
            .iter()
            .map(|((policy, result, message), hit)| {
                json!({
                    "policy": policy, "source": "bulkhead", "result": result, "message": message,
                    "resources": hit.objects, "properties": {"violations": hit.count.to_string()},
                })
            });
        let mut summary = json!({"pass": 0, "fail": 0, "warn": 0, "error": 0, "skip": 0});
        for (result, count) in &report.summary {
            if let Some(fields) = summary.as_object_mut() {
                fields.insert((*result).to_owned(), json!(count));
            }
        }
        let mut whole = json!({
            "apiVersion": format!("{REPORTS}/v1alpha2"),
            "kind": if namespace.is_empty() { "ClusterPolicyReport" } else { "PolicyReport" },
            "metadata": {"name": name},
            "summary": summary,
            "results": results.collect::<Vec<_>>(),
        });
        let metadata = whole.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(metadata), false) = (metadata, namespace.is_empty()) {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        Some(whole)
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        None => message.to_owned(),
        Some((end, _)) => format!("{} ...", message.get(..end).unwrap_or_default()),
    }
}

/// The kinds PolicyReport and ClusterPolicyReport, for clusters in which nobody has installed them.
#[must_use]
pub fn report_crds() -> [Value; 2] {
    [
        crd("PolicyReport", "policyreports", "polr", "Namespaced"),
        crd(
            "ClusterPolicyReport",
            "clusterpolicyreports",
            "cpolr",
            "Cluster",
        ),
    ]
}

fn crd(kind: &str, plural: &str, short: &str, scope: &str) -> Value {
    let string = || json!({"type": "string"});
    let number = || json!({"type": "integer"});
    let reference = json!({
        "type": "object",
        "properties": {
            "apiVersion": string(), "kind": string(), "namespace": string(), "name": string(),
            "uid": string(), "resourceVersion": string(), "fieldPath": string(),
        },
    });
    let anything = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let result = json!({
        "type": "object",
        "required": ["policy"],
        "properties": {
            "policy": string(), "rule": string(), "category": string(), "source": string(),
            "severity": {"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
            "result": {"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]},
            "scored": {"type": "boolean"},
            "message": string(),
            "timestamp": {
                "type": "object", "required": ["nanos", "seconds"],
                "properties": {"nanos": number(), "seconds": number()},
            },
            "resources": {"type": "array", "items": reference.clone()},
            "resourceSelector": anything(),
            "properties": {"type": "object", "additionalProperties": string()},
        },
    });
    let counts = ["pass", "fail", "warn", "error", "skip"];
    let summary: serde_json::Map<String, Value> = counts
        .into_iter()
        .map(|count| (count.to_owned(), number()))
        .collect();
    let columns = counts.into_iter().map(|count| {
        let name =
            count.get(..1).unwrap_or_default().to_uppercase() + count.get(1..).unwrap_or_default();
        json!({"name": name, "type": "integer", "jsonPath": format!(".summary.{count}")})
    });
    let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{REPORTS}"),
        },
        "spec": {
            "group": REPORTS,
            "scope": scope,
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": [short],
            },
            "versions": [{
                "name": "v1alpha2",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns.chain([age]).collect::<Vec<_>>(),
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "What policies have against objects that exist.",
                    "properties": {
                        "metadata": {"type": "object"},
                        "scope": reference,
                        "scopeSelector": anything(),
                        "summary": {"type": "object", "properties": summary},
                        "results": {"type": "array", "items": result},
                    },
                }},
            }],
        },
    })
}
