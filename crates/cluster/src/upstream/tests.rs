//! Against an API server of the test's own, which counts what it sees.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use futures::future::join_all;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Response};
use http_body_util::BodyExt as _;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What the server does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Serves,
    /// Closes the first connections at their first request.
    Breaks(u32),
    /// Refuses the first streams unseen.
    Refuses(u32),
    /// Says farewell on the first connections after their first request, and serves on.
    Leaves(u32),
}

#[derive(Default)]
struct Seen {
    connections: AtomicU32,
    requests: Mutex<Vec<(u32, String)>>,
    /// Streams at a time and the most of them, by connection.
    streams: Mutex<BTreeMap<u32, (usize, usize)>>,
    resets: AtomicUsize,
    sent: AtomicUsize,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    authority: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(manner: Manner, most: u32, protocol: &'static [u8]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        tls.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                    tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, number, manner, most, seen).await;
                        }
                    });
                }
            }
        });
        Self {
            address,
            seen,
            authority: made.cert.pem(),
            task,
        }
    }

    async fn upstream(&self) -> Upstream {
        upstream(self.address, &self.authority).await
    }

    fn count(&self, what: &str) -> usize {
        let requests = self.seen.requests.lock().unwrap();
        requests.iter().filter(|(_, path)| path == what).count()
    }
}

async fn upstream(address: SocketAddr, authority: &str) -> Upstream {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    std::fs::write(directory.path().join("ca"), authority).unwrap();
    let text = format!(
        r#"{{"apiVersion":"v1","kind":"Config","current-context":"x",
          "clusters":[{{"name":"c","cluster":{{"server":"https://localhost:{}","certificate-authority":"ca"}}}}],
          "users":[{{"name":"u","user":{{"token":"secret"}}}}],
          "contexts":[{{"name":"x","context":{{"cluster":"c","user":"u"}}}}]}}"#,
        address.port()
    );
    std::fs::write(&path, text).unwrap();
    let config = crate::connect::config(&path, None).await.unwrap();
    Upstream::new(Endpoint::of(&config).await.unwrap())
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    number: u32,
    manner: Manner,
    most: u32,
    seen: Arc<Seen>,
) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(most);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.headers()["authorization"], "Bearer secret");
        let path = request.uri().path().to_owned();
        let earlier = seen.requests.lock().unwrap().len();
        seen.requests.lock().unwrap().push((number, path.clone()));
        match manner {
            Manner::Breaks(first) if number < first => return,
            Manner::Refuses(first) if earlier < first as usize => {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            Manner::Leaves(first) if number < first => connection.graceful_shutdown(),
            _ => {}
        }
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let note = |change: isize| {
                let mut streams = seen.streams.lock().unwrap();
                let (now, most) = streams.entry(number).or_default();
                *now = now.checked_add_signed(change).unwrap();
                *most = (*most).max(*now);
            };
            note(1);
            answer(&path, request, respond, &seen).await;
            note(-1);
        });
    }
}

