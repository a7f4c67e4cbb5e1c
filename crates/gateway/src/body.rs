//! A request's body, parsed. What cannot be read in one way only is refused, and what goes
//! upstream is our own encoding of what was read.

use std::time::Duration;

use bulkhead_model::json;
use bulkhead_scope::{Body, Denial, PatchType, Verb};
use bulkhead_serve::{BodyError, BoxError, read_body};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;

/// The API server's own limit.
pub(crate) const MAX_BODY: usize = 3 * 1024 * 1024;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How much of a body that is too large is still taken and thrown away: many clients read no
/// answer before they have sent all.
const THROWN_AWAY: usize = 16 * 1024 * 1024;
/// For how long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes a body's bytes.
///
/// # Errors
/// 413 if it is too large, 408 if it takes too long, 400 if it breaks off.
pub(crate) async fn read<B>(mut payload: B) -> Result<Bytes, Denial>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let error = match read_body(&mut payload, MAX_BODY).await {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    Err(match error {
        BodyError::TooLarge { .. } => {
            let _ = tokio::time::timeout(PATIENCE, throw_away(payload)).await;
            Denial::too_large(error.to_string())
        }
        BodyError::TimedOut(_) => Denial {
            status: 408,
            reason: "Timeout",
            ..Denial::bad_request(error.to_string())
        },
        BodyError::Truncated(_) => Denial::bad_request(error.to_string()),
    })
}

async fn throw_away(mut payload: impl http_body::Body<Data = Bytes> + Unpin) {
    let mut taken = 0;
    while let Some(Ok(frame)) = payload.frame().await {
        taken += frame.data_ref().map_or(0, Bytes::len);
        if taken > THROWN_AWAY {
            return;
        }
    }
}

/// Reads a body's form.
///
/// # Errors
/// 415 for a form that is not taken for the verb, 400 for bytes that are not of the form.
pub(crate) fn parse(content_type: Option<&str>, bytes: &[u8], verb: Verb) -> Result<Body, Denial> {
    if bytes.is_empty() {
        return Ok(Body::Empty);
    }
    let media = content_type.map(media_type).transpose()?;
    match (verb, media.as_deref()) {
        (Verb::Patch, Some(media)) => {
            let kind = [
                PatchType::Json,
                PatchType::Merge,
                PatchType::Strategic,
                PatchType::Apply,
            ]
            .into_iter()
            .find(|kind| kind.media_type() == media)
            .ok_or_else(|| unsupported("patches", media))?;
            let value = match kind {
                PatchType::Apply if !looks_like_json(bytes) => from_yaml(bytes)?,
                _ => from_json(bytes)?,
            };
            Ok(Body::Patch(kind, value))
        }
        (Verb::Patch, None) => Err(Denial::unsupported_media_type(
            "a patch needs a `Content-Type`",
        )),
        (_, None | Some(JSON)) => Ok(Body::Object(from_json(bytes)?)),
        (_, Some(YAML)) => Ok(Body::Object(from_yaml(bytes)?)),
        (_, Some(PROTOBUF)) => bulkhead_protobuf::to_json(bytes)
            .map(Body::Object)
            .map_err(|error| Denial::bad_request(error.to_string())),
        (_, Some(media)) => Err(unsupported("bodies", media)),
    }
}

fn from_json(bytes: &[u8]) -> Result<Value, Denial> {
    json::parse(bytes)
        .map(Value::from)
        .map_err(|error| Denial::bad_request(format!("the body is no JSON that is taken: {error}")))
}

