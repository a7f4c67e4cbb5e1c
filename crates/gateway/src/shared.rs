//! Answers about kinds of the cluster, of which a tenant sees a part: what it may not know of is
//! left out, and of the rest what it may not know.

use bulkhead_scope::{Denial, Include, Path, ScopedRequest, Sight, Verb};
use bulkhead_serve::{Body, BoxError, full, read_body};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};

use crate::answer::incident;
use crate::watches::{Heard, lines};

/// The longest list that is read: a few hundred kinds with all their schemas.
const LONGEST: usize = 64 * 1024 * 1024;

/// In which form the client gets what it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Whole,
    Table,
    /// Metadata only, of a version of `meta.k8s.io`.
    Metadata(String),
}

/// What is done to the answer to a request.
pub(crate) struct Lens {
    sight: Sight,
    form: Form,
    group: String,
    resource: String,
    name: Option<String>,
}

impl Lens {
    /// The lens for a request, and the forms to ask upstream for; none if the caller sees all.
    pub(crate) fn of(scoped: &ScopedRequest, accept: &str) -> Option<(Self, String)> {
        let (sight, Path::Resource(resource)) = (scoped.sight()?, scoped.request().path()) else {
            return None;
        };
        // The client's first choice; upstream gives it, too.
        let first = accept.split(',').next().unwrap_or_default();
        let parameter = |name: &str| first.split(';').find_map(|part| part.strip_prefix(name));
        let (form, accept) = match parameter("as=") {
            Some("Table") => (Form::Table, first.to_owned()),
            // Who sees an object is seen by more than its metadata.
            Some(_) => (
                Form::Metadata(parameter("v=").unwrap_or("v1").to_owned()),
                "application/json".to_owned(),
            ),
            None => (Form::Whole, "application/json".to_owned()),
        };
        let lens = Self {
            sight: sight.clone(),
            form,
            group: resource.group.clone(),
            resource: resource.resource.clone(),
            name: resource.name.clone(),
        };
        Some((lens, accept))
    }

    /// The answer as the caller sees it.
    ///
    /// # Errors
    /// 404 for an object that the caller does not see; 500 if the answer cannot be read.
    pub(crate) async fn narrow(
        self,
        response: Response<Body>,
        verb: Verb,
    ) -> Result<Response<Body>, Denial> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        if verb == Verb::Watch {
            return Ok(Response::from_parts(parts, self.stream(body)));
        }
        let unreadable = |error: &dyn std::fmt::Display| {
            incident(&format!("what is shared cannot be read: {error}"))
        };
        let bytes = read_body(body, LONGEST)
            .await
            .map_err(|error| unreadable(&error))?;
        let mut value = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        if !self.apply(&mut value) {
            let name = self.name.as_deref().unwrap_or_default();
            return Err(Denial::not_found(&self.group, &self.resource, name));
        }
        Ok(Response::from_parts(parts, full(value.to_string())))
    }

    /// Leaves of an object, a list or a table what is seen. Whether anything is.
    fn apply(&self, value: &mut Value) -> bool {
        if self.form == Form::Table {
            let Some(Value::Array(rows)) = value.get_mut("rows") else {
                return false;
            };
            rows.retain_mut(|row| self.row(row));
            return self.name.is_none() || !rows.is_empty();
        }
        if self.name.is_some() {
            return self.object(value);
        }
        match value.get_mut("items") {
            Some(Value::Array(items)) => items.retain_mut(|item| self.object(item)),
            Some(Value::Null) => {}
            _ => return false,
        }
        if let (Form::Metadata(version), Some(list)) = (&self.form, value.as_object_mut()) {
            list.insert("kind".into(), "PartialObjectMetadataList".into());
            list.insert("apiVersion".into(), format!("meta.k8s.io/{version}").into());
        }
        true
    }

    fn object(&self, object: &mut Value) -> bool {
        if !self.sight.shows(object) {
            return false;
        }
        self.sight.trim(object);
        if let Form::Metadata(version) = &self.form {
            *object = metadata(object, version);
        }
        true
    }

    fn row(&self, row: &mut Value) -> bool {
        let Some(object) = row.get_mut("object") else {
            return false;
        };
        if !self.sight.shows(object) {
            return false;
        }
        self.sight.trim(object);
        match self.sight.include() {
            Include::Object => {}
            Include::Metadata => *object = metadata(object, "v1"),
            Include::None => *object = Value::Null,
        }
        true
    }

    /// The events that are about what is seen.
    fn stream(self, body: Body) -> Body {
        let state = (lines(0, body), self, None);
        let events = futures::stream::unfold(state, |(mut heard, lens, mut columns)| async move {
            loop {
                let Some(Heard::Line(_, line)) = heard.next().await else {
                    return None;
                };
                match lens.event(&line, &mut columns) {
                    Ok(None) => {}
                    Ok(Some(event)) => {
                        let frame = Frame::data(Bytes::from(event));
                        return Some((Ok::<_, BoxError>(frame), (heard, lens, columns)));
                    }
                    Err(error) => {
                        tracing::error!(%error, "an event of what is shared cannot be read");
                        return None;
                    }
                }
            }
        });
        StreamBody::new(events).boxed_unsync()
    }

    /// One event as the caller sees it. Only the first one of a table's says which columns there
    /// are, so they are kept until one is shown.
    fn event(
        &self,
        line: &[u8],
        columns: &mut Option<Value>,
    ) -> Result<Option<String>, serde_json::Error> {
        let mut event: Value = serde_json::from_slice(line)?;
        let kind = event.get("type").and_then(Value::as_str);
        let plain = matches!(kind, Some("BOOKMARK" | "ERROR"));
        let Some(object) = event.get_mut("object") else {
            return Ok(None);
        };
        if !plain {
            let shown = match self.form {
                Form::Table => {
                    let given = object.get_mut("columnDefinitions");
                    if let Some(given) = given.filter(|given| given.is_array()) {
                        *columns = Some(given.take());
                    }
                    self.table(object)
                }
                _ => self.object(object),
            };
            if !shown {
                return Ok(None);
            }
            if let (Form::Table, Some(table)) = (&self.form, object.as_object_mut()) {
                table.insert(
                    "columnDefinitions".into(),
                    columns.take().unwrap_or(Value::Null),
                );
            }
        }
        Ok(Some(format!("{event}\n")))
    }

    fn table(&self, table: &mut Value) -> bool {
        match table.get_mut("rows") {
            Some(Value::Array(rows)) => {
                rows.retain_mut(|row| self.row(row));
                !rows.is_empty()
            }
            _ => false,
        }
    }
}

fn metadata(object: &mut Value, version: &str) -> Value {
    let metadata = object.get_mut("metadata").map(Value::take);
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata.unwrap_or_else(|| json!({})),
    })
}

#[cfg(test)]
mod tests;
