//! Workflow commands of GitHub Actions: `::error file=…,line=…::message`.

use crate::issue::{FileReport, Level, Severity};
use crate::summary::Summary;

pub(crate) fn file(file: &FileReport) -> String {
    let mut out = String::new();
    for issue in &file.issues {
        let command = match (issue.level, issue.severity) {
            (Level::NotChecked, _) => "notice",
            (Level::Warning, _) | (Level::Finding, Some(Severity::Medium)) => "warning",
            (Level::Unreadable | Level::Finding, _) => "error",
        };
        let mut message = issue.message();
        message.push_str(&format!("\nwhy: {}", issue.why));
        if let Some(mend) = issue.mend {
            message.push_str(&format!("\nmend: {mend}"));
        }
        let region = &issue.region;
        let mut place = format!(
            "file={},line={},endLine={}",
            property(&file.path),
            region.line,
            region.end_line
        );
        // Columns count only within one line.
        if region.line == region.end_line {
            place.push_str(&format!(
                ",col={},endColumn={}",
                region.column, region.end_column
            ));
        }
        out.push_str(&format!(
            "::{command} {place},title={}::{}\n",
            property(issue.rule),
            data(&message)
        ));
    }
    out
}

pub(crate) fn end(summary: &Summary) -> String {
    format!("{}\n", summary.headline())
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
