//! Everything, for programs: `{version, tool, files: [{path, objects, skipped?, issues}], summary}`.

use serde_json::{Value, json};

use crate::issue::FileReport;
use crate::summary::Summary;
use crate::writer::line;

/// The version of this form. It grows by fields; a field that is there keeps its meaning.
const VERSION: u64 = 1;

pub(crate) fn begin(version: &str) -> String {
    let tool = json!({"name": "bulkhead", "version": version});
    format!(
        "{{\"version\":{VERSION},\"tool\":{},\"files\":[\n",
        line(&tool)
    )
}

/// A line for each file with something to judge or to say.
pub(crate) fn file(file: &FileReport) -> String {
    if file.objects == 0 && file.issues.is_empty() && file.skipped.is_empty() {
        return String::new();
    }
    serde_json::to_value(file)
        .as_ref()
        .map(line)
        .unwrap_or_default()
}

pub(crate) fn end(summary: &Summary) -> String {
    let summary = serde_json::to_value(summary).unwrap_or(Value::Null);
    format!("\n],\"summary\":{}}}\n", line(&summary))
}
