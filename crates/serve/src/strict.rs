//! A gate in front of the HTTP/1.1 parser, which is lenient where leniency lets two readers
//! see different requests: it takes bare line feeds, both a length and chunks, and repeated
//! lengths. The gate reads the same bytes and spoils the first one that is not strictly right,
//! so that the parser itself refuses the request (400) and closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A byte that is allowed nowhere in a request's head or framing.
const SPOILT: u8 = 0;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A stream whose incoming bytes pass the gate.
pub(crate) struct Strict<S> {
    inner: S,
    gate: Gate,
    head_timeout: Duration,
    /// What the parser still gets of [`HEAD_END`] after a spoilt byte.
    head_end: &'static [u8],
    /// Runs while a head has begun and not ended.
    head_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Strict<S> {
    /// `max_head` is the parser's own limit.
    pub(crate) fn new(inner: S, max_head: usize, head_timeout: Duration) -> Self {
        // The parser sees that a head is too long before the gate sees that one line is, and
        // has the better answer (431).
        let gate = Gate::new(max_head.saturating_mul(4));
        Self {
            inner,
            gate,
            head_timeout,
            head_end: HEAD_END,
            head_deadline: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.gate.state == State::Refused {
            // The parser looks at a head once it is whole.
            let (end, rest) = this
                .head_end
                .split_at(this.head_end.len().min(buf.remaining()));
            buf.put_slice(end);
            this.head_end = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            result?;
            let new = buf.filled_mut().get_mut(before..).unwrap_or_default();
            let passed = this.gate.pass(new);
            buf.set_filled(before + passed);
            return Poll::Ready(Ok(()));
        }
        if !this.gate.inside_head() {
            this.head_deadline = None;
            return Poll::Pending;
        }
        let timeout = this.head_timeout;
        let deadline = this
            .head_deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the request's head did not arrive in time",
        )))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the lines of a head, or before the next one.
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// In the line that holds a chunk's size.
    ChunkSize,
    /// So many bytes of a chunk are to come, with the line end that follows it.
    Chunk(u64),
    /// In the lines after the last chunk.
    Trailers,
    /// After a request to change the protocol: what follows is no HTTP/1.1. The connection closes
    /// if the answer is anything but a change.
    Raw,
    /// After a byte that was spoilt.
    Refused,
}

struct Gate {
    state: State,
    /// The current line.
    line: Vec<u8>,
    max_line: usize,
    /// Whether the head's first line has been seen.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// What is not strictly right.
struct Refusal;

impl Gate {
    fn new(max_line: usize) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            max_line,
            begun: false,
            length: None,
            chunked: false,
            upgrade: false,
        }
    }

    fn inside_head(&self) -> bool {
        self.state == State::Head && (self.begun || !self.line.is_empty())
    }

    /// Looks at bytes on their way to the parser. Returns how many go on; the last of these is
    /// spoilt if something was wrong.
    fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Raw => return bytes.len(),
                State::Refused => return at,
                State::Body(left) => {
                    let here = left.min((bytes.len() - at) as u64);
                    self.state = match left - here {
                        0 => self.after_message(),
                        left => State::Body(left),
                    };
                    at += here as usize;
                }
                State::Chunk(left) if left > 2 => {
                    let here = (left - 2).min((bytes.len() - at) as u64);
                    self.state = State::Chunk(left - here);
                    at += here as usize;
                }
                State::Chunk(left) => {
                    let expected = if left == 2 { b'\r' } else { b'\n' };
                    if *byte != expected {
                        return self.spoil(bytes, at);
                    }
                    self.state = if left == 2 {
                        State::Chunk(1)
                    } else {
                        State::ChunkSize
                    };
                    at += 1;
                }
                State::Head | State::ChunkSize | State::Trailers => {
                    let byte = *byte;
                    if self.byte(byte).is_err() {
                        return self.spoil(bytes, at);
                    }
                    at += 1;
                }
            }
        }
        at
    }

    fn after_message(&self) -> State {
        if self.upgrade {
            State::Raw
        } else {
            State::Head
        }
    }

    fn spoil(&mut self, bytes: &mut [u8], at: usize) -> usize {
        self.state = State::Refused;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = SPOILT;
        }
        tracing::debug!("refused a request that is not strictly HTTP/1.1");
        at + 1
    }

    fn byte(&mut self, byte: u8) -> Result<(), Refusal> {
        if byte != b'\n' {
            self.line.push(byte);
            return if self.line.len() > self.max_line {
                Err(Refusal)
            } else {
                Ok(())
            };
        }
        if self.line.pop() != Some(b'\r') {
            return Err(Refusal);
        }
        let line = std::mem::take(&mut self.line);
        let result = self.line(&line);
        // The buffer is kept for the next line.
        self.line = line;
        self.line.clear();
        result
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match self.state {
            State::ChunkSize => {
                self.state = match chunk_size(line)? {
                    0 => State::Trailers,
                    size => State::Chunk(size + 2),
                };
                Ok(())
            }
            State::Trailers if line.is_empty() => {
                self.state = self.after_message();
                Ok(())
            }
            State::Trailers => header(line).map(|_| ()),
            // Empty lines before a request are allowed.
            _ if line.is_empty() && !self.begun => Ok(()),
            _ if line.is_empty() => {
                self.end_of_head();
                Ok(())
            }
            _ if !self.begun => {
                self.begun = true;
                if line.starts_with(b"CONNECT ") {
                    Err(Refusal)
                } else {
                    Ok(())
                }
            }
            _ => self.header_line(line),
        }
    }

    fn header_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10)?;
            if self.length.replace(length).is_some() || self.chunked {
                return Err(Refusal);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") || self.chunked || self.length.is_some() {
                return Err(Refusal);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }

    fn end_of_head(&mut self) {
        self.state = match (self.chunked, self.length) {
            (true, _) => State::ChunkSize,
            (false, Some(length)) if length > 0 => State::Body(length),
            _ => self.after_message(),
        };
        // `upgrade` stays: it decides what follows the body.
        (self.begun, self.chunked, self.length) = (false, false, None);
    }
}