/// One document of YAML that all readers read alike: upstream would take the first of two documents
/// and drop the other, and the last of two equal keys.
fn from_yaml(bytes: &[u8]) -> Result<Value, Denial> {
    let refused =
        |why: String| Denial::bad_request(format!("the body is no YAML that is taken: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    let parsed = bulkhead_manifests::parse(text);
    if let Some(problem) = parsed.problems.first() {
        let before = text.get(..problem.span.start).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        return Err(refused(format!("line {line}: {}", problem.message)));
    }
    match parsed.documents.as_slice() {
        [document] => Ok(document.to_value()),
        documents => Err(refused(format!(
            "it holds {} documents: expected one",
            documents.len()
        ))),
    }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn unsupported(what: &str, media: &str) -> Denial {
    Denial::unsupported_media_type(format!(
        "{what} of the media type `{media}` are not taken: send JSON or YAML"
    ))
}

/// The media type in lower case. A character set other than UTF-8, or any other parameter,
/// would change what the bytes mean.
fn media_type(text: &str) -> Result<String, Denial> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts {
        let lower = parameter.to_ascii_lowercase();
        if !matches!(lower.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"") {
            return Err(Denial::unsupported_media_type(format!(
                "the `Content-Type` parameter `{parameter}` is not taken"
            )));
        }
    }
    Ok(media)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, bytes: &[u8], verb: Verb) -> Result<Body, u16> {
        let content_type = Some(content_type).filter(|t| !t.is_empty());
        parse(content_type, bytes, verb).map_err(|denial| denial.status)
    }

    #[test]
    fn json_is_read_whatever_the_case_of_its_media_type() {
        let object = Ok(Body::Object(json!({"a": 1})));
        for content_type in [
            "",
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;",
        ] {
            assert_eq!(
                read(content_type, br#"{"a":1}"#, Verb::Create),
                object,
                "{content_type}"
            );
        }
        assert_eq!(read("", b"", Verb::Get), Ok(Body::Empty));
        assert_eq!(read("text/html", b"", Verb::Get), Ok(Body::Empty));
    }

    #[test]
    fn patches_keep_their_kind() {
        for kind in [
            PatchType::Json,
            PatchType::Merge,
            PatchType::Strategic,
            PatchType::Apply,
        ] {
            assert_eq!(
                read(kind.media_type(), b"{}", Verb::Patch),
                Ok(Body::Patch(kind, json!({})))
            );
            assert_eq!(read(kind.media_type(), b"{}", Verb::Create), Err(415));
        }
    }

    #[test]
    fn yaml_is_read_where_there_is_one_reading() {
        let text = b"metadata: &m {name: x}\ndata:\n  a: \"y\"\n  b: |\n    line\ncopy: *m\n";
        let object = json!({"metadata": {"name": "x"}, "data": {"a": "y", "b": "line\n"}, "copy": {"name": "x"}});
        assert_eq!(
            read("application/yaml", text, Verb::Create),
            Ok(Body::Object(object.clone()))
        );
        assert_eq!(
            read(PatchType::Apply.media_type(), text, Verb::Patch),
            Ok(Body::Patch(PatchType::Apply, object))
        );
        let bomb: String = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            format!("{text}a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)
        });
        assert_eq!(
            read("application/yaml", bomb.as_bytes(), Verb::Create),
            Err(400)
        );
        let denial = parse(Some(YAML), b"a: 1\nb:\n  c: 1\n  c: 2\n", Verb::Create).unwrap_err();
        assert!(denial.message.contains("line 4: "), "{}", denial.message);
    }

    #[test]
    fn other_forms_and_broken_ones_are_refused() {
        for (content_type, bytes, verb, status) in [
            ("application/yaml", &b"a: y"[..], Verb::Create, 400),
            ("application/yaml", b"a: 1\na: 2\n", Verb::Create, 400),
            ("application/yaml", b"a: 1\n---\nb: 2\n", Verb::Create, 400),
            ("application/yaml", b"a: [", Verb::Create, 400),
            ("application/yaml", b"\xff", Verb::Create, 400),
            ("application/yaml", b"# nothing\n", Verb::Create, 400),
            ("application/yaml", b"a: 1", Verb::Patch, 415),
            ("application/x-yaml", b"a: 1", Verb::Create, 415),
            ("application/cbor", b"\xd9\xd9\xf7\xa0", Verb::Create, 415),
            ("application/json; charset=utf-16", b"{}", Verb::Create, 415),
            ("application/json; x=y", b"{}", Verb::Create, 415),
            ("multipart/form-data", b"{}", Verb::Create, 415),
            ("", b"{}", Verb::Patch, 415),
            ("application/json", b"{}", Verb::Patch, 415),
            (PROTOBUF, b"k8s\0", Verb::Patch, 415),
            ("application/apply-patch+cbor", b"{}", Verb::Patch, 415),
            (
                "application/apply-patch+yaml",
                b"kind: Pod\nkind: Node\n",
                Verb::Patch,
                400,
            ),
            (
                "application/apply-patch+yaml",
                br#"{"a":1,"a":2}"#,
                Verb::Patch,
                400,
            ),
            (
                "application/json",
                br#"{"spec":{"a":1,"a":2}}"#,
                Verb::Create,
                400,
            ),
            ("application/json", br#"{"a":1"#, Verb::Create, 400),
            ("application/json", b"{} {}", Verb::Create, 400),
            ("application/json", b"a: y", Verb::Create, 400),
            (PROTOBUF, b"{}", Verb::Create, 400),
            (PROTOBUF, b"k8s\0junk", Verb::Create, 400),
        ] {
            assert_eq!(
                read(content_type, bytes, verb),
                Err(status),
                "{content_type} {verb}"
            );
        }
        let denial = parse(Some(JSON), br#"{"spec":{"a":1,"a":2}}"#, Verb::Create).unwrap_err();
        assert_eq!(
            denial.message,
            "the body is no JSON that is taken: line 1, column 18: duplicate key `a`"
        );
    }
}
