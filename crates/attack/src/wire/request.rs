//! A request, and its bytes.

use serde_json::Value;

/// One request, exactly as it goes out.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
}

impl Request {
    /// A request without body. The target is written as it is, unescaped.
    #[must_use]
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            raw: None,
        }
    }

    /// What it asks for: path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// A GET.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A DELETE without body.
    #[must_use]
    pub fn delete(target: impl Into<String>) -> Self {
        Self::new("DELETE", target)
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post(target: impl Into<String>, object: &Value) -> Self {
        Self::new("POST", target).json(object)
    }

    /// A PUT of JSON.
    #[must_use]
    pub fn put(target: impl Into<String>, object: &Value) -> Self {
        Self::new("PUT", target).json(object)
    }

    /// A PATCH of one of the API server's media types, such as `application/merge-patch+json`.
    #[must_use]
    pub fn patch(target: impl Into<String>, media_type: &str, patch: &Value) -> Self {
        Self::new("PATCH", target).body(media_type, patch.to_string())
    }

    /// Bytes that are sent as they are, whatever they mean. The credential's header is not added:
    /// use client certificates.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            raw: Some(bytes.into()),
            ..Self::new("GET", "/")
        }
    }

    /// Adds a header, unescaped.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media_type)
    }

    fn json(self, object: &Value) -> Self {
        self.body("application/json", object.to_string())
    }

    /// Whether the answer has no body, whatever its headers say.
    pub(crate) fn is_head(&self) -> bool {
        self.raw.is_none() && self.method == "HEAD"
    }

    /// Whether the connection may be used again afterwards.
    pub(crate) fn is_orderly(&self) -> bool {
        self.raw.is_none()
    }

    /// The bytes of the request. `Host`, `Accept` and `Content-Length` are added unless given.
    pub(crate) fn encode(&self, host: &str, bearer: Option<&str>, keep: bool) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let given = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        };
        if !given("host") {
            line("Host", host);
        }
        if !given("accept") {
            line("Accept", "application/json");
        }
        if let Some(token) = bearer {
            line("Authorization", &format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        let sends_body =
            !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        if sends_body && !given("content-length") && !given("transfer-encoding") {
            line("Content-Length", &self.body.len().to_string());
        }
        if !keep && !given("connection") {
            line("Connection", "close");
        }
        out.push_str("\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_sent() {
        let request = Request::patch(
            "/api//v1/%2f?a=1;b",
            "application/merge-patch+json",
            &json!({"a": 1}),
        )
        .header("Connection", "Impersonate-User");
        let text = String::from_utf8(request.encode("h:1", Some("t"), false)).unwrap();
        assert_eq!(
            text,
            "PATCH /api//v1/%2f?a=1;b HTTP/1.1\r\nHost: h:1\r\nAccept: application/json\r\nAuthorization: Bearer t\r\n\
             Content-Type: application/merge-patch+json\r\nConnection: Impersonate-User\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
        );
    }

    #[test]
    fn raw_bytes_stay_raw() {
        assert_eq!(Request::raw("x\n").encode("h", Some("t"), true), b"x\n");
    }
}
