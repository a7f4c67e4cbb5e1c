//! The state with which a watch begins: a list, told as additions.

use bulkhead_scope::{Denial, Spread};
use serde_json::{Value, json};

use super::event;
use crate::answer::incident;
use crate::lists::writer::Writer;
use crate::lists::{Asked, Position, Sender, Stop, merge};

/// Items on a page: the memory that a beginning watch takes.
const PAGE: u64 = 250;

/// A page of the list, told as additions.
pub(crate) struct Page {
    /// The additions, a line each.
    pub(crate) lines: Vec<Vec<u8>>,
    /// The state that the list shows.
    pub(crate) version: u64,
    /// Where it goes on.
    pub(crate) next: Option<Position>,
    /// A bookmark for that state which says that the list is over.
    pub(crate) last: Vec<u8>,
}

/// Lists a page: the first, or from a position on.
pub(crate) async fn page(
    sender: &Sender,
    spread: &Spread,
    from: Option<Position>,
) -> Result<Page, Stop> {
    let mut writer = Writer::whole();
    let asked = Asked {
        from,
        limit: Some(PAGE),
    };
    let end = merge(sender, spread, asked, &mut writer).await?;
    writer.write(end.tail(None).as_bytes()).await;
    let list: Value = serde_json::from_slice(&writer.into_bytes())
        .map_err(|error| incident(&format!("a merged list cannot be read: {error}")))?;
    let version = end.version.ok_or_else(|| {
        Denial::not_implemented(
            "this API has no resource versions, so it cannot be watched over all namespaces",
        )
    })?;
    let (lines, last) = told(list, version);
    Ok(Page {
        lines,
        version,
        next: end.next,
        last,
    })
}

/// The additions of a list's items, and the bookmark after them.
fn told(mut list: Value, version: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let text = |name: &str| {
        let found = list.get(name).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let (kind, api) = (text("kind"), text("apiVersion"));
    if kind == "Table" {
        return table(list, version);
    }
    let kind = kind.strip_suffix("List").unwrap_or(&kind).to_owned();
    let items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let added = items.into_iter().map(|mut item| {
        // Items of built-in kinds do not say what they are; the list does.
        if let Some(item) = item.as_object_mut() {
            item.entry("kind").or_insert_with(|| kind.as_str().into());
            item.entry("apiVersion")
                .or_insert_with(|| api.as_str().into());
        }
        event::line(&json!({"type": "ADDED", "object": item}))
    });
    let lines = added.collect();
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "kind": kind, "apiVersion": api,
        "metadata": {
            "resourceVersion": version.to_string(), "creationTimestamp": null,
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }});
    (lines, event::line(&bookmark))
}

fn table(mut list: Value, version: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let rows = match list.get_mut("rows").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    };
    let (api, columns) = (list.get("apiVersion"), list.get("columnDefinitions"));
    let table = |version: &Value, rows: Vec<Value>| {
        json!({
            "kind": "Table", "apiVersion": api, "metadata": {"resourceVersion": version},
            "columnDefinitions": columns, "rows": rows,
        })
    };
    let added = rows.into_iter().map(|row| {
        let own = row.pointer("/object/metadata/resourceVersion").cloned();
        let object = table(&own.unwrap_or_default(), vec![row]);
        event::line(&json!({"type": "ADDED", "object": object}))
    });
    let lines = added.collect();
    let end = table(&version.to_string().into(), Vec::new());
    (
        lines,
        event::line(&json!({"type": "BOOKMARK", "object": end})),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> Value {
        assert_eq!(line.last(), Some(&b'\n'));
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn items_are_told_as_what_they_are() {
        let list = json!({"kind": "PodList", "apiVersion": "v1", "items": [
            {"metadata": {"name": "a"}},
            {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "b"}},
        ]});
        let (lines, last) = told(list, 7);
        assert_eq!(
            read(&lines[0]),
            json!({"type": "ADDED", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}})
        );
        assert_eq!(read(&lines[1])["object"]["kind"], "PartialObjectMetadata");
        let last = read(&last);
        assert_eq!(last["type"], "BOOKMARK");
        assert_eq!(last["object"]["kind"], "Pod");
        assert_eq!(last["object"]["metadata"]["resourceVersion"], "7");
        assert_eq!(
            last["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
            "true"
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn rows_are_told_as_tables() {
        let list = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": [{"name": "Name"}],
            "rows": [{"cells": ["a"], "object": {"metadata": {"resourceVersion": "5"}}}]});
        let (lines, _) = told(list, 7);
        let added = read(&lines[0]);
        assert_eq!(added["object"]["columnDefinitions"][0]["name"], "Name");
        assert_eq!(added["object"]["rows"][0]["cells"], json!(["a"]));
        assert_eq!(added["object"]["metadata"]["resourceVersion"], "5");
    }
}
