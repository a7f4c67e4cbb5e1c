//! Tests of what is said of files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpora;
mod exceptions;
mod facts;
mod fixing;
mod fuzz;
mod judging;
mod outputs;
mod pod_policies;
#[path = "../../../e2e/src/trials/pod_policy_objects.rs"]
mod pod_policy_objects;
mod schemas;

use bulkhead_check::{Index, Settings, Source};
use bulkhead_manifests::parse;
use bulkhead_model::Profile;
use bulkhead_report::{FileReport, Level};

/// The rules that these tests are about: a new control changes none of what they show.
pub const FEW: [&str; 16] = [
    "allow-malformed",
    "allow-of-nothing",
    "allow-without-reason",
    "ambiguous-scalar",
    "capabilities-kept",
    "dockerfile-root-user",
    "host-ipc",
    "host-network",
    "host-pid",
    "host-port",
    "malformed-object",
    "privilege-escalation",
    "privileged-container",
    "runs-as-root",
    "seccomp-unconfined",
    "unknown-workload",
];

/// A few rules, as strict as they are if nobody says anything.
pub fn strict() -> Settings {
    let few = FEW.map(str::to_owned).to_vec();
    all().choose(few, Vec::new()).unwrap()
}

/// Every rule.
pub fn all() -> Settings {
    Settings::of_profile(Profile::Strict).unwrap()
}

/// A file.
pub fn source<'a>(path: &'a str, text: &'a str) -> Source<'a> {
    let dockerfile = bulkhead_manifests::is_dockerfile(path);
    Source {
        path,
        text,
        dockerfile,
    }
}

/// What these files say together.
pub fn index(texts: &[&str]) -> Index {
    let mut index = Index::default();
    for text in texts {
        assert!(Index::may_want(text), "{text}");
        index.learn(&parse(text));
    }
    index
}

/// What is said of one file, by itself.
pub fn check(text: &str) -> FileReport {
    bulkhead_check::check(&source("a.yaml", text), &strict(), &Index::default())
}

/// Level, rule and line of each issue.
pub fn said(report: &FileReport) -> Vec<(Level, &'static str, usize)> {
    let issues = report.issues.iter();
    issues
        .map(|issue| (issue.level, issue.rule, issue.region.line))
        .collect()
}
