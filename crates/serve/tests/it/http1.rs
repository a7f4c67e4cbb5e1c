//! Requests as no decent client writes them.

use std::time::Duration;

use bulkhead_serve::Limits;

use crate::running::Running;

const CLOSE: &str = "Host: x\r\nConnection: close\r\n";

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_get_400() {
    let server = Running::plain().await;
    for bad in [
        "GET /healthz HTTP/1.1\nHost: x\n\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n".to_owned(),
        format!("GET /healthz HTTP/1.1\r\n{CLOSE}A: b\r\n c\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\n{CLOSE}A : b\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\n{CLOSE}A: b\0c\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\n{CLOSE}A: b\rc\r\n\r\n"),
        format!("GET  /healthz HTTP/1.1\r\n{CLOSE}\r\n"),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET /healthz HTTP/9.9\r\n\r\n".to_owned(),
        "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!(
            "POST /echo HTTP/1.1\r\n{CLOSE}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /echo HTTP/1.1\r\n{CLOSE}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /echo HTTP/1.1\r\n{CLOSE}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        format!("POST /echo HTTP/1.1\r\n{CLOSE}Content-Length: 3, 3\r\n\r\nabc"),
        format!("POST /echo HTTP/1.1\r\n{CLOSE}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!(
            "POST /echo HTTP/1.1\r\n{CLOSE}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"
        ),
        format!(
            "POST /echo HTTP/1.1\r\n{CLOSE}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
        ),
        format!(
            "POST /echo HTTP/1.1\r\n{CLOSE}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"
        ),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let answer = server
            .connect(b"http/1.1", None)
            .await
            .unwrap()
            .raw(bad.as_bytes())
            .await;
        let first = answer.lines().next().unwrap_or_default();
        // HTTP/2 without ALPN gets no words, or the client would take them for frames.
        let silent = bad.starts_with("PRI") && answer.is_empty();
        assert!(
            first.starts_with("HTTP/1.1 400") || silent,
            "{bad:?}: {answer:?}"
        );
        assert!(
            answer.matches("HTTP/1.1").count() <= 1,
            "{bad:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn plain_requests_in_one_go_are_answered_in_order() {
    let server = Running::plain().await;
    let two = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         POST /echo HTTP/1.1\r\n{CLOSE}Content-Length: 3\r\n\r\ndef"
    );
    let answer = server
        .connect(b"http/1.1", None)
        .await
        .unwrap()
        .raw(two.as_bytes())
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(
        answer.find("abc").unwrap() < answer.find("def").unwrap(),
        "{answer}"
    );
}

#[tokio::test]
async fn nothing_is_read_after_a_refused_change_of_protocol() {
    let server = Running::plain().await;
    let smuggled = "GET /who HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
                    GET /who HTTP/1.1\nHost: x\n\n";
    let answer = server
        .connect(b"http/1.1", None)
        .await
        .unwrap()
        .raw(smuggled.as_bytes())
        .await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn heads_have_a_limit() {
    let server = Running::plain().await;
    for header in [
        format!("A: {}\r\n", "x".repeat(40_000)),
        (0..4000)
            .map(|i| format!("A{i}: xxxxxxxxxxx\r\n"))
            .collect(),
        (0..200).map(|i| format!("A{i}: x\r\n")).collect(),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{CLOSE}{header}\r\n");
        let answer = server
            .connect(b"http/1.1", None)
            .await
            .unwrap()
            .raw(request.as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
    }
    let fits = format!(
        "GET /healthz HTTP/1.1\r\n{CLOSE}A: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = server
        .connect(b"http/1.1", None)
        .await
        .unwrap()
        .raw(fits.as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test]
async fn heads_have_to_arrive_in_time() {
    let limits = Limits {
        head_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::with(limits).await;
    let client = server.connect(b"http/1.1", None).await.unwrap();
    let cut = client.raw(b"GET /healthz HTTP/1.1\r\nHost:");
    let answer = tokio::time::timeout(Duration::from_secs(5), cut)
        .await
        .unwrap();
    assert_eq!(answer, "");
}

#[tokio::test]
async fn every_head_has_a_time_of_its_own() {
    let limits = Limits {
        head_timeout: Duration::from_millis(1000),
        ..Limits::default()
    };
    let server = Running::with(limits).await;
    let client = server.connect(b"http/1.1", None).await.unwrap();
    let pieces: [&[u8]; 4] = [
        b"GET /healthz HTTP/1.1\r\nHost:",
        b" x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:",
        b" x\r\nConnection: close\r\n\r\n",
    ];
    // Each head takes less than its time, the two together and the pause between them more.
    let answer = client.pieces(&pieces, Duration::from_millis(600)).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[tokio::test]
async fn bodies_have_a_limit_and_an_end() {
    let server = Running::plain().await;
    for (request, status) in [
        (
            format!("{CLOSE}Content-Length: 16\r\n\r\n0123456789abcdef"),
            "200",
        ),
        (
            format!("{CLOSE}Content-Length: 17\r\n\r\n0123456789abcdefg"),
            "413",
        ),
        (
            format!(
                "{CLOSE}Transfer-Encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n"
            ),
            "413",
        ),
        (
            format!("{CLOSE}Content-Length: 18446744073709551615\r\n\r\nx"),
            "431",
        ),
    ] {
        let request = format!("POST /echo HTTP/1.1\r\n{request}");
        let answer = server
            .connect(b"http/1.1", None)
            .await
            .unwrap()
            .raw(request.as_bytes())
            .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:?}: {answer:?}"
        );
    }
    let client = server.connect(b"h2", None).await.unwrap();
    assert_eq!(client.send("/echo", vec![b'x'; 17]).await.unwrap().0, 413);
}
