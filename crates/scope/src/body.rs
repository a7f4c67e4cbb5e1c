//! Bodies, parsed.

use serde_json::{Map, Value, json};

use crate::denial::{Denial, FOREIGN_NAMESPACE, TENANT_LABEL_CHANGE};
use crate::query::{Query, QueryValue};

/// A request's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// An object, whole; for deletions their options.
    Object(Value),
    /// A patch.
    Patch(PatchType, Value),
}

/// How a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own merge, which knows lists by their keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// The media type under which the patch goes upstream, re-encoded as JSON. JSON is YAML, so
    /// it is what server-side apply takes as well.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

impl Body {
    /// The media type under which the body goes upstream; none for no body.
    #[must_use]
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Object(_) => Some("application/json"),
            Self::Patch(kind, _) => Some(kind.media_type()),
        }
    }

    /// The value, if there is a body.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Empty => None,
            Self::Object(value) | Self::Patch(_, value) => Some(value),
        }
    }
}

/// The text at a path of fields; an error if something else stands there.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> Result<Option<&'a str>, Denial> {
    let mut value = value;
    for (depth, field) in path.iter().enumerate() {
        value = match value {
            Value::Object(fields) => match fields.get(*field) {
                None | Some(Value::Null) => return Ok(None),
                Some(inner) => inner,
            },
            _ => {
                return Err(wrong_type(
                    path.get(..depth).unwrap_or_default(),
                    "an object",
                ));
            }
        };
    }
    value
        .as_str()
        .map(Some)
        .ok_or_else(|| wrong_type(path, "a string"))
}

fn wrong_type(path: &[&str], expected: &str) -> Denial {
    let path = if path.is_empty() {
        "the body".to_owned()
    } else {
        format!("`{}`", path.join("."))
    };
    Denial::bad_request(format!("{path} must be {expected}"))
}

/// Refuses a body that names another namespace than the path does.
pub(crate) fn same_namespace(value: &Value, namespace: &str) -> Result<(), Denial> {
    match text_at(value, &["metadata", "namespace"])? {
        Some(other) if !other.is_empty() && other != namespace => Err(Denial::forbidden(format!(
            "{FOREIGN_NAMESPACE}: `metadata.namespace` of the body is `{other}`, the request is for the namespace `{namespace}`"
        ))
        .by(FOREIGN_NAMESPACE)),
        _ => Ok(()),
    }
}

/// `metadata.labels` or `metadata.annotations` of an object, made if it is not there.
pub(crate) fn metadata_map<'a>(
    object: &'a mut Value,
    which: &str,
) -> Result<&'a mut Map<String, Value>, Denial> {
    let mut value = object;
    let mut path = Vec::new();
    for field in ["metadata", which] {
        let fields = value
            .as_object_mut()
            .ok_or_else(|| wrong_type(&path, "an object"))?;
        let inner = fields.entry(field).or_insert(Value::Null);
        if inner.is_null() {
            *inner = json!({});
        }
        value = inner;
        path.push(field);
    }
    value
        .as_object_mut()
        .ok_or_else(|| wrong_type(&path, "an object"))
}

/// Writes the tenant's name on an object that is created. Nothing rests on this label there,
/// but one that names another tenant is a lie that people and tools would believe.
pub(crate) fn stamp(object: &mut Value, key: &str, tenant: &str) -> Result<(), Denial> {
    let labels = metadata_map(object, "labels")?;
    match labels.get(key) {
        Some(other) if other != tenant => Err(Denial::forbidden(format!(
            "{TENANT_LABEL_CHANGE}: `metadata.labels[\"{key}\"]` must be `{tenant}` or left out"
        ))
        .by(TENANT_LABEL_CHANGE)),
        _ => {
            labels.insert(key.to_owned(), tenant.into());
            Ok(())
        }
    }
}

/// The fields of `DeleteOptions` that a client may give, and their query parameters.
const DELETE_OPTIONS: [(&str, bool); 7] = [
    ("kind", false),
    ("apiVersion", false),
    ("preconditions", false),
    ("gracePeriodSeconds", true),
    ("propagationPolicy", true),
    ("orphanDependents", true),
    ("dryRun", true),
];

