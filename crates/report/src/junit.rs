//! JUnit's XML: a suite for each file, a case for each issue, and one that passes for what is clean.

use crate::issue::{FileReport, Level};

pub(crate) fn begin() -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"bulkhead check\">\n".to_owned()
}

pub(crate) fn file(file: &FileReport) -> String {
    let count = |levels: &[Level]| {
        file.issues
            .iter()
            .filter(|i| levels.contains(&i.level))
            .count()
    };
    let (failures, errors) = (count(&[Level::Finding]), count(&[Level::Unreadable]));
    let skipped = count(&[Level::NotChecked]);
    if file.objects == 0 && file.issues.is_empty() {
        return String::new();
    }
    let clean = failures + errors == 0;
    let tests = failures + errors + skipped + usize::from(clean);
    let path = escape(&file.path);
    let mut out = format!(
        "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n"
    );
    if clean {
        out.push_str(&format!(
            "    <testcase classname=\"{path}\" name=\"no findings\"/>\n"
        ));
    }
    for issue in &file.issues {
        let (open, close) = match issue.level {
            Level::Unreadable => ("error", "error"),
            Level::Finding => ("failure", "failure"),
            Level::NotChecked => ("skipped", "skipped"),
            Level::Warning => continue,
        };
        let object = issue
            .object
            .as_ref()
            .map(|object| format!(", {object}"))
            .unwrap_or_default();
        let name = format!(
            "{}:{} {}{object}",
            issue.region.line, issue.region.column, issue.rule
        );
        let mut text = format!("why:  {}", issue.why);
        if let Some(mend) = issue.mend {
            text.push_str(&format!("\nmend: {mend}"));
        }
        out.push_str(&format!(
            "    <testcase classname=\"{path}\" name=\"{}\">\n      <{open} message=\"{}\">{}</{close}>\n    </testcase>\n",
            escape(&name),
            escape(&issue.message()),
            escape(&text),
        ));
    }
    out.push_str("  </testsuite>\n");
    out
}

pub(crate) fn end() -> String {
    "</testsuites>\n".to_owned()
}

/// XML has no way to say most control characters, so they are shown as what they are not.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
