//! One request and its answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::Lane;
use super::connection::Place;

/// How long the API server may be silent in the middle of an answer that has an end.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer whose body streams.
pub(crate) type Answer = Response<AnswerBody>;

/// Why no answer came.
pub(super) struct Lost {
    pub(super) error: h2::Error,
    /// Whether it is certain that the API server has not acted on the request.
    pub(super) unprocessed: bool,
}

/// Sends a request and waits for the answer's head. Whoever stops waiting resets the stream.
pub(super) async fn exchange(
    place: Place,
    request: &Request<Bytes>,
    lane: Lane,
) -> Result<Answer, Lost> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.headers = request.headers().clone();
    let body = request.body().clone();
    let unsent = |error| Lost {
        error,
        unprocessed: true,
    };
    let sent = match place.sender().ready().await {
        Ok(mut sender) => sender.send_request(Request::from_parts(head, ()), body.is_empty()),
        Err(error) => Err(error),
    };
    let (answer, mut stream) = sent.map_err(|error| {
        place.close();
        unsent(error)
    })?;
    if !body.is_empty() {
        // As much as the window lets through goes at once, and the rest waits for it: it is in
        // memory as it is.
        stream.send_data(body, true).map_err(lost)?;
    }
    match answer.await {
        Ok(answer) => Ok(answer.map(|stream| AnswerBody {
            stream,
            silence: (lane == Lane::Call).then_some(None),
            _place: place,
        })),
        Err(error) => {
            if error.is_go_away() || error.is_io() {
                place.close();
            }
            Err(lost(error))
        }
    }
}

fn lost(error: h2::Error) -> Lost {
    // Both say of a stream that it has not been looked at (RFC 9113, sections 6.8 and 8.7).
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let above_the_last = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    Lost {
        unprocessed: error.is_remote() && (refused || above_the_last),
        error,
    }
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the stream ends early")]
    Stream(#[source] h2::Error),
    #[error("the API server has been silent for {} s", SILENCE.as_secs())]
    Silent,
}

/// An answer's body. No more of it is fetched than is taken, and dropping it ends the stream.
pub(crate) struct AnswerBody {
    stream: RecvStream,
    /// The time since which more is awaited, where silence has an end.
    silence: Option<Option<Pin<Box<Sleep>>>>,
    _place: Place,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(data) = this.stream.poll_data(context) else {
            if let Some(silence) = &mut this.silence {
                let silence = silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE)));
                ready!(silence.as_mut().poll(context));
                return Poll::Ready(Some(Err(BodyError::Silent)));
            }
            return Poll::Pending;
        };
        if let Some(silence) = &mut this.silence {
            *silence = None;
        }
        Poll::Ready(match data {
            Some(Ok(data)) => {
                // The window that was taken opens again as the client reads on.
                let released = this.stream.flow_control().release_capacity(data.len());
                Some(match released {
                    Ok(()) => Ok(Frame::data(data)),
                    Err(error) => Err(BodyError::Stream(error)),
                })
            }
            // The API server has said all and ends the stream so (RFC 9113, section 8.1).
            Some(Err(error)) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                None
            }
            Some(Err(error)) => Some(Err(BodyError::Stream(error))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