/// `/watch` stays open, `/silent` never answers, `/long` has no end, all else is answered `ok`.
async fn answer(
    path: &str,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: &Seen,
) {
    if path == "/silent" {
        let _ = futures::future::poll_fn(|context| respond.poll_reset(context)).await;
        seen.resets.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(Ok(data)) = body.data().await {
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    let Ok(mut stream) = respond.send_response(Response::new(()), false) else {
        return;
    };
    match path {
        "/watch" => {
            stream.send_data("event\n".into(), false).unwrap();
            let _ = futures::future::poll_fn(|context| stream.poll_reset(context)).await;
            seen.resets.fetch_add(1, Ordering::SeqCst);
        }
        "/long" => loop {
            stream.reserve_capacity(16 * 1024);
            match futures::future::poll_fn(|context| stream.poll_capacity(context)).await {
                Some(Ok(room)) => {
                    let data = vec![b'x'; room];
                    if stream.send_data(data.into(), false).is_err() {
                        return;
                    }
                    seen.sent.fetch_add(room, Ordering::SeqCst);
                }
                _ => {
                    seen.resets.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        },
        _ => stream
            .send_data(format!("ok {length}").into(), true)
            .unwrap(),
    }
}

fn request(method: Method, path: &str) -> Request<Bytes> {
    let body = match method {
        Method::POST => Bytes::from(vec![b'x'; 300_000]),
        _ => Bytes::new(),
    };
    let builder = Request::builder().method(method).uri(path);
    builder.body(body).unwrap()
}

async fn get(upstream: &Upstream, path: &str, lane: Lane) -> Result<Answer, Failed> {
    upstream.send(request(Method::GET, path), lane).await
}

async fn text(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_waits_behind_another_whatever_the_server_takes() {
    for (most, connections) in [(100, 3), (7, 36)] {
        let server = Server::start(Manner::Serves, most, b"h2").await;
        let upstream = server.upstream().await;
        let watches = join_all((0..250).map(|_| get(&upstream, "/watch", Lane::Watch)));
        let watches = tokio::time::timeout(Duration::from_secs(30), watches).await;
        let mut watches = watches.expect("a watch waits");
        for watch in &mut watches {
            let frame = watch.as_mut().unwrap().body_mut().frame().await;
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "event\n");
        }
        assert_eq!(
            server.seen.connections.load(Ordering::SeqCst),
            connections,
            "{most}"
        );
        // Calls go by connections of their own, however many watches there are.
        let answers = join_all((0..200).map(|_| get(&upstream, "/", Lane::Call))).await;
        for answer in answers {
            assert_eq!(text(answer.unwrap()).await, "ok 0");
        }
        let requests = server.seen.requests.lock().unwrap().clone();
        let on = |path: &str| -> std::collections::BTreeSet<u32> {
            let those = requests.iter().filter(|(_, asked)| asked == path);
            those.map(|(connection, _)| *connection).collect()
        };
        assert!(on("/watch").is_disjoint(&on("/")), "{most}");
        let highest = server
            .seen
            .streams
            .lock()
            .unwrap()
            .values()
            .map(|(_, most)| *most)
            .max();
        assert!(
            highest <= Some(most as usize),
            "{highest:?} streams of {most}"
        );
        drop(watches);
        until("the watches end", || {
            server.seen.resets.load(Ordering::SeqCst) == 250
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_ends_the_request_at_the_server() {
    let server = Server::start(Manner::Serves, 100, b"h2").await;
    let upstream = server.upstream().await;
    let waiting = get(&upstream, "/silent", Lane::Call);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), waiting)
            .await
            .is_err()
    );
    until("the call ends", || {
        server.seen.resets.load(Ordering::SeqCst) == 1
    })
    .await;
    drop(get(&upstream, "/long", Lane::Call).await.unwrap());
    until("the answer ends", || {
        server.seen.resets.load(Ordering::SeqCst) == 2
    })
    .await;
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_nothing_hold_up_the_server_and_nobody_else() {
    let server = Server::start(Manner::Serves, 100, b"h2").await;
    let upstream = server.upstream().await;
    let slow = join_all((0..CALLS - 1).map(|_| get(&upstream, "/long", Lane::Call))).await;
    let window = connection::WINDOW as usize;
    until("the windows are full", || {
        server.seen.sent.load(Ordering::SeqCst) == slow.len() * window
    })
    .await;
    // On the same connection.
    for _ in 0..20 {
        let answer = upstream.send(request(Method::POST, "/"), Lane::Call).await;
        assert_eq!(text(answer.unwrap()).await, "ok 300000");
    }
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.seen.sent.load(Ordering::SeqCst), slow.len() * window);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_reads_or_was_not_looked_at_is_sent_again() {
    for (manner, method, seen, answered) in [
        (Manner::Breaks(1), Method::GET, 2, true),
        (Manner::Breaks(2), Method::GET, 3, true),
        (Manner::Breaks(9), Method::GET, 3, false),
        (Manner::Breaks(1), Method::POST, 1, false),
        (Manner::Breaks(1), Method::PUT, 1, false),
        (Manner::Breaks(1), Method::DELETE, 1, false),
        (Manner::Refuses(1), Method::POST, 2, true),
        (Manner::Refuses(2), Method::DELETE, 3, true),
        (Manner::Refuses(9), Method::POST, 3, false),
    ] {
        let server = Server::start(manner, 100, b"h2").await;
        let upstream = server.upstream().await;
        let answer = upstream
            .send(request(method.clone(), "/x"), Lane::Call)
            .await;
        assert_eq!(answer.is_ok(), answered, "{method}");
        assert_eq!(server.count("/x"), seen, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farewell_ends_no_stream_and_the_next_goes_elsewhere() {
    let server = Server::start(Manner::Leaves(1), 100, b"h2").await;
    let upstream = server.upstream().await;
    let mut watch = get(&upstream, "/watch", Lane::Watch).await.unwrap();
    let frame = watch.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "event\n");
    for _ in 0..20 {
        let other = get(&upstream, "/x", Lane::Watch).await.unwrap();
        assert_eq!(text(other).await, "ok 0");
    }
    assert_eq!(server.count("/x"), 20);
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 2);
    assert_eq!(
        server.seen.resets.load(Ordering::SeqCst),
        0,
        "the watch goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_speaks_no_http2_fails_all_at_once() {
    let server = Server::start(Manner::Serves, 100, b"http/1.1").await;
    let old = server.upstream().await;
    let error = get(&old, "/", Lane::Call).await.err().unwrap();
    assert!(error.to_string().contains("HTTP/2"), "{error}");

    let server = Server::start(Manner::Serves, 100, b"h2").await;
    let upstream = server.upstream().await;
    assert_eq!(
        text(get(&upstream, "/", Lane::Call).await.unwrap()).await,
        "ok 0"
    );
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gone = self::upstream(nobody, &server.authority).await;
    let answers = join_all((0..50).map(|_| get(&gone, "/", Lane::Call)));
    let answers = tokio::time::timeout(Duration::from_secs(5), answers)
        .await
        .unwrap();
    assert!(answers.iter().all(Result::is_err));
}
