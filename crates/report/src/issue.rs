//! What a report is made of.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// Everything about one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FileReport {
    /// Its path as it was given, with `/` between its parts; `<stdin>` for standard input.
    pub path: String,
    /// How many objects and Dockerfiles were judged.
    pub objects: usize,
    /// Why the file, or a part of it, was left aside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// What was found, by place.
    pub issues: Vec<Issue>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// The control's name, or that of another rule.
    pub rule: &'static str,
    /// What follows from it.
    pub level: Level,
    /// What is lost by it; none of what is no control's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The object that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// The field, from the object's root; empty if it is no field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong, as a clause that follows the field: "is `true`".
    pub detail: String,
    /// Why it is wrong: a clause that follows "because".
    pub why: &'static str,
    /// What to do: a clause in the imperative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<&'static str>,
    /// Whether `--fix` does it.
    pub fixable: bool,
    /// Where.
    pub region: Region,
    /// Another place that belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
}

impl Issue {
    /// The field and what is wrong with it, in one clause.
    #[must_use]
    pub fn message(&self) -> String {
        if self.field.is_empty() {
            self.detail.clone()
        } else {
            format!("`{}` {}", self.field, self.detail)
        }
    }
}

/// What follows from an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What cannot be read, and so was not judged.
    Unreadable,
    /// What breaks isolation.
    Finding,
    /// What should be known, and breaks nothing by itself.
    Warning,
    /// What files do not say: it may hold in the cluster, or not.
    NotChecked,
}

/// What is lost by a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A wall of several is gone.
    Medium,
    /// Something of another tenant, or a limit, is within reach.
    High,
    /// The node or the cluster is the tenant's.
    Critical,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// A number from 0 to 10, as GitHub's code scanning wants it.
    #[must_use]
    pub fn score(self) -> &'static str {
        match self {
            Self::Medium => "5.5",
            Self::High => "8.0",
            Self::Critical => "9.5",
        }
    }
}

/// Which object. Prints as `Deployment web` or `Deployment acme-dev/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// `v1`, `apps/v1`, …
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name; empty if it has none yet.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match (&self.namespace, self.name.as_str()) {
            (_, "") => Ok(()),
            (None, name) => write!(f, " {name}"),
            (Some(namespace), name) => write!(f, " {namespace}/{name}"),
        }
    }
}

/// Another place that belongs to an issue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Related {
    /// Where.
    pub region: Region,
    /// What is there.
    pub message: String,
}

/// A place in a file. Lines and columns count from 1, columns in characters; the end is behind the
/// last character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Last line.
    pub end_line: usize,
    /// Column behind the last character.
    pub end_column: usize,
    /// The same in bytes.
    #[serde(skip)]
    pub bytes: Range<usize>,
}

/// Where the lines of a text start.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Of this text.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let after = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { text, starts }
    }

    /// The place of some bytes.
    #[must_use]
    pub fn region(&self, bytes: Range<usize>) -> Region {
        let (line, column) = self.position(bytes.start);
        let (end_line, end_column) = self.position(bytes.end);
        Region {
            line,
            column,
            end_line,
            end_column,
            bytes,
        }
    }

    /// Line and column of a byte, from 1.
    #[must_use]
    pub fn position(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = self
            .text
            .get(start..at.min(self.text.len()))
            .unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// A rule of the report, for the formats that list them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What is lost; none of what is no control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Why the pattern is bad.
    pub why: &'static str,
    /// What to do about it.
    pub mend: &'static str,
    /// Its page, as Markdown.
    #[serde(skip)]
    pub page: String,
}
