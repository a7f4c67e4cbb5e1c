//! Clients of the gateway that send too much of what is cheap for them, or bytes that two readers of
//! HTTP read in two ways. Each is cut or refused, in bounded memory, and meanwhile others are answered
//! all that they ask. Told by counts and by the gateway's own peak of memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Client, Request};
use bulkhead_sandbox::pki::AuthorityName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::succeeded;
use crate::guest::Guest;
use crate::own_gateway::{OwnGateway, configs, issue};

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "floods::each_is_cut_in_bounded_memory_and_others_are_answered",
        floods,
    ),
    ("floods::nothing_is_smuggled_past_the_gateway", smuggling),
];

/// What all floods together may add to the gateway's peak of memory.
const MOST_KIB: u64 = 64 * 1024;
/// Connections by which each flood comes.
const ABREAST: usize = 8;
/// Connections that say a little and then nothing.
const SILENT: usize = 200;
/// How long a flood may go on before it counts as one that nobody has stopped.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one goes on that is no crime: it is answered, or held up.
const BORNE: Duration = Duration::from_millis(500);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length.into_iter().skip(1).collect::<Vec<u8>>();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET https://x/version`, by static entries and literals without Huffman codes.
fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, 8];
    block.extend(b"/version");
    block.extend([0x01, 1, b'x']);
    block
}

/// A header field of this many bytes that no table keeps.
fn field(length: u8) -> Vec<u8> {
    let mut block = vec![0x00, 1, b'a', length];
    block.extend(vec![b'b'; length.into()]);
    block
}

/// A header field of 3,900 bytes that goes into the table, then thousands of one byte each that stand
/// for it: 16 kB that say 47 MB.
fn table_bomb() -> Vec<u8> {
    let mut block = get();
    // Literal with indexing, name of one byte, value of 3,900: 127 + 3,773 by the integer's rule.
    block.extend([0x40, 1, b'a', 0x7f, 0xbd, 0x1d]);
    block.extend(vec![b'b'; 3900]);
    block.extend(vec![0xbe; 12_000]);
    block
}

fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// How a flood ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The gateway hangs up.
    Cut,
    /// It goes on as long as it likes, and costs others nothing.
    Borne,
}

type Flood = (&'static str, End, fn(u32) -> Vec<u8>);

/// What is sent after the preface: its first piece, its second, and so on.
const HTTP2: &[Flood] = &[
    ("requests that are taken back at once", End::Cut, |number| {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &get());
        let back = frame(RST_STREAM, 0, stream(number), &8_u32.to_be_bytes());
        [request, back].concat()
    }),
    ("a head that never ends", End::Cut, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get()),
        _ => frame(CONTINUATION, 0, 1, &field(100).repeat(100)),
    }),
    ("a head of empty pieces", End::Cut, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get()),
        _ => frame(CONTINUATION, 0, 1, &[]),
    }),
    ("a frame that is too long", End::Cut, |_| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &field(100).repeat(1000),
        )
    }),
    ("data of no stream", End::Cut, |_| frame(DATA, 0, 7, b"x")),
    ("streams that go back", End::Cut, |number| {
        let back = stream(5_u32.saturating_sub(number));
        frame(HEADERS, END_HEADERS | END_STREAM, back, &get())
    }),
    ("heads that are bombs", End::Borne, |number| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream(number),
            &table_bomb(),
        )
    }),
    ("settings", End::Borne, |_| {
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])
    }),
    ("pings", End::Borne, |_| frame(PING, 0, 0, &[0; 8])),
];

/// A start, then a piece again and again, over HTTP/1.1.
const HTTP1: &[(&str, &str, &str, usize)] = &[
    ("a URL without end", "GET /", "x", 1 << 16),
    (
        "a million headers",
        "GET /version HTTP/1.1\r\nHost: x\r\n",
        "A: b\r\n",
        1000,
    ),
    (
        "a header without end",
        "GET /version HTTP/1.1\r\nHost: x\r\nA: ",
        "x",
        1 << 16,
    ),
    ("a method without end", "", "G", 1 << 16),
    ("empty lines", "", "\r\n", 1 << 15),
    (
        "a length of a piece without end",
        "POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0",
        1 << 16,
    ),
];

