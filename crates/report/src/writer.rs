//! The formats, and what they have in common.

use serde_json::Value;

use crate::issue::{FileReport, Rule};
use crate::summary::Summary;
use crate::{github, json, junit, markdown, sarif, text};

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// For a terminal.
    Text,
    /// Everything, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for test reports.
    Junit,
    /// For a pull request or a wiki.
    Markdown,
    /// Workflow commands, which GitHub shows beside the lines of a pull request.
    Github,
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether it has colours.
    pub colour: bool,
    /// How many columns there are.
    pub width: usize,
}

/// Writes a report in pieces.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    look: Look,
    rules: Vec<Rule>,
    version: &'static str,
}

impl Writer {
    /// A report by the program of this version, by these rules.
    #[must_use]
    pub fn new(format: Format, look: Look, rules: Vec<Rule>, version: &'static str) -> Self {
        Self {
            format,
            look,
            rules,
            version,
        }
    }

    /// What comes first.
    #[must_use]
    pub fn begin(&self) -> String {
        match self.format {
            Format::Text | Format::Github => String::new(),
            Format::Json => json::begin(self.version),
            Format::Sarif => sarif::begin(self.version, &self.rules),
            Format::Junit => junit::begin(),
            Format::Markdown => markdown::begin(),
        }
    }

    /// One file, and its text. Empty if there is nothing to say about it.
    #[must_use]
    pub fn file(&self, file: &FileReport, source: &str) -> String {
        match self.format {
            Format::Text => text::file(file, source, self.look),
            Format::Json => json::file(file),
            Format::Sarif => sarif::file(file, &self.rules),
            Format::Junit => junit::file(file),
            Format::Markdown => markdown::file(file),
            Format::Github => github::file(file),
        }
    }

    /// What stands between the pieces of two files that are not empty.
    #[must_use]
    pub fn between(&self) -> &'static str {
        match self.format {
            Format::Json | Format::Sarif => ",\n",
            _ => "",
        }
    }

    /// What comes last.
    #[must_use]
    pub fn end(&self, summary: &Summary) -> String {
        match self.format {
            Format::Text => text::end(summary, self.look),
            Format::Json => json::end(summary),
            Format::Sarif => sarif::end(),
            Format::Junit => junit::end(),
            Format::Markdown => markdown::end(summary),
            Format::Github => github::end(summary),
        }
    }
}

/// A value on one line.
pub(crate) fn line(value: &Value) -> String {
    value.to_string()
}
