//! One line of a watch.

use bulkhead_scope::Denial;
use serde::Deserialize;
use serde_json::{Value, json};

/// What is looked at of an event. Everything else passes as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Something has changed, at this resource version.
    Change(u64),
    /// Nothing up to this resource version is still to come.
    Bookmark(u64),
    /// The watch is over, for the reason that stands in it.
    Error,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    object: Object,
}

#[derive(Deserialize, Default)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    rows: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    object: Inner,
}

#[derive(Deserialize, Default)]
struct Inner {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
}

impl Event {
    /// Reads a line.
    ///
    /// # Errors
    /// If it is none that the API server would write.
    pub(crate) fn of(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if line.kind == "ERROR" {
            return Ok(Self::Error);
        }
        // A table's own version is its row's; older servers give the row's alone.
        let row = line.object.rows.as_ref().and_then(|rows| rows.first());
        let version = match (line.object.metadata.resource_version.as_str(), row) {
            ("", Some(row)) => row.object.metadata.resource_version.as_str(),
            (version, _) => version,
        };
        let version = version
            .parse()
            .map_err(|_| format!("an event has the resource version `{version}`"))?;
        Ok(match line.kind.as_str() {
            "ADDED" | "MODIFIED" | "DELETED" => Self::Change(version),
            "BOOKMARK" => Self::Bookmark(version),
            other => return Err(format!("an event has the type `{other}`")),
        })
    }
}

/// The line by which a watch ends that has to be begun anew.
pub(crate) fn error(denial: &Denial) -> Vec<u8> {
    line(&json!({"type": "ERROR", "object": denial.to_status()}))
}

/// A value as a line.
pub(crate) fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_in_every_form() {
        for (line, expected) in [
            (
                r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"x","resourceVersion":"7"},"spec":{}}}"#,
                Ok(Event::Change(7)),
            ),
            (
                r#"{"type":"DELETED","object":{"kind":"Table","metadata":{},"rows":[{"cells":["x"],"object":{"metadata":{"resourceVersion":"8"}}}]}}"#,
                Ok(Event::Change(8)),
            ),
            (
                r#"{"type":"MODIFIED","object":{"kind":"Table","metadata":{"resourceVersion":"9"},"rows":null}}"#,
                Ok(Event::Change(9)),
            ),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"10","creationTimestamp":null}}}"#,
                Ok(Event::Bookmark(10)),
            ),
            (
                r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#,
                Ok(Event::Error),
            ),
            (r#"{"type":"ADDED","object":{}}"#, Err(())),
            (
                r#"{"type":"NEW","object":{"metadata":{"resourceVersion":"1"}}}"#,
                Err(()),
            ),
            (
                r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"-1"}}}"#,
                Err(()),
            ),
            ("", Err(())),
            ("[]", Err(())),
        ] {
            assert_eq!(
                Event::of(line.as_bytes()).map_err(|_| ()),
                expected,
                "{line}"
            );
        }
    }
}
