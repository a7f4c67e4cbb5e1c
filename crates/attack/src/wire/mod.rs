//! HTTP/1.1 over TLS, by hand: requests are bytes that we write, so that any target, header or
//! body can be sent, also those that no client library would send.

mod client;
mod read;
mod request;

pub use client::{Client, WireError};
pub use request::Request;

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer encoding.
    pub body: Vec<u8>,
    /// Whether the deadline came before the body's end, as with a watch that goes on.
    pub unfinished: bool,
}

impl Response {
    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, broken characters replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What a person would read: the `message` of a Status, else the whole body.
    #[must_use]
    pub fn message(&self) -> String {
        let json = self.json();
        let is_status = json.get("kind").and_then(Value::as_str) == Some("Status");
        match json.get("message").and_then(Value::as_str) {
            Some(message) if is_status => message.to_owned(),
            _ => self.text(),
        }
    }

    /// Whether the request was carried out.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) || self.status == 101
    }
}
