//! What a whole run comes to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::issue::{FileReport, Level, Severity};

/// So many files that were left aside are named, for each reason.
const NAMED: usize = 3;

/// What was left aside for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// How many documents.
    pub documents: usize,
    /// The first files that they are in.
    pub first: Vec<String>,
}

/// Sums over all files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Files with something to judge, or with a problem.
    pub files: usize,
    /// Objects and Dockerfiles that were judged.
    pub objects: usize,
    /// Findings, by severity.
    pub findings: BTreeMap<Severity, usize>,
    /// Findings that are no control's.
    pub other_findings: usize,
    /// What could not be read.
    pub unreadable: usize,
    /// Warnings.
    pub warnings: usize,
    /// What files do not say.
    pub not_checked: usize,
    /// Findings that `--fix` mends.
    pub fixable: usize,
    /// What was left aside, and how often.
    pub skipped: BTreeMap<String, Skipped>,
    /// Rules that found something.
    #[serde(skip)]
    pub rules: BTreeSet<&'static str>,
}

impl Summary {
    /// Counts a file.
    pub fn add(&mut self, file: &FileReport) {
        self.files += usize::from(file.objects > 0 || !file.issues.is_empty());
        self.objects += file.objects;
        for reason in &file.skipped {
            let skipped = self.skipped.entry(reason.clone()).or_default();
            skipped.documents += 1;
            if skipped.first.len() < NAMED && !skipped.first.contains(&file.path) {
                skipped.first.push(file.path.clone());
            }
        }
        for issue in &file.issues {
            match (issue.level, issue.severity) {
                (Level::Unreadable, _) => self.unreadable += 1,
                (Level::Warning, _) => self.warnings += 1,
                (Level::NotChecked, _) => self.not_checked += 1,
                (Level::Finding, Some(severity)) => {
                    *self.findings.entry(severity).or_default() += 1;
                }
                (Level::Finding, None) => self.other_findings += 1,
            }
            if issue.level == Level::Finding {
                self.fixable += usize::from(issue.fixable);
                self.rules.insert(issue.rule);
            }
        }
    }

    /// How much was found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.findings.values().sum::<usize>() + self.other_findings
    }

    /// One line: what was found, in what.
    #[must_use]
    pub fn headline(&self) -> String {
        let of = format!(
            "{} in {}",
            count(self.objects, "object"),
            count(self.files, "file")
        );
        let mut parts = Vec::new();
        if self.found() > 0 {
            let mut by: Vec<String> = self
                .findings
                .iter()
                .rev()
                .map(|(severity, count)| format!("{count} {}", severity.word()))
                .collect();
            if self.other_findings > 0 && !by.is_empty() {
                by.push(format!("{} other", self.other_findings));
            }
            let by = if by.is_empty() {
                String::new()
            } else {
                format!(" ({})", by.join(", "))
            };
            parts.push(format!("{}{by}", count(self.found(), "finding")));
        }
        if self.unreadable > 0 {
            parts.push(format!("{} unreadable", count(self.unreadable, "place")));
        }
        if self.warnings > 0 {
            parts.push(count(self.warnings, "warning"));
        }
        if self.not_checked > 0 {
            parts.push(format!("{} not checked", count(self.not_checked, "place")));
        }
        if parts.is_empty() {
            return format!("no findings in {of}");
        }
        format!("{} in {of}", parts.join(", "))
    }

    /// What else is to be said, a line each.
    #[must_use]
    pub fn footnotes(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match (self.fixable, self.found()) {
            (0, _) => {}
            (1, 1) => lines.push("`--fix` mends it; `--diff` shows how".to_owned()),
            (fixable, found) if fixable == found => {
                lines.push("`--fix` mends all of them; `--diff` shows how".to_owned());
            }
            (fixable, found) => lines.push(format!(
                "`--fix` mends {fixable} of {found}; `--diff` shows how"
            )),
        }
        for (reason, skipped) in &self.skipped {
            let Skipped { documents, first } = skipped;
            let more = if *documents > first.len() {
                ", …"
            } else {
                ""
            };
            let names = first.join(", ");
            lines.push(format!(
                "left aside: {} ({names}{more}): {reason}",
                count(*documents, "document")
            ));
        }
        lines
    }
}

/// `1 file`, `2 files`.
fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}
