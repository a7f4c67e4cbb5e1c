//! Requests to change the protocol, read into what both ends know of it. Two protocols carry what is
//! typed into containers and what is sent to their ports: WebSocket, and SPDY before it.

use bulkhead_scope::{Connection, Denial};
use bulkhead_serve::{Body, empty};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

use crate::headers::one;

/// What comes after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    WebSocket,
    Spdy,
}

/// A change of the protocol that a client asks for, in values of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upgrade {
    protocol: Protocol,
    /// What may be spoken inside, the best first.
    offered: Vec<&'static str>,
    /// The client's nonce in base64, for WebSockets.
    key: String,
}

const STREAM_VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What is spoken inside a WebSocket to a process.
const CHANNELS: &[&str] = &[
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];
/// What is spoken inside a WebSocket to a port.
const PORTS: &[&str] = &[
    "SPDY/3.1+portforward.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
];
/// What is spoken inside SPDY to a process.
const STREAMS: &[&str] = &[
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
];
/// What is spoken inside SPDY to a port.
const FORWARDS: &[&str] = &["portforward.k8s.io"];

/// What a client asks for; none if it asks for an answer, as most do.
///
/// # Errors
/// 400 if the request makes a connection and does not say how, or says it in two ways; 501 for
/// every other change.
pub(crate) fn asked(
    head: &Parts,
    connection: Option<Connection>,
) -> Result<Option<Upgrade>, Denial> {
    let headers = &head.headers;
    let named = match (one(headers, &header::UPGRADE)?, connection) {
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(Denial::not_implemented(
                "this gateway changes no protocols, but for exec, attach and port-forward: leave out the `Upgrade` header",
            ));
        }
        (None, Some(_)) => {
            return Err(Denial::bad_request(
                "exec, attach and port-forward need the `Upgrade` header `websocket` or `SPDY/3.1`",
            ));
        }
        (Some(named), Some(_)) => named,
    };
    let protocol = if named.eq_ignore_ascii_case("websocket") {
        Protocol::WebSocket
    } else if named.eq_ignore_ascii_case("spdy/3.1") {
        Protocol::Spdy
    } else {
        return Err(Denial::bad_request(
            "the `Upgrade` header must be `websocket` or `SPDY/3.1`",
        ));
    };
    if head.version != Version::HTTP_11 {
        return Err(Denial::bad_request(
            "the protocol is changed over HTTP/1.1 only",
        ));
    }
    if !tokens(headers, &header::CONNECTION)?
        .iter()
        .any(|token| token.eq_ignore_ascii_case("upgrade"))
    {
        return Err(Denial::bad_request(
            "the `Connection` header must name `Upgrade`",
        ));
    }
    let (list, known) = match (protocol, connection) {
        (Protocol::WebSocket, Some(Connection::PortForward)) => {
            (header::SEC_WEBSOCKET_PROTOCOL, PORTS)
        }
        (Protocol::WebSocket, _) => (header::SEC_WEBSOCKET_PROTOCOL, CHANNELS),
        (Protocol::Spdy, Some(Connection::PortForward)) => (STREAM_VERSION, FORWARDS),
        (Protocol::Spdy, _) => (STREAM_VERSION, STREAMS),
    };
    let mut offered = Vec::new();
    // What we do not know is left out: a token among them, too, which would sign in upstream.
    for token in tokens(headers, &list)? {
        if let Some(name) = known.iter().find(|name| **name == token)
            && !offered.contains(name)
        {
            offered.push(*name);
        }
    }
    if offered.is_empty() {
        return Err(Denial::bad_request(format!(
            "the header `{list}` names nothing that is spoken here: expected {}",
            known.join(" or ")
        )));
    }
    let key = match protocol {
        Protocol::WebSocket => key(headers)?,
        Protocol::Spdy => String::new(),
    };
    Ok(Some(Upgrade {
        protocol,
        offered,
        key,
    }))
}