/// Makes one of a deletion's options in the body and in the query. Upstream ignores the query
/// if there is a body: a dry run would delete.
pub(crate) fn merge_delete_options(body: &mut Value, query: &mut Query) -> Result<(), Denial> {
    let options = body.as_object_mut().ok_or_else(|| {
        Denial::bad_request("the body of a deletion must be a DeleteOptions object")
    })?;
    if let Some(unknown) = options
        .keys()
        .find(|k| DELETE_OPTIONS.iter().all(|(name, _)| name != k))
    {
        return Err(Denial::bad_request(format!(
            "`{unknown}` is no option of a deletion"
        )));
    }
    if options
        .get("kind")
        .is_some_and(|kind| kind != "DeleteOptions" && kind != "")
    {
        return Err(Denial::bad_request(
            "`kind` of a deletion's body must be `DeleteOptions`",
        ));
    }
    for (name, in_query) in DELETE_OPTIONS {
        let Some(value) = in_query.then(|| query.take(name)).flatten() else {
            continue;
        };
        let value = match value {
            QueryValue::Bool(b) => json!(b),
            QueryValue::Number(n) => json!(n),
            QueryValue::Text(text) if name == "dryRun" => json!([text]),
            QueryValue::Text(text) => json!(text),
            QueryValue::Labels(_) | QueryValue::Fields(_) | QueryValue::Texts(_) => continue,
        };
        let there = options.entry(name).or_insert(Value::Null);
        if there.is_null() || there == &json!([]) {
            *there = value;
        } else if *there != value {
            return Err(Denial::bad_request(format!(
                "`{name}` is given in the query and otherwise in the body"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Operation;

    #[test]
    fn a_dry_run_in_the_query_stays_one() {
        let mut query = Query::parse(
            Some("dryRun=All&gracePeriodSeconds=5&labelSelector=a"),
            Operation::DeleteCollection,
        )
        .unwrap();
        let mut body = json!({"kind": "DeleteOptions", "gracePeriodSeconds": 5, "dryRun": null});
        merge_delete_options(&mut body, &mut query).unwrap();
        assert_eq!(
            body,
            json!({"kind": "DeleteOptions", "gracePeriodSeconds": 5, "dryRun": ["All"]})
        );
        assert_eq!(query.encode(), "labelSelector=a");
    }

    #[test]
    fn contradicting_or_unknown_options_are_refused() {
        for body in [
            json!({"gracePeriodSeconds": 6}),
            json!({"dryRun": ["None"]}),
            json!({"kind": "Pod"}),
            json!({"ignoreStoreReadErrorWithClusterBreakingPotential": true}),
            json!([]),
        ] {
            let mut query =
                Query::parse(Some("dryRun=All&gracePeriodSeconds=5"), Operation::Delete).unwrap();
            let error = merge_delete_options(&mut body.clone(), &mut query).unwrap_err();
            assert_eq!(error.status, 400, "{body}");
        }
    }

    #[test]
    fn another_namespace_in_the_body_is_refused() {
        assert!(same_namespace(&json!({"metadata": {"namespace": "a"}}), "a").is_ok());
        assert!(same_namespace(&json!({"metadata": {}}), "a").is_ok());
        assert!(same_namespace(&json!({}), "a").is_ok());
        let denial = same_namespace(&json!({"metadata": {"namespace": "b"}}), "a").unwrap_err();
        assert_eq!(denial.control, Some("foreign-namespace"));
        for bad in [
            json!({"metadata": {"namespace": 1}}),
            json!({"metadata": []}),
            json!("x"),
        ] {
            assert_eq!(same_namespace(&bad, "a").unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn created_objects_carry_the_tenant() {
        let mut object = json!({"kind": "ConfigMap"});
        stamp(&mut object, "t", "acme").unwrap();
        assert_eq!(object["metadata"]["labels"], json!({"t": "acme"}));
        stamp(&mut object, "t", "acme").unwrap();
        let mut lie = json!({"metadata": {"labels": {"t": "globex"}}});
        assert_eq!(
            stamp(&mut lie, "t", "acme").unwrap_err().control,
            Some("tenant-label-change")
        );
        for bad in [
            json!({"metadata": {"labels": "x"}}),
            json!({"metadata": 1}),
            json!([]),
        ] {
            assert_eq!(
                stamp(&mut bad.clone(), "t", "acme").unwrap_err().status,
                400,
                "{bad}"
            );
        }
    }
}
