//! The answer to an AdmissionReview.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulkhead_controls::Addition;
use bulkhead_model::labels;
use serde::Serialize;
use serde_json::{Value, json};

/// What the webhook says to one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Let it in.
    Allowed,
    /// Let it in with these operations (RFC 6902) done to the object.
    Patched(Vec<Addition>),
    /// Let it in, with a word to whoever sent it.
    Warned(Vec<String>),
    /// Keep it out.
    Denied(Denial),
}

/// Why something is kept out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Denial {
    /// HTTP status code.
    pub(crate) code: u16,
    /// The word of the API for it.
    pub(crate) reason: &'static str,
    /// What the person reads.
    pub(crate) message: String,
    /// The fields that are wrong, where the API has a place for them.
    pub(crate) details: Option<Value>,
    /// The controls that refused, for the API server's audit log.
    pub(crate) controls: Vec<&'static str>,
}

impl Denial {
    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code: 403,
            reason: "Forbidden",
            message,
            details: None,
            controls: Vec::new(),
        }
    }

    /// 422 to an object of Bulkhead's own group: each error as a whole, with its field and what is wrong
    /// there.
    pub(crate) fn invalid(
        kind: &str,
        name: &str,
        errors: impl IntoIterator<Item = (String, String, String)>,
    ) -> Self {
        let (mut message, mut causes) = (Vec::new(), Vec::new());
        for (whole, field, wrong) in errors {
            message.push(whole);
            causes.push(json!({"reason": "FieldValueInvalid", "message": wrong, "field": field}));
        }
        Self {
            code: 422,
            reason: "Invalid",
            message: message.join("; "),
            details: Some(json!({
                "name": name, "group": labels::GROUP, "kind": kind, "causes": causes,
            })),
            controls: Vec::new(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<Audit<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
}

/// For the API server's audit log. It puts the webhook's name before each key.
#[derive(Default, Serialize)]
struct Audit<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<String>,
    #[serde(flatten)]
    policy: Option<BTreeMap<&'static str, &'a str>>,
}

/// By which PodSecurityPolicy a pod is let in, for the API server's audit log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Admission {
    /// The annotation's key, without what stands before it.
    pub(crate) key: &'static str,
    /// The policy's name.
    pub(crate) policy: String,
}

impl Answer {
    /// The AdmissionReview that says this.
    pub(crate) fn review(
        &self,
        uid: &str,
        admission: Option<&Admission>,
    ) -> serde_json::Result<Vec<u8>> {
        let mut response = Response {
            uid,
            allowed: !matches!(self, Self::Denied(_)),
            patch_type: None,
            patch: None,
            status: None,
            warnings: &[],
            audit_annotations: None,
        };
        match self {
            Self::Allowed => {}
            Self::Warned(warnings) => response.warnings = warnings,
            Self::Patched(operations) => {
                response.patch_type = Some("JSONPatch");
                response.patch = Some(STANDARD.encode(serde_json::to_vec(operations)?));
            }
            Self::Denied(denial) => {
                response.status = Some(Status {
                    code: denial.code,
                    reason: denial.reason,
                    message: &denial.message,
                    details: denial.details.as_ref(),
                });
                response.audit_annotations = (!denial.controls.is_empty()).then(|| Audit {
                    controls: Some(denial.controls.join(",")),
                    policy: None,
                });
            }
        }
        if let (true, Some(Admission { key, policy })) = (response.allowed, admission) {
            response.audit_annotations = Some(Audit {
                controls: None,
                policy: Some(BTreeMap::from([(*key, policy.as_str())])),
            });
        }
        let review = Review {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response,
        };
        serde_json::to_vec(&review)
    }
}
