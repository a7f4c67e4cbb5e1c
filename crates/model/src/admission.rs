//! An admission request, parsed from an `admission.k8s.io/v1` AdmissionReview.

use std::fmt;

use serde::Deserialize;

use crate::json::Json;
use crate::view::Fields;

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Gvk {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// Group, version and resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Gvr {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Version.
    pub version: String,
    /// The plural name in URLs.
    pub resource: String,
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// What is done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object, or a virtual one such as a Binding.
    Create,
    /// A change, by whatever subresource.
    Update,
    /// A removal.
    Delete,
    /// A connection such as exec.
    Connect,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInfo {
    /// Name.
    #[serde(default)]
    pub username: String,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// One request of the API server, whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest<'a> {
    /// Identifies the request; the answer repeats it.
    pub uid: String,
    /// The kind that was sent to us.
    pub kind: Gvk,
    /// The resource that was sent to us.
    pub resource: Gvr,
    /// `ephemeralcontainers`, `resize`, …; none for the object itself.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Empty when the API server is still to generate it.
    #[serde(default)]
    pub name: String,
    /// None for cluster-scoped objects.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is done.
    pub operation: Operation,
    /// Who asks.
    #[serde(default)]
    pub user_info: UserInfo,
    /// The object as it will be.
    #[serde(default)]
    pub object: Option<Json<'a>>,
    /// The object as it was.
    #[serde(default)]
    pub old_object: Option<Json<'a>>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub dry_run: bool,
}

/// Why a body is no AdmissionReview that we can answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or JSON that can be read in two ways.
    #[error("cannot parse the AdmissionReview: {0}")]
    Json(#[from] crate::json::JsonError),
    /// JSON of another shape.
    #[error("not an AdmissionReview of `admission.k8s.io/v1`: {0}")]
    Shape(String),
}

/// Reads the request out of an AdmissionReview.
///
/// # Errors
/// If the body is not JSON without duplicate keys, or not a review of `admission.k8s.io/v1`
/// with a request, or the request lacks a field.
pub fn parse_review(body: &[u8]) -> Result<AdmissionRequest<'_>, ReviewError> {
    let mut review = crate::json::parse(body)?;
    let root = Fields::of(Some(&review));
    if root.str("apiVersion") != Some("admission.k8s.io/v1")
        || root.str("kind") != Some("AdmissionReview")
    {
        return Err(ReviewError::Shape(
            "`apiVersion` and `kind` must be `admission.k8s.io/v1` and `AdmissionReview`".into(),
        ));
    }
    let mut request = review
        .as_object_mut()
        .and_then(|review| review.remove("request"))
        .filter(Json::is_object)
        .ok_or_else(|| ReviewError::Shape("`request` is missing".into()))?;
    // The objects are most of the request, and are moved rather than read again.
    let mut object = |field: &str| {
        let object = request.as_object_mut()?.remove(field)?;
        (!object.is_null()).then_some(object)
    };
    let (object, old_object) = (object("object"), object("oldObject"));
    let fields = Fields::of(Some(&request));
    let request = AdmissionRequest {
        uid: text(fields, "uid")?.to_owned(),
        kind: Gvk {
            group: text_of(fields, "kind", "group")?,
            version: text_of(fields, "kind", "version")?,
            kind: text_of(fields, "kind", "kind")?,
        },
        resource: Gvr {
            group: text_of(fields, "resource", "group")?,
            version: text_of(fields, "resource", "version")?,
            resource: text_of(fields, "resource", "resource")?,
        },
        sub_resource: optional(fields, "subResource")?.map(str::to_owned),
        name: optional(fields, "name")?.unwrap_or_default().to_owned(),
        namespace: optional(fields, "namespace")?.map(str::to_owned),
        operation: operation(text(fields, "operation")?)?,
        user_info: user_info(fields)?,
        object,
        old_object,
        dry_run: match fields.get("dryRun") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| wrong("dryRun", "boolean"))?,
        },
    };
    if request.uid.is_empty() {
        return Err(ReviewError::Shape("`request.uid` is empty".into()));
    }
    Ok(request)
}

fn wrong(field: &str, expected: &str) -> ReviewError {
    ReviewError::Shape(format!("`request.{field}` is not a {expected}"))
}

fn optional<'a>(fields: Fields<'a>, key: &str) -> Result<Option<&'a str>, ReviewError> {
    fields
        .get(key)
        .map(|value| value.as_str().ok_or_else(|| wrong(key, "string")))
        .transpose()
}

fn text<'a>(fields: Fields<'a>, key: &str) -> Result<&'a str, ReviewError> {
    optional(fields, key)?.ok_or_else(|| ReviewError::Shape(format!("`request.{key}` is missing")))
}

/// A string of `kind` or `resource`. Only their groups may be left out: the core group is empty.
fn text_of(fields: Fields<'_>, of: &str, key: &str) -> Result<String, ReviewError> {
    let inner = fields.at(of);
    let path = || format!("{of}.{key}");
    match inner.get(key) {
        Some(value) => value.as_str().ok_or_else(|| wrong(&path(), "string")),
        None if key == "group" => Ok(""),
        None => Err(ReviewError::Shape(format!(
            "`request.{}` is missing",
            path()
        ))),
    }
    .map(str::to_owned)
}

fn operation(text: &str) -> Result<Operation, ReviewError> {
    match text {
        "CREATE" => Ok(Operation::Create),
        "UPDATE" => Ok(Operation::Update),
        "DELETE" => Ok(Operation::Delete),
        "CONNECT" => Ok(Operation::Connect),
        _ => Err(wrong("operation", "CREATE, UPDATE, DELETE or CONNECT")),
    }
}

fn user_info(fields: Fields<'_>) -> Result<UserInfo, ReviewError> {
    let user = fields.at("userInfo");
    let groups = user.list("groups").iter().map(|group| {
        let group = group.as_str();
        group
            .map(str::to_owned)
            .ok_or_else(|| wrong("userInfo.groups", "list of strings"))
    });
    Ok(UserInfo {
        username: user.str("username").unwrap_or_default().to_owned(),
        groups: groups.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "CREATE", "namespace": "acme-dev",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "object": {"kind": "Pod"}, "oldObject": null, "futureField": 1,
            },
        })
    }

    #[test]
    fn a_review_is_read() {
        let text = review().to_string();
        let request = parse_review(text.as_bytes()).unwrap();
        assert_eq!(request.operation, Operation::Create);
        assert_eq!(request.object, Some(json!({"kind": "Pod"}).into()));
        assert_eq!(request.old_object, None);
        assert_eq!(request.sub_resource, None);
    }

    #[test]
    fn anything_else_is_an_error() {
        for (pointer, value) in [
            ("/apiVersion", json!("admission.k8s.io/v1beta1")),
            ("/kind", json!("Pod")),
            ("/request", json!(null)),
            ("/request/uid", json!("")),
            ("/request/operation", json!("PATCH")),
            ("/request/resource", json!("pods")),
        ] {
            let mut bad = review();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(
                parse_review(bad.to_string().as_bytes()).is_err(),
                "{pointer}"
            );
        }
    }
}
