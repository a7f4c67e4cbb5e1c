//! The lines of a body as it streams.

use bulkhead_serve::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use http_body_util::BodyExt as _;

/// The longest event. The API server takes no object of more than 3 MiB; a table adds its cells.
const LONGEST: usize = 16 * 1024 * 1024;

/// What comes by one watch.
pub(crate) enum Heard {
    /// An event, with its end of line.
    Line(usize, Bytes),
    /// It is over: in order, or cut off.
    End,
}

struct Lines {
    watch: usize,
    body: Option<Body>,
    buffer: BytesMut,
    searched: usize,
}

/// The lines of a watch's body, and its end.
pub(crate) fn lines(watch: usize, body: Body) -> impl Stream<Item = Heard> + Send + Unpin {
    let lines = Lines {
        watch,
        body: Some(body),
        buffer: BytesMut::new(),
        searched: 0,
    };
    Box::pin(futures::stream::unfold(lines, |mut lines| async move {
        let heard = lines.next().await?;
        Some((heard, lines))
    }))
}

impl Lines {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Some(Heard::Line(self.watch, line));
            }
            self.searched = self.buffer.len();
            let body = self.body.as_mut()?;
            match body.frame().await {
                Some(Ok(frame)) => {
                    let mut data = frame.into_data().unwrap_or_default();
                    while data.has_remaining() {
                        let chunk = data.chunk();
                        self.buffer.extend_from_slice(chunk);
                        data.advance(chunk.len());
                    }
                    if self.buffer.len() <= LONGEST {
                        continue;
                    }
                    tracing::warn!("an event is longer than any object");
                }
                Some(Err(error)) => tracing::debug!(%error, "a watch breaks off"),
                None => {}
            }
            // A line without its end was not whole.
            self.body = None;
            self.buffer.clear();
            self.searched = 0;
            return Some(Heard::End);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_they_come() {
        let text = b"{\"a\":1}\n{\"b\":\"\xc3\xa4\"}\n{\"cut";
        for piece in 1..=text.len() {
            let frames: Vec<Result<Frame<Bytes>, Infallible>> = text
                .chunks(piece)
                .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
                .collect();
            let body = StreamBody::new(futures::stream::iter(frames));
            let body = body.map_err(|never| match never {}).boxed_unsync();
            let heard: Vec<Heard> = lines(3, body).collect().await;
            let shown: Vec<String> = heard
                .iter()
                .map(|heard| match heard {
                    Heard::Line(3, line) => String::from_utf8(line.to_vec()).unwrap(),
                    Heard::End => "end".into(),
                    _ => "another watch".into(),
                })
                .collect();
            assert_eq!(
                shown,
                ["{\"a\":1}\n", "{\"b\":\"ä\"}\n", "end"],
                "by {piece}"
            );
        }
    }
}
