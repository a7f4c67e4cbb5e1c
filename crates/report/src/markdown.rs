//! For a pull request or a wiki: a table for each file.

use crate::issue::{FileReport, Issue, Level};
use crate::summary::Summary;

pub(crate) fn begin() -> String {
    "# bulkhead check\n".to_owned()
}

pub(crate) fn file(file: &FileReport) -> String {
    if file.issues.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n## {}\n\n| line | rule | object | what | mend |\n|---|---|---|---|---|\n",
        code(&file.path)
    );
    for issue in &file.issues {
        let object = issue
            .object
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mend = match (issue.mend, issue.fixable) {
            (Some(mend), true) => format!("{mend} (`--fix`)"),
            (Some(mend), false) => mend.to_owned(),
            (None, _) => String::new(),
        };
        out.push_str(&format!(
            "| {} | {} `{}` | {} | {} | {} |\n",
            issue.region.line,
            word(issue),
            issue.rule,
            cell(&object),
            cell(&issue.message()),
            cell(&mend),
        ));
    }
    out
}

pub(crate) fn end(summary: &Summary) -> String {
    let mut out = format!("\n**{}**\n", summary.headline());
    for line in summary.footnotes() {
        out.push_str(&format!("\n{line}\n"));
    }
    out
}

fn word(issue: &Issue) -> &'static str {
    match (issue.level, issue.severity) {
        (Level::Finding, Some(severity)) => severity.word(),
        (Level::Finding, None) => "finding",
        (Level::Unreadable, _) => "error",
        (Level::Warning, _) => "warning",
        (Level::NotChecked, _) => "not checked",
    }
}

/// A table's cell: one line, without bars that would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace(['\n', '\r'], " ")
        .replace('<', "&lt;")
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace(['`', '\n'], "\u{fffd}"))
}
