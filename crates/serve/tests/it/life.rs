//! How a server lives with bad clients and bad handlers, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulkhead_serve::{Limits, serve_health};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::Running;

#[tokio::test]
async fn a_panic_is_one_answer_and_not_the_end() {
    let server = Running::plain().await;
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let client = server.connect(alpn, None).await.unwrap();
        let (status, body) = client.send("/panic", "").await.unwrap();
        assert_eq!(status, 500);
        assert!(
            !String::from_utf8_lossy(&body).contains("on purpose"),
            "{body:?}"
        );
    }
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn clients_that_say_nothing_block_nobody_and_are_cut() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = Running::with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let answered = tokio::time::timeout(Duration::from_secs(5), server.get("/healthz")).await;
    assert_eq!(answered.unwrap().0, 200);
    for stream in &mut silent {
        let mut rest = Vec::new();
        let cut = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(cut.is_ok());
    }
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_a_place() {
    let limits = Limits {
        connections: 1,
        handshake_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::with(limits).await;
    let began = Instant::now();
    let _silent = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn idle_and_old_connections_end_but_work_does_not() {
    for (limits, alpn) in [
        (
            Limits {
                idle: Duration::from_millis(100),
                ..Limits::default()
            },
            &b"h2"[..],
        ),
        (
            Limits {
                idle: Duration::from_millis(100),
                ..Limits::default()
            },
            b"http/1.1",
        ),
        (
            Limits {
                max_age: Duration::from_millis(100),
                ..Limits::default()
            },
            b"h2",
        ),
        (
            Limits {
                max_age: Duration::from_millis(100),
                ..Limits::default()
            },
            b"http/1.1",
        ),
    ] {
        let server = Running::with(limits).await;
        let (status, body) = server
            .connect(alpn, None)
            .await
            .unwrap()
            .send("/slow", "")
            .await
            .unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"late"[..]));
        // A client of HTTP/2 that never says a word is cut as well.
        let idle = server.connect(alpn, None).await.unwrap().raw(b"");
        tokio::time::timeout(Duration::from_secs(12), idle)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_stop_lets_work_finish_and_takes_no_more() {
    let server = Running::plain().await;
    let address = server.address;
    let (first, second) = (
        server.connect(b"h2", None).await.unwrap(),
        server.connect(b"http/1.1", None).await.unwrap(),
    );
    let idle = server.connect(b"http/1.1", None).await.unwrap();
    let slow =
        tokio::spawn(async { tokio::join!(first.send("/slow", ""), second.send("/slow", "")) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    server.stop().await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let (first, second) = slow.await.unwrap();
    assert_eq!(first.unwrap().1, "late");
    assert_eq!(second.unwrap().1, "late");
    assert_eq!(idle.raw(b"").await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::with(limits).await;
    let client = server.connect(b"h2", None).await.unwrap();
    let slow = tokio::spawn(client.send("/slow", ""));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    server.stop().await.unwrap();
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn probes_have_a_server_of_their_own() {
    let ready = Arc::new(AtomicBool::new(false));
    let address = {
        // A port that was free a moment ago.
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let seen = Arc::clone(&ready);
    let serving = tokio::spawn(serve_health(
        address,
        move || seen.load(Ordering::Relaxed),
        || "counted_total 1\n".to_owned(),
        async {
            let _ = stopped.await;
        },
    ));
    let get = async |path: &str| {
        let mut stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(get("/healthz").await, "200");
    assert_eq!(get("/readyz").await, "503");
    ready.store(true, Ordering::Relaxed);
    assert_eq!(get("/readyz").await, "200");
    assert_eq!(get("/metrics").await, "200");
    assert_eq!(get("/").await, "404");
    drop(stop);
    serving.await.unwrap().unwrap();
}