/// Name and value of a header line. Folded lines and names with a space are refused.
fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Refusal)?;
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Refusal);
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// Extensions of chunks are refused: nobody needs them, and readers differ on them.
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let size = number(line, 16)?;
    if size > u64::MAX / 2 {
        Err(Refusal)
    } else {
        Ok(size)
    }
}

fn number(digits: &[u8], radix: u32) -> Result<u64, Refusal> {
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Refusal);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Refusal)?;
    u64::from_str_radix(digits, radix).map_err(|_| Refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces of every size and says what the parser would get.
    fn feed(input: &[u8], piece: usize) -> Vec<u8> {
        let mut gate = Gate::new(1024);
        let mut out = Vec::new();
        for part in input.chunks(piece) {
            let mut part = part.to_vec();
            let passed = gate.pass(&mut part);
            out.extend_from_slice(&part[..passed]);
        }
        out
    }

    #[test]
    fn strict_requests_pass_untouched() {
        for good in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nbGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\nA\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\x00\x7f",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nUpgrade: x\r\n\r\na\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for piece in 1..=good.len() {
                assert_eq!(
                    feed(good.as_bytes(), piece),
                    good.as_bytes(),
                    "{good:?} by {piece}"
                );
            }
        }
    }

    #[test]
    fn anything_that_two_readers_read_differently_is_spoilt() {
        for (bad, passes) in [
            ("GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1"),
            (
                "GET / HTTP/1.1\r\nHost: x\n\r\n",
                "GET / HTTP/1.1\r\nHost: x",
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\n\n",
                "GET / HTTP/1.1\r\nHost: x\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nA: x\r\n b\r\n\r\n",
                "GET / HTTP/1.1\r\nA: x\r\n b\r",
            ),
            (
                "GET / HTTP/1.1\r\nA : x\r\n\r\n",
                "GET / HTTP/1.1\r\nA : x\r",
            ),
            ("GET / HTTP/1.1\r\nA\r\n\r\n", "GET / HTTP/1.1\r\nA\r"),
            ("CONNECT x:1 HTTP/1.1\r\n\r\n", "CONNECT x:1 HTTP/1.1\r"),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                "P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r",
            ),
            (
                "P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r",
            ),
            (
                "P / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
                "P / HTTP/1.1\r\nContent-Length: +1\r",
            ),
            (
                "P / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
                "P / HTTP/1.1\r\nContent-Length: 1, 1\r",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
            ),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r",
            ),
        ] {
            for piece in 1..=bad.len() {
                let mut expected = passes.as_bytes().to_vec();
                expected.push(SPOILT);
                assert_eq!(feed(bad.as_bytes(), piece), expected, "{bad:?} by {piece}");
            }
        }
    }
}
