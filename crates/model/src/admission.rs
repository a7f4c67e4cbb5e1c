//! An admission request, parsed from an `admission.k8s.io/v1` AdmissionReview.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

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
pub struct AdmissionRequest {
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
    pub object: Option<Value>,
    /// The object as it was.
    #[serde(default)]
    pub old_object: Option<Value>,
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
pub fn parse_review(body: &[u8]) -> Result<AdmissionRequest, ReviewError> {
    let mut review = crate::json::parse(body)?;
    let is =
        |field: &str, expected: &str| review.get(field).and_then(Value::as_str) == Some(expected);
    if !is("apiVersion", "admission.k8s.io/v1") || !is("kind", "AdmissionReview") {
        return Err(ReviewError::Shape(
            "`apiVersion` and `kind` must be `admission.k8s.io/v1` and `AdmissionReview`".into(),
        ));
    }
    let mut request = review
        .get_mut("request")
        .map(Value::take)
        .ok_or_else(|| ReviewError::Shape("`request` is missing".into()))?;
    // The objects are most of the request and need no second reading.
    let mut object = |field: &str| {
        let object = request.as_object_mut()?.remove(field)?;
        (!object.is_null()).then_some(object)
    };
    let (object, old_object) = (object("object"), object("oldObject"));
    let request: AdmissionRequest = serde_json::from_value(request)
        .map_err(|error| ReviewError::Shape(format!("`request`: {error}")))?;
    let request = AdmissionRequest {
        object,
        old_object,
        ..request
    };
    if request.uid.is_empty() {
        return Err(ReviewError::Shape("`request.uid` is empty".into()));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let request = parse_review(review().to_string().as_bytes()).unwrap();
        assert_eq!(request.operation, Operation::Create);
        assert_eq!(request.object, Some(json!({"kind": "Pod"})));
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
