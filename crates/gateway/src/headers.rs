//! A client's headers. A handful are read, none is passed on.

use bulkhead_scope::Denial;
use http::{HeaderMap, HeaderName, header};

/// Refuses requests whose headers ask for what cannot be given. All other headers that are not
/// read (identities, forwarding, hop by hop) are dropped by never being copied.
pub(crate) fn screen(headers: &HeaderMap) -> Result<(), Denial> {
    if let Some(name) = headers
        .keys()
        .find(|name| name.as_str().starts_with("impersonate-"))
    {
        return Err(Denial::forbidden(format!(
            "the header `{name}` is refused: nobody is impersonated through this gateway (kubectl: leave out `--as`, `--as-group`, `--as-uid`)"
        )));
    }
    match one(headers, &header::CONTENT_ENCODING)? {
        None | Some("identity") => Ok(()),
        Some(_) => Err(Denial::unsupported_media_type(
            "a body with `Content-Encoding` is not taken: send it uncompressed",
        )),
    }
}

/// The only value of a header.
pub(crate) fn one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Denial> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(Denial::bad_request(format!(
                "the header `{name}` is no ASCII text"
            ))),
        },
        (Some(_), Some(_)) => Err(Denial::bad_request(format!(
            "the header `{name}` is given more than once"
        ))),
    }
}

/// What the API server's audit log says of the client's software: printable, at most 256
/// characters of it.
pub(crate) fn user_agent(headers: &HeaderMap) -> String {
    let claimed = headers
        .get(header::USER_AGENT)
        .map_or(&b""[..], |value| value.as_bytes());
    let shown: String = claimed
        .iter()
        .filter(|b| (0x20..0x7f).contains(*b))
        .take(256)
        .map(|b| char::from(*b))
        .collect();
    match shown.trim() {
        "" => concat!("bulkhead-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
        shown => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn impersonation_and_compression_are_refused_and_the_rest_is_dropped_elsewhere() {
        for (name, value, status) in [
            ("impersonate-user", "system:admin", 403),
            ("impersonate-group", "system:masters", 403),
            ("impersonate-extra-scopes", "x", 403),
            ("impersonate-uid", "", 403),
            ("content-encoding", "gzip", 415),
        ] {
            assert_eq!(
                screen(&headers(&[(name, value)])).unwrap_err().status,
                status,
                "{name}"
            );
        }
        for (name, value) in [
            ("connection", "impersonate-user"),
            ("x-remote-user", "admin"),
            ("x-forwarded-for", "10.0.0.1"),
            ("content-encoding", "identity"),
        ] {
            assert_eq!(screen(&headers(&[(name, value)])), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_header_given_twice_is_refused() {
        let twice = headers(&[("content-type", "a/b"), ("content-type", "a/b")]);
        assert_eq!(one(&twice, &header::CONTENT_TYPE).unwrap_err().status, 400);
        let once = headers(&[("content-type", " a/b ")]);
        assert_eq!(one(&once, &header::CONTENT_TYPE), Ok(Some("a/b")));
    }

    #[test]
    fn a_user_agent_is_cut_to_what_a_log_bears() {
        assert_eq!(
            user_agent(&headers(&[("user-agent", "kubectl/v1.36")])),
            "kubectl/v1.36"
        );
        assert!(user_agent(&headers(&[])).starts_with("bulkhead-gateway/"));
        let mut map = HeaderMap::new();
        map.insert(
            header::USER_AGENT,
            http::HeaderValue::from_bytes(b"a\xffb\tc").unwrap(),
        );
        assert_eq!(user_agent(&map), "abc");
    }
}
