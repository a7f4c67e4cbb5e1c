//! The objects in files, and what is said about them with their line.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bulkhead_manifests::{Content, Node, Parsed, ProblemKind, parse};
use bulkhead_report::Lines;
use serde_json::Value;

/// A file's text and what could be read of it.
pub(super) struct File {
    path: String,
    text: String,
    parsed: Parsed,
}

impl File {
    /// Reads a file; `-` is standard input.
    pub(super) fn read(path: &PathBuf) -> Result<Self> {
        let (shown, text) = if path == Path::new("-") {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.context("cannot read standard input")?;
            ("<stdin>".to_owned(), text)
        } else {
            let shown = path.display().to_string();
            let text =
                fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
            (shown, text)
        };
        Ok(Self {
            parsed: parse(&text),
            path: shown,
            text,
        })
    }

    /// What is no YAML, a line each.
    pub(super) fn broken(&self) -> Vec<String> {
        let errors = self
            .parsed
            .problems
            .iter()
            .filter(|problem| problem.kind.is_error());
        errors
            .map(|problem| {
                let hint = match problem.kind {
                    ProblemKind::Syntax => {
                        "; fields of one object begin in the same column, and a comment has a `#` on each of its lines"
                    }
                    _ => "",
                };
                self.at(problem.span.start, &format!("{}{hint}", problem.message))
            })
            .collect()
    }

    /// Every object: its `apiVersion`, its `kind`, and itself.
    pub(super) fn objects(&self) -> Vec<(&str, &str, &Node)> {
        let contents = self.parsed.documents.iter().flat_map(Content::of);
        contents
            .filter_map(|content| match content {
                Content::Object {
                    api_version,
                    kind,
                    node,
                } => Some((api_version, kind, node)),
                Content::Other(_) => None,
            })
            .collect()
    }

    /// A message with the file and line that it is about.
    pub(super) fn at(&self, offset: usize, message: &str) -> String {
        let line = Lines::of(&self.text).region(offset..offset).line;
        format!("{}:{line}: {message}", self.path)
    }
}

/// Objects as one YAML text.
pub(super) fn yaml<'v>(objects: impl IntoIterator<Item = &'v Value>) -> Result<String> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(object)?);
    }
    Ok(text)
}