impl Upgrade {
    /// The headers that ask upstream for it.
    pub(crate) fn request_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(self.name()));
        match self.protocol {
            Protocol::WebSocket => {
                headers.insert(
                    header::SEC_WEBSOCKET_VERSION,
                    HeaderValue::from_static("13"),
                );
                let lists = [
                    (header::SEC_WEBSOCKET_KEY, self.key.clone()),
                    (header::SEC_WEBSOCKET_PROTOCOL, self.offered.join(", ")),
                ];
                for (name, text) in lists {
                    if let Ok(value) = HeaderValue::from_str(&text) {
                        headers.insert(name, value);
                    }
                }
            }
            Protocol::Spdy => {
                for name in &self.offered {
                    headers.append(STREAM_VERSION, HeaderValue::from_static(name));
                }
            }
        }
    }

    /// The client's answer, from upstream's; none if upstream has changed to something else than
    /// was asked for.
    pub(crate) fn response(&self, upstream: &HeaderMap) -> Option<Response<Body>> {
        let text = |name: &HeaderName| upstream.get(name).and_then(|value| value.to_str().ok());
        if !text(&header::UPGRADE)?.eq_ignore_ascii_case(self.name()) {
            return None;
        }
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(self.name()));
        let list = match self.protocol {
            Protocol::WebSocket => {
                let proof =
                    text(&header::SEC_WEBSOCKET_ACCEPT).filter(|text| is_base64(text, 27, "="))?;
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, proof.parse().ok()?);
                header::SEC_WEBSOCKET_PROTOCOL
            }
            Protocol::Spdy => STREAM_VERSION,
        };
        let chosen = text(&list)?;
        let chosen = self.offered.iter().find(|name| **name == chosen)?;
        headers.insert(list, HeaderValue::from_static(chosen));
        Some(response)
    }

    fn name(&self) -> &'static str {
        match self.protocol {
            Protocol::WebSocket => "websocket",
            Protocol::Spdy => "SPDY/3.1",
        }
    }
}

/// The client's nonce: 16 bytes.
fn key(headers: &HeaderMap) -> Result<String, Denial> {
    if one(headers, &header::SEC_WEBSOCKET_VERSION)? != Some("13") {
        return Err(Denial::bad_request(
            "the header `sec-websocket-version` must be `13`",
        ));
    }
    one(headers, &header::SEC_WEBSOCKET_KEY)?
        .filter(|text| is_base64(text, 22, "=="))
        .map(str::to_owned)
        .ok_or_else(|| {
            Denial::bad_request("the header `sec-websocket-key` must be 16 bytes in base64")
        })
}

fn is_base64(text: &str, digits: usize, padding: &str) -> bool {
    text.strip_suffix(padding).is_some_and(|rest| {
        rest.len() == digits
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
    })
}

