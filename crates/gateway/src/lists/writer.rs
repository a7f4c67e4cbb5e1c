//! An answer that is whole if it is small, and streams if it is not.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bulkhead_serve::{Body, BoxError, full};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};

/// As long as no more than this has been written, what goes wrong is still told as it should be.
/// After that a failure can only break the answer off.
pub(crate) const WHOLE: usize = 4 * 1024 * 1024;
/// How much is handed on at a time, once it streams.
const PIECE: usize = 64 * 1024;

/// Where the work writes to.
pub(crate) struct Writer {
    buffer: Vec<u8>,
    whole: usize,
    piece: usize,
    begun: Option<oneshot::Sender<()>>,
    pieces: mpsc::Sender<Bytes>,
}

impl Writer {
    /// A writer that keeps all that is written.
    pub(crate) fn whole() -> Self {
        let (pieces, _) = mpsc::channel(1);
        Self {
            buffer: Vec::new(),
            whole: usize::MAX,
            piece: usize::MAX,
            begun: None,
            pieces,
        }
    }

    /// What has been written and not been handed on.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }

    /// Writes. Waits while the client takes nothing.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        let most = match self.begun {
            Some(_) => self.whole,
            None => self.piece,
        };
        if self.buffer.len() > most {
            if let Some(begun) = self.begun.take() {
                let _ = begun.send(());
            }
            // Without a receiver nobody polls this any more.
            let _ = self
                .pieces
                .send(Bytes::from(std::mem::take(&mut self.buffer)))
                .await;
        }
    }
}

/// Runs `work` as the client reads. What is written goes out at once.
pub(crate) fn stream<W>(work: impl FnOnce(Writer) -> W) -> Body
where
    W: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let (pieces, receiver) = mpsc::channel(2);
    let work = work(Writer {
        buffer: Vec::new(),
        whole: 0,
        piece: 0,
        begun: None,
        pieces,
    });
    Streamed {
        pieces: receiver,
        work: Some(Box::pin(async move {
            work.await?;
            Ok(Bytes::new())
        })),
    }
    .boxed_unsync()
}

/// Runs `work` until it has ended, or written more than [`WHOLE`] bytes.
///
/// # Errors
/// The work's own, if it ends with one before.
pub(crate) async fn answer<E, W>(work: impl FnOnce(Writer) -> W) -> Result<Body, E>
where
    E: Into<BoxError> + 'static,
    W: Future<Output = Result<Writer, E>> + Send + 'static,
{
    answer_within(WHOLE, work).await
}

async fn answer_within<E, W>(whole: usize, work: impl FnOnce(Writer) -> W) -> Result<Body, E>
where
    E: Into<BoxError> + 'static,
    W: Future<Output = Result<Writer, E>> + Send + 'static,
{
    let (begun, begins) = oneshot::channel();
    let (pieces, receiver) = mpsc::channel(2);
    let mut work = Box::pin(work(Writer {
        buffer: Vec::new(),
        whole,
        piece: PIECE,
        begun: Some(begun),
        pieces,
    }));
    tokio::select! {
        done = &mut work => Ok(full(done?.buffer)),
        _ = begins => Ok(Streamed {
            pieces: receiver,
            work: Some(Box::pin(async move {
                match work.await {
                    Ok(writer) => Ok(Bytes::from(writer.buffer)),
                    Err(error) => Err(error.into()),
                }
            })),
        }
        .boxed_unsync()),
    }
}

type Work = Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>>;

/// The work goes on as the client reads, and ends with the client.
struct Streamed {
    pieces: mpsc::Receiver<Bytes>,
    work: Option<Work>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(Some(piece)) = this.pieces.poll_recv(context) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(work) = this.work.as_mut() else {
            return Poll::Ready(None);
        };
        let done = work.as_mut().poll(context);
        // What the work has written comes before its end.
        if let Poll::Ready(Some(piece)) = this.pieces.poll_recv(context) {
            if let Poll::Ready(rest) = done {
                this.work = Some(Box::pin(std::future::ready(rest)));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match done {
            Poll::Pending => Poll::Pending,
            Poll::Ready(rest) => {
                this.work = None;
                match rest {
                    Ok(rest) if rest.is_empty() => Poll::Ready(None),
                    rest => Poll::Ready(Some(rest.map(Frame::data))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_serve::read_body;

    use super::*;

    /// Writes the letters `0` to `9`, a thousand each; fails before a letter.
    async fn letters(whole: usize, fails_at: u8) -> Result<Body, String> {
        answer_within(whole, move |mut writer| async move {
            for letter in b'0'..=b'9' {
                if letter == fails_at {
                    return Err(format!("at {}", char::from(letter)));
                }
                writer.write(&[letter; 1000]).await;
                tokio::task::yield_now().await;
            }
            Ok(writer)
        })
        .await
    }

    #[tokio::test]
    async fn small_answers_are_whole_and_large_ones_stream() {
        let whole = letters(WHOLE, 0).await.unwrap();
        assert_eq!(http_body::Body::size_hint(&whole).exact(), Some(10_000));
        let streamed = letters(2500, 0).await.unwrap();
        assert_eq!(http_body::Body::size_hint(&streamed).exact(), None);
        let (whole, streamed) = (
            read_body(whole, 1 << 20).await.unwrap(),
            read_body(streamed, 1 << 20).await.unwrap(),
        );
        assert_eq!(whole, streamed);
    }

    #[tokio::test]
    async fn a_failure_is_told_before_the_answer_has_begun_and_breaks_it_off_after() {
        assert_eq!(letters(2500, b'2').await.err().as_deref(), Some("at 2"));
        let begun = letters(2500, b'7').await.unwrap();
        assert!(read_body(begun, 1 << 20).await.is_err());
    }
}
