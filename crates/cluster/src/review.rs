//! Having tokens reviewed.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::error::{ClusterError, Failure};
use crate::transport::{Payload, call};

/// Whom a token stands for, in the API server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUser {
    /// User name, such as `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// UID; empty if the authenticator gave none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl Cluster {
    /// Whom a token stands for, if it is valid for the audience. None: it is not.
    ///
    /// # Errors
    /// [`ClusterError::ReviewToken`] if the API server gives no answer; nothing is known of the
    /// token then. No error holds the token.
    pub async fn review_token(
        &self,
        token: &str,
        audience: &str,
    ) -> Result<Option<TokenUser>, ClusterError> {
        self.review(
            json!({"token": token, "audiences": [audience]}),
            Some(audience),
        )
        .await
    }

    /// The same of a token whose authenticator knows no audiences: one for the API server itself.
    /// Whoever asks has made sure by the token's form that it is no ServiceAccount's.
    ///
    /// # Errors
    /// As [`Self::review_token`].
    pub async fn review_token_without_audience(
        &self,
        token: &str,
    ) -> Result<Option<TokenUser>, ClusterError> {
        self.review(json!({"token": token}), None).await
    }

    async fn review(
        &self,
        spec: Value,
        audience: Option<&str>,
    ) -> Result<Option<TokenUser>, ClusterError> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": spec,
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        call(&self.client, Method::POST, path, Payload::Json(&review))
            .await
            .and_then(|answer| verdict(&answer, audience))
            .map_err(|source| ClusterError::ReviewToken { source })
    }
}

impl Cluster {
    /// Whether somebody has a right: `spec` is that of a SubjectAccessReview.
    ///
    /// # Errors
    /// [`ClusterError::ReviewAccess`] if the API server gives no answer; nothing is known of the
    /// right then.
    pub async fn review_access(&self, spec: &Value) -> Result<bool, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec,
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = call(&self.client, Method::POST, path, Payload::Json(&review)).await;
        let allowed = answer.and_then(|answer| {
            let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
            allowed.ok_or_else(|| Failure::Answer {
                problem: "`status.allowed` is missing".to_owned(),
            })
        });
        allowed.map_err(|source| ClusterError::ReviewAccess { source })
    }
}

/// A token counts if it is authenticated, without an error, and for our audience. An
/// authenticator that knows no audiences leaves them out: its tokens are for the API server.
fn verdict(answer: &Value, audience: Option<&str>) -> Result<Option<TokenUser>, Failure> {
    let status = answer.get("status").ok_or_else(|| Failure::Answer {
        problem: "`status` is missing".to_owned(),
    })?;
    let authenticated = status.get("authenticated") == Some(&Value::Bool(true));
    let clean = status
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty();
    let strings = |value: Option<&Value>| -> Vec<String> {
        let array = value
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        array
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let ours = audience.is_none_or(|audience| {
        let audiences = strings(status.get("audiences"));
        audiences.iter().any(|other| other == audience)
    });
    if !(authenticated && clean && ours) {
        return Ok(None);
    }
    let user = |field: &str| status.get("user").and_then(|user| user.get(field));
    let text = |field: &str| {
        user(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let user = TokenUser {
        username: text("username"),
        uid: text("uid"),
        groups: strings(user("groups")),
    };
    Ok((!user.username.is_empty()).then_some(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_authenticated_token_for_our_audience_counts() {
        let user = json!({"username": "system:serviceaccount:ci:bot", "uid": "u", "groups": ["g"]});
        let good = json!({"authenticated": true, "audiences": ["ours"], "user": user});
        let expected = TokenUser {
            username: "system:serviceaccount:ci:bot".to_owned(),
            uid: "u".to_owned(),
            groups: vec!["g".to_owned()],
        };
        let judge = |status: &Value| verdict(&json!({"status": status}), Some("ours")).unwrap();
        assert_eq!(judge(&good), Some(expected));
        for (field, value) in [
            ("authenticated", json!(false)),
            ("authenticated", json!("true")),
            ("authenticated", Value::Null),
            ("audiences", json!(["https://kubernetes.default.svc"])),
            ("audiences", json!([])),
            ("audiences", Value::Null),
            ("error", json!("audience mismatch")),
            ("user", json!({"groups": ["system:masters"]})),
        ] {
            let mut bad = good.clone();
            bad[field] = value.clone();
            assert_eq!(judge(&bad), None, "{field}: {value}");
        }
        assert!(verdict(&json!({}), Some("ours")).is_err());
        let mut none = good.clone();
        none["audiences"] = Value::Null;
        let judge = |status: &Value| verdict(&json!({"status": status}), None).unwrap();
        assert!(judge(&none).is_some());
        none["authenticated"] = json!(false);
        assert_eq!(judge(&none), None);
    }
}