struct Flooder {
    address: String,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Flooder {
    /// One that is signed in as a person.
    fn new(bed: &Bed, gateway: &OwnGateway<'_>, person: &str) -> anyhow::Result<Self> {
        let authority = AuthorityName::Servers.certificate(&bed.layout.pki());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let issued = issue(bed, person)?;
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(Self {
            address: gateway.url.trim_start_matches("https://").to_owned(),
            http1: speaking(b"http/1.1"),
            http2: speaking(b"h2"),
        })
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(connector.connect(name, stream).await?)
    }

    /// Sends until the gateway has had enough; says whether it has, and what it said.
    async fn send(
        &self,
        config: &Arc<ClientConfig>,
        start: &[u8],
        mut next: impl FnMut(u32) -> Vec<u8>,
        patience: Duration,
    ) -> anyhow::Result<(bool, Vec<u8>)> {
        let (mut reader, mut writer) = tokio::io::split(self.connect(config).await?);
        let mut answer = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                if answer.len() < 4096 {
                    answer.extend(buffer.iter().take(read));
                }
            }
        };
        let writing = async {
            let _ = writer.write_all(start).await;
            for number in 0.. {
                let bytes = next(number);
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    break;
                }
            }
            // The farewell still has to arrive.
            std::future::pending::<()>().await;
        };
        let cut = async {
            tokio::select! {
                () = reading => {}
                () = writing => {}
            }
        };
        let cut = tokio::time::timeout(patience, cut).await.is_ok();
        Ok((cut, answer))
    }

    async fn over_http2(&self, (what, end, next): &Flood) -> anyhow::Result<()> {
        let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let patience = match end {
            End::Cut => PATIENCE,
            End::Borne => BORNE,
        };
        let (cut, _) = self.send(&self.http2, &start, next, patience).await?;
        ensure!(cut || *end == End::Borne, "{what}: nobody stops it");
        Ok(())
    }

    async fn over_http1(&self, start: &str, piece: &str, times: usize) -> anyhow::Result<()> {
        let piece = piece.repeat(times).into_bytes();
        let sent = self.send(&self.http1, start.as_bytes(), |_| piece.clone(), PATIENCE);
        let (cut, answer) = sent.await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(cut, "nobody stops it: {answer}");
        // The refusal may be lost with the connection that the client goes on writing to.
        let refused = ["HTTP/1.1 400", "HTTP/1.1 414", "HTTP/1.1 431"];
        let heard = answer.is_empty() || refused.iter().any(|status| answer.starts_with(status));
        ensure!(heard, "answered {answer}");
        Ok(())
    }

    /// Connects and begins a head that it never ends, until it is cut.
    async fn falls_silent(&self) -> anyhow::Result<()> {
        let mut stream = self.connect(&self.http1).await?;
        for byte in b"GET /version HTTP/1.1\r\nHost: x\r\nA: " {
            stream.write_all(&[*byte]).await?;
        }
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE * 2, stream.read_to_end(&mut rest)).await;
        ensure!(end.is_ok(), "a client that says nothing is borne with");
        Ok(())
    }
}

fn floods(bed: &Bed) -> anyhow::Result<()> {
    let calm = Guest::arrive(bed, "e2e-afloat", &serde_json::json!({}))?;
    let gateway = OwnGateway::start(bed, "gateway-floods", &[])?;
    let client = gateway.certified("e2e-afloat-admin")?;
    let flooder = Flooder::new(bed, &gateway, "e2e-flooder")?;
    let own = configs(&calm.namespace);
    eventually("the gateway knows the guest", || {
        succeeded(&bed.send(&client, &own)?).map(Some)
    })?;
    let before = gateway.peak_kib()?;
    let answered = AtomicU32::new(0);
    let began = Instant::now();
    bed.wait(async {
        let silent = futures::future::try_join_all((0..SILENT).map(|_| flooder.falls_silent()));
        tokio::select! {
            result = asks_on(&client, &own, &answered) => match result? {},
            result = futures::future::try_join(silent, loud(&flooder, &client, &own)) => result.map(drop),
        }
    })?;
    let took = began.elapsed();
    let (after, answered) = (gateway.peak_kib()?, answered.into_inner());
    println!(
        "floods for {took:?}: others were answered {answered} times, peak {before} kB, then {after} kB"
    );
    ensure!(answered >= 50, "others were answered {answered} times only");
    ensure!(
        after <= before + MOST_KIB,
        "the gateway's peak of memory went from {before} kB to {after} kB"
    );
    calm.leave()
}

