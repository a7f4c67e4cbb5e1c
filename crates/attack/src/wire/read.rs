//! Reading a response: head by httparse, body by `Content-Length`, chunks, or the connection's end.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

use super::{Response, WireError};

/// More than any answer that we wait for.
const MAX_HEAD: usize = 256 * 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Reads one final response. Interim ones (1xx but 101) are skipped. If the deadline passes after
/// the head, what has come so far is returned as unfinished.
pub(super) async fn response<R: AsyncRead + Unpin>(
    stream: &mut R,
    is_head: bool,
    deadline: Instant,
) -> Result<(Response, bool), WireError> {
    let mut buffer = Vec::new();
    loop {
        let (mut response, used) = head(stream, &mut buffer, deadline).await?;
        buffer.drain(..used);
        if (100..200).contains(&response.status) && response.status != 101 {
            continue;
        }
        if is_head || matches!(response.status, 101 | 204 | 304) {
            return Ok((response, false));
        }
        let ended = match timeout_at(deadline, body(stream, &mut response, &mut buffer)).await {
            Ok(ended) => ended?,
            Err(_) => {
                response.unfinished = true;
                // What came of a body of unknown end is decoded as far as it goes.
                if is_chunked(&response) {
                    decode_chunks(&mut buffer, &mut response.body)?;
                } else {
                    response.body = std::mem::take(&mut buffer);
                }
                return Ok((response, false));
            }
        };
        let closes = response
            .header("connection")
            .is_some_and(|c| c.eq_ignore_ascii_case("close"));
        return Ok((response, !ended && !closes && buffer.is_empty()));
    }
}

async fn head<R: AsyncRead + Unpin>(
    stream: &mut R,
    buffer: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(Response, usize), WireError> {
    loop {
        let mut slots = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut slots);
        if let httparse::Status::Complete(used) = parsed.parse(buffer).map_err(WireError::Head)? {
            let headers = parsed.headers.iter().map(|header| {
                (
                    header.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            });
            let response = Response {
                status: parsed.code.unwrap_or_default(),
                headers: headers.collect(),
                ..Response::default()
            };
            return Ok((response, used));
        }
        if buffer.len() > MAX_HEAD {
            return Err(WireError::TooLong);
        }
        let read = timeout_at(deadline, stream.read_buf(buffer))
            .await
            .map_err(|_| WireError::Deadline)?;
        if read.map_err(WireError::Io)? == 0 {
            return Err(WireError::Closed);
        }
    }
}

/// Reads the body into the response; says whether the connection has ended with it.
async fn body<R: AsyncRead + Unpin>(
    stream: &mut R,
    response: &mut Response,
    buffer: &mut Vec<u8>,
) -> Result<bool, WireError> {
    let length: Option<usize> = response
        .header("content-length")
        .and_then(|l| l.parse().ok());
    let chunked = is_chunked(response);
    loop {
        if chunked {
            if decode_chunks(buffer, &mut response.body)? {
                return Ok(false);
            }
        } else if let Some(length) = length
            && buffer.len() >= length
        {
            response.body = buffer.drain(..length).collect();
            return Ok(false);
        }
        if buffer.len() + response.body.len() > MAX_BODY {
            return Err(WireError::TooLong);
        }
        let read = match stream.read_buf(buffer).await {
            // Servers that end a body by closing do not always say goodbye in TLS.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            other => other.map_err(WireError::Io)?,
        };
        if read == 0 {
            if chunked || length.is_some() {
                return Err(WireError::Closed);
            }
            response.body = std::mem::take(buffer);
            return Ok(true);
        }
    }
}

fn is_chunked(response: &Response) -> bool {
    response
        .header("transfer-encoding")
        .is_some_and(|e| e.eq_ignore_ascii_case("chunked"))
}

/// Moves whole chunks from the buffer to the body; says whether the last one was there.
fn decode_chunks(buffer: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<bool, WireError> {
    loop {
        let (start, size) =
            match httparse::parse_chunk_size(buffer).map_err(|_| WireError::Chunk)? {
                httparse::Status::Partial => return Ok(false),
                httparse::Status::Complete((start, size)) => {
                    (start, usize::try_from(size).map_err(|_| WireError::Chunk)?)
                }
            };
        let end = start.checked_add(size).ok_or(WireError::Chunk)?;
        let Some(after) = buffer.get(end..).filter(|rest| rest.len() >= 2) else {
            return Ok(false);
        };
        if !after.starts_with(b"\r\n") {
            return Err(WireError::Chunk);
        }
        body.extend_from_slice(buffer.get(start..end).unwrap_or_default());
        buffer.drain(..end + 2);
        if size == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn read(bytes: &str) -> Result<(Response, bool), WireError> {
        response(
            &mut bytes.as_bytes(),
            false,
            Instant::now() + Duration::from_secs(1),
        )
        .await
    }

    #[tokio::test]
    async fn bodies_end_in_three_ways() {
        for (bytes, reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", false),
        ] {
            let (response, again) = read(bytes).await.unwrap();
            assert_eq!(
                (response.status, response.text().as_str(), again),
                (200, "hello", reusable),
                "{bytes}"
            );
        }
    }

    #[tokio::test]
    async fn cut_off_answers_are_errors() {
        for bytes in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhe",
            "SSH-2.0\r\n\r\n",
        ] {
            assert!(read(bytes).await.is_err(), "{bytes}");
        }
    }
}