/// The words of a header that is a list, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, Denial> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let text = value
            .to_str()
            .map_err(|_| Denial::bad_request(format!("the header `{name}` is no ASCII text")))?;
        all.extend(text.split(',').map(str::trim).filter(|t| !t.is_empty()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn read(
        pairs: &[(&str, &str)],
        connection: Option<Connection>,
    ) -> Result<Option<Upgrade>, (u16, String)> {
        let mut request = Request::builder().version(Version::HTTP_11);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        asked(&head, connection).map_err(|denial| (denial.status, denial.message))
    }

    fn printed(upgrade: &Upgrade) -> Vec<String> {
        let mut headers = HeaderMap::new();
        upgrade.request_headers(&mut headers);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        headers.iter().map(line).collect()
    }

    #[test]
    fn a_web_socket_is_asked_for_in_our_words_and_no_token_goes_along() {
        let asked = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-extensions", "permessage-deflate"),
            (
                "sec-websocket-protocol",
                "v6.channel.k8s.io, v5.channel.k8s.io,base64url.bearer.authorization.k8s.io.c2VjcmV0",
            ),
            (
                "sec-websocket-protocol",
                "channel.k8s.io, v5.channel.k8s.io",
            ),
        ];
        let upgrade = read(&asked, Some(Connection::Exec)).unwrap().unwrap();
        assert_eq!(
            printed(&upgrade),
            [
                "connection: Upgrade",
                "upgrade: websocket",
                "sec-websocket-version: 13",
                &format!("sec-websocket-key: {KEY}"),
                "sec-websocket-protocol: v5.channel.k8s.io, channel.k8s.io",
            ]
        );
    }

    #[test]
    fn spdy_offers_each_version_on_a_line() {
        let asked = [
            ("upgrade", "SPDY/3.1"),
            ("connection", "Upgrade"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v9.channel.k8s.io"),
            ("x-stream-protocol-version", "channel.k8s.io"),
        ];
        let upgrade = read(&asked, Some(Connection::Attach)).unwrap().unwrap();
        assert_eq!(
            printed(&upgrade),
            [
                "connection: Upgrade",
                "upgrade: SPDY/3.1",
                "x-stream-protocol-version: v4.channel.k8s.io",
                "x-stream-protocol-version: channel.k8s.io",
            ]
        );
    }

    #[test]
    fn other_changes_and_half_ones_are_refused() {
        let exec = Some(Connection::Exec);
        let socket = ("upgrade", "websocket");
        let changes = ("connection", "Upgrade");
        let version = ("sec-websocket-version", "13");
        let spoken = ("sec-websocket-protocol", "v5.channel.k8s.io");
        let key = ("sec-websocket-key", KEY);
        for (pairs, connection, status, says) in [
            (&[socket, changes][..], None, 501, "changes no protocols"),
            (&[("upgrade", "h2c")], None, 501, "changes no protocols"),
            (&[], exec, 400, "need the `Upgrade` header"),
            (
                &[("upgrade", "h2c"), changes],
                exec,
                400,
                "`websocket` or `SPDY/3.1`",
            ),
            (&[("upgrade", "websocket, h2c")], exec, 400, "must be"),
            (&[socket, socket, changes], exec, 400, "more than once"),
            (&[socket, version, spoken, key], exec, 400, "`Connection`"),
            (
                &[socket, changes, spoken, key],
                exec,
                400,
                "sec-websocket-version",
            ),
            (
                &[socket, changes, version, spoken],
                exec,
                400,
                "sec-websocket-key",
            ),
            (
                &[
                    socket,
                    changes,
                    version,
                    spoken,
                    ("sec-websocket-key", "short"),
                ],
                exec,
                400,
                "16 bytes",
            ),
            (
                &[socket, changes, version, key],
                exec,
                400,
                "names nothing that is spoken",
            ),
            (
                &[
                    socket,
                    changes,
                    version,
                    key,
                    (
                        "sec-websocket-protocol",
                        "base64url.bearer.authorization.k8s.io.x",
                    ),
                ],
                exec,
                400,
                "names nothing that is spoken",
            ),
            (
                &[
                    ("upgrade", "SPDY/3.1"),
                    changes,
                    ("x-stream-protocol-version", "v4.channel.k8s.io"),
                ],
                Some(Connection::PortForward),
                400,
                "expected portforward.k8s.io",
            ),
        ] {
            let (got, message) = read(pairs, connection).unwrap_err();
            assert_eq!(got, status, "{pairs:?}: {message}");
            assert!(message.contains(says), "{pairs:?}: {message}");
        }
        assert_eq!(read(&[], None), Ok(None));
    }

    #[test]
    fn upstream_changes_to_what_was_asked_for_or_not_at_all() {
        let asked = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
        ];
        let upgrade = read(&asked, Some(Connection::Exec)).unwrap().unwrap();
        let answer = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            upgrade.response(&headers)
        };
        let right = [
            ("upgrade", "websocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
            ("set-cookie", "a=b"),
        ];
        let response = answer(&right).unwrap();
        assert_eq!(response.status(), 101);
        assert!(!response.headers().contains_key("set-cookie"));
        for wrong in [
            ("upgrade", "h2c"),
            ("sec-websocket-accept", "no"),
            ("sec-websocket-protocol", "v4.channel.k8s.io"),
        ] {
            assert!(
                answer(&[&right[..], &[wrong]].concat()).is_none(),
                "{wrong:?}"
            );
        }
    }
}