/// Asks again and again, and is answered each time.
async fn asks_on(
    client: &Client,
    request: &Request,
    answered: &AtomicU32,
) -> anyhow::Result<Infallible> {
    loop {
        let response = client.send_again(request).await.context("others")?;
        succeeded(&response).context("others")?;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All floods, one after the other.
async fn loud(flooder: &Flooder, client: &Client, own: &Request) -> anyhow::Result<()> {
    for flood in HTTP2 {
        let many = (0..ABREAST).map(|_| flooder.over_http2(flood));
        futures::future::try_join_all(many).await?;
    }
    for (what, start, piece, times) in HTTP1 {
        let many = (0..ABREAST).map(|_| flooder.over_http1(start, piece, *times));
        futures::future::try_join_all(many).await.context(*what)?;
    }
    let bomb = Request::new("POST", own.target())
        .header("content-encoding", "gzip")
        .body("application/json", gzip_bomb());
    for response in futures::future::join_all((0..ABREAST).map(|_| client.send(&bomb))).await {
        let response = response.context("a bomb")?;
        ensure!(
            matches!(response.status, 400 | 415),
            "a bomb: {} {}",
            response.status,
            response.message()
        );
    }
    Ok(())
}

/// 160 MB of zeros in 1 MB: gzip's header, then one match of 258 bytes after the other.
fn gzip_bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut held, mut bits) = (0_u32, 0);
    let mut put = |code: u32, length: u32, bytes: &mut Vec<u8>| {
        held |= code << bits;
        bits += length;
        while bits >= 8 {
            bytes.extend(held.to_le_bytes().first());
            held >>= 8;
            bits -= 8;
        }
    };
    // The last block, of fixed codes; a literal zero; codes come with their first bit lowest.
    put(0b011, 3, &mut bytes);
    put(0b0000_1100, 8, &mut bytes);
    while bytes.len() < 1 << 20 {
        put(0b1010_0011, 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 7, &mut bytes);
    bytes.extend([0; 9]);
    bytes
}

/// A request in which another is hidden, for who reads the first one's length another way.
const HIDDEN: &[(&str, &str)] = &[
    (
        "CL.TE",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE.CL",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nZ\r\n0\r\n\r\n",
    ),
    (
        "two codings",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "an odd coding",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding after a tab",
        "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded coding",
        "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "Content-Length: 0\r\nContent-Length: 30\r\n\r\n",
    ),
    ("a list of lengths", "Content-Length: 0, 30\r\n\r\n"),
    ("a signed length", "Content-Length: +0\r\n\r\n"),
    ("a length in base 16", "Content-Length: 0x0\r\n\r\n"),
    ("a bare carriage return", "A: b\rContent-Length: 30\r\n\r\n"),
    ("a bare line feed", "A: b\nContent-Length: 30\r\n\r\n"),
    ("a folded header", "A: b\r\n Content-Length: 30\r\n\r\n"),
    ("a NUL", "A: b\0\r\n\r\n"),
    (
        "a signed size of a piece",
        "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    ),
    (
        "a size that is too large",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    ),
];

fn smuggling(bed: &Bed) -> anyhow::Result<()> {
    let gateway = OwnGateway::start(bed, "gateway-smuggling", &[])?;
    let client = gateway.certified("e2e-smuggler")?;
    let mark = bed.audit_mark()?;
    let hidden = "GET /api/v1/namespaces/e2e-smuggled/secrets HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, rest) in HIDDEN {
        let raw = format!("POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\n{rest}{hidden}");
        let response = bed.send(&client, &Request::raw(raw)).context(*what)?;
        ensure!(
            response.status == 400,
            "{what}: {} {}",
            response.status,
            response.text()
        );
    }
    // A request whose line in the log follows those that might have been.
    let last = configs("e2e-last");
    bed.send(&client, &last)?;
    let lines = eventually("the log has the last request", || {
        let lines = gateway.lines()?;
        let there = lines
            .iter()
            .any(|line| line.to_string().contains("e2e-last"));
        Ok(there.then_some(lines))
    })?;
    let smuggled = |text: String| text.contains("e2e-smuggled");
    ensure!(
        !lines.iter().any(|line| smuggled(line.to_string())),
        "the gateway has read a hidden request: {lines:?}"
    );
    let upstream = bed.all_since(mark)?;
    ensure!(
        !upstream.iter().any(|entry| smuggled(entry.to_string())),
        "a hidden request has come to the API server"
    );
    Ok(())
}
