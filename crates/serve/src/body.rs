//! Bodies: how they are made, and how they are read without trusting their sender.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Any error that may cross a thread.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response: whole or streamed.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// How long a body may take to arrive, whole. A sender slower than this holds memory that
/// others need.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What is set aside before the first byte has come: a declared length alone costs nothing.
const FIRST_CAPACITY: usize = 64 * 1024;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is, or says that it is, larger than what is taken.
    #[error("the body is larger than {max} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// The connection or stream ended, or its framing broke, before the body did.
    #[error("the body ended before it was complete")]
    Truncated(#[source] BoxError),
    /// It did not arrive in time.
    #[error("the body did not arrive within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl BodyError {
    /// The status that tells the sender what was wrong: 413, 400 or 408.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Truncated(_) => StatusCode::BAD_REQUEST,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Reads a body whole.
///
/// # Errors
/// If it has, or declares, more than `max` bytes, breaks off, or takes longer than 30 seconds.
pub async fn read_body<B>(body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    read_within(READ_TIMEOUT, body, max).await
}

async fn read_within<B>(timeout: Duration, body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    tokio::time::timeout(timeout, collect(body, max))
        .await
        .unwrap_or(Err(BodyError::TimedOut(timeout)))
}

async fn collect<B>(body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > max {
        return Err(BodyError::TooLarge { max });
    }
    let mut body = pin!(body);
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Truncated(error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let have = first.as_ref().map_or(0, Bytes::len).max(rest.len());
        if data.len() > max.saturating_sub(have) {
            return Err(BodyError::TooLarge { max });
        }
        match first.take() {
            // A body of one frame is handed on without a copy.
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(head) => {
                rest.reserve(declared.min(FIRST_CAPACITY).max(head.len() + data.len()));
                rest.extend_from_slice(&head);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of nothing.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A plain-text response.
pub fn text(status: StatusCode, message: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(message));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn frames(parts: &[&'static str], then: Option<&'static str>) -> Body {
        let frames: Vec<Result<Frame<Bytes>, BoxError>> = parts
            .iter()
            .map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))))
            .chain(then.map(|error| Err(error.into())))
            .collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    #[tokio::test]
    async fn frames_are_joined_in_order() {
        for (parts, whole) in [
            (&[][..], ""),
            (&["abc"], "abc"),
            (&["a", "b", "c"], "abc"),
            (&["", "ab", "", "c"], "abc"),
        ] {
            assert_eq!(read_body(frames(parts, None), 3).await.unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn the_limit_counts_all_frames() {
        for parts in [
            &["abcd"][..],
            &["ab", "cd"],
            &["a", "b", "c", "d"],
            &["", "abc", "d"],
        ] {
            let error = read_body(frames(parts, None), 3).await.unwrap_err();
            assert!(
                matches!(error, BodyError::TooLarge { max: 3 }),
                "{parts:?}: {error}"
            );
            assert_eq!(error.status(), 413);
        }
    }

    #[tokio::test]
    async fn a_declared_length_above_the_limit_is_refused_unread() {
        let body = Full::new(Bytes::from_static(b"abcd"));
        assert!(matches!(
            read_body(body, 3).await,
            Err(BodyError::TooLarge { .. })
        ));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let error = read_body(frames(&["a"], Some("reset")), 9)
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::Truncated(_)));
        assert_eq!(error.status(), 400);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_times_out() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let error = read_within(Duration::from_millis(10), never, 9)
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::TimedOut(_)));
        assert_eq!(error.status(), 408);
    }
}
