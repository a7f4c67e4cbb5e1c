//! A refusal, in the API server's own words where it has words for the case.

use serde_json::{Value, json};

/// Why a request is not served, and how that is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denial {
    /// HTTP status.
    pub status: u16,
    /// The machine-readable reason of a Kubernetes Status; clients branch on it.
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// The object that the refusal is about.
    pub details: Option<Box<Details>>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// The control that refused, for the audit line.
    pub control: Option<&'static str>,
}

/// The object that a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Its name, if one was asked for.
    pub name: Option<String>,
    /// Its API group; empty for the core group.
    pub group: String,
    /// Its plural resource name (Kubernetes calls the field `kind`).
    pub kind: String,
}

/// The control that keeps tenants inside their own namespaces.
pub(crate) const FOREIGN_NAMESPACE: &str = "foreign-namespace";
/// The control that guards the labels which make a namespace a tenant's.
pub(crate) const TENANT_LABEL_CHANGE: &str = "tenant-label-change";
/// The control that keeps status and bindings to the platform's own components.
pub(crate) const STATUS_WRITE: &str = "status-write";

impl Denial {
    fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
            control: None,
        }
    }

    /// 400: the request cannot be understood, or could be understood in two ways.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: nobody that we know.
    #[must_use]
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "Unauthorized", message)
    }

    /// 403: understood, and not allowed.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 404 for an object, as the API server words it.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let qualified = if group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{group}")
        };
        Self {
            details: Some(Box::new(Details {
                name: Some(name.to_owned()),
                group: group.to_owned(),
                kind: resource.to_owned(),
            })),
            ..Self::new(404, "NotFound", format!("{qualified} \"{name}\" not found"))
        }
    }

    /// 404 for a path or a kind, as the API server words it.
    #[must_use]
    pub fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 405: the method makes no sense there.
    #[must_use]
    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 406: none of the forms that the client accepts is one that we answer in.
    #[must_use]
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: the state that is asked for is no longer known; clients list again from the start.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 422: parameters that contradict each other.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 413: the body is too large.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 414: the target is too long.
    #[must_use]
    pub fn target_too_long(message: impl Into<String>) -> Self {
        Self::new(414, "BadRequest", message)
    }

    /// 415: a body in a form that we do not read.
    #[must_use]
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 501: Kubernetes has it, this gateway has not.
    #[must_use]
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", message)
    }

    /// 500: our fault; the message says no more than an id to search the log for.
    #[must_use]
    pub fn internal(incident: &str) -> Self {
        Self::new(
            500,
            "InternalError",
            format!(
                "the gateway could not serve this request; the operator finds the cause under incident {incident}"
            ),
        )
    }

    /// 429: more than is allowed, and after how many seconds to try again. Clients of Kubernetes
    /// wait as they are told by the header that this becomes.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429, "TooManyRequests", message)
        }
    }

    /// 503: something that we need is not there now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(503, "ServiceUnavailable", message)
        }
    }

    /// The same refusal with the name of the control that gave it.
    #[must_use]
    pub fn by(mut self, control: &'static str) -> Self {
        self.control = Some(control);
        self
    }

    /// The same refusal, saying which object it is about.
    #[must_use]
    pub fn about(mut self, group: &str, resource: &str, name: Option<&str>) -> Self {
        self.details = Some(Box::new(Details {
            name: name.map(str::to_owned),
            group: group.to_owned(),
            kind: resource.to_owned(),
        }));
        self
    }

    /// The Kubernetes Status object that goes to the client.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.status,
        });
        let mut details = serde_json::Map::new();
        if let Some(about) = &self.details {
            if let Some(name) = &about.name {
                details.insert("name".into(), name.as_str().into());
            }
            if !about.group.is_empty() {
                details.insert("group".into(), about.group.as_str().into());
            }
            details.insert("kind".into(), about.kind.as_str().into());
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".into(), seconds.into());
        }
        if let (false, Some(object)) = (details.is_empty(), status.as_object_mut()) {
            object.insert("details".into(), details.into());
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_reads_as_the_api_server_words_it() {
        assert_eq!(
            Denial::not_found("", "namespaces", "globex-app").to_status(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "namespaces \"globex-app\" not found", "reason": "NotFound",
                "details": {"name": "globex-app", "kind": "namespaces"}, "code": 404,
            })
        );
        assert_eq!(
            Denial::not_found("apps", "deployments", "x").message,
            "deployments.apps \"x\" not found"
        );
    }

    #[test]
    fn the_control_is_for_the_audit_and_not_in_the_answer() {
        let denial = Denial::not_found("", "namespaces", "x").by(FOREIGN_NAMESPACE);
        assert!(!denial.to_status().to_string().contains(FOREIGN_NAMESPACE));
    }

    #[test]
    fn a_wait_is_told_in_seconds() {
        let status = Denial::unavailable("not yet", 2).to_status();
        assert_eq!(status["details"], json!({"retryAfterSeconds": 2}));
        assert_eq!(status["code"], 503);
    }
}
