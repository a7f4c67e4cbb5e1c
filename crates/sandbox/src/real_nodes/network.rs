//! The network of real nodes: a bridge in a namespace of its own, and a process there that carries
//! connections. Nodes reach the API server by it, the API server what nodes and pods serve; nothing
//! else leads in or out.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::keeper::ip;
use super::{API_SERVER, EGRESS, RealNodeError, errno, io_error};
use crate::dir::Layout;

/// How long a node may take to answer.
const DIALING: Duration = Duration::from_secs(10);
/// The longest request for a connection: a line and a few headers.
const REQUEST: usize = 4096;

/// A wish for a connection in the machine's own network namespace.
type Wish = (SocketAddr, oneshot::Sender<io::Result<std::net::TcpStream>>);

/// Who can open connections outside.
type Outside = mpsc::Sender<Wish>;

/// Makes the bridge, and carries connections until this process ends. Must be called in a network
/// namespace of its own.
///
/// # Errors
/// If it cannot begin.
pub fn carry(
    layout: &Layout,
    api_server: u16,
    supervisor: u32,
) -> Result<std::convert::Infallible, RealNodeError> {
    let outside = outside(supervisor)?;
    let forward = "/proc/sys/net/ipv4/ip_forward";
    fs::write(forward, "1").map_err(io_error(format!("write `{forward}`")))?;
    let address = format!("{}/24", API_SERVER.0);
    for command in [
        &["link", "set", "lo", "up"][..],
        &["link", "add", "br0", "type", "bridge"],
        &["address", "add", &address, "dev", "br0"],
        &["link", "set", "br0", "up"],
    ] {
        ip(command)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_error("start"))?;
    let api_server = SocketAddr::from(([127, 0, 0, 1], api_server));
    runtime.block_on(serve(layout.root(), outside, api_server))
}

/// A thread that goes back to the network namespace that we came from, and opens connections there: a
/// socket stays where it was made, whoever uses it.
fn outside(supervisor: u32) -> Result<Outside, RealNodeError> {
    let path = format!("/proc/{supervisor}/ns/net");
    let namespace = File::open(&path).map_err(io_error(format!("open `{path}`")))?;
    let (sender, wishes) = mpsc::channel::<Wish>();
    let (entered, is_entered) = mpsc::channel();
    let thread = std::thread::Builder::new().name("outside".to_owned());
    thread
        .spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            let result = move_into_link_name_space(namespace.as_fd(), kind);
            let failed = result.is_err();
            if entered.send(result).is_err() || failed {
                return;
            }
            for (address, answer) in wishes {
                // Nobody is waiting if the other side has hung up meanwhile.
                let _ = answer.send(std::net::TcpStream::connect_timeout(&address, DIALING));
            }
        })
        .map_err(io_error("start a thread"))?;
    match is_entered.recv() {
        Ok(Ok(())) => Ok(sender),
        Ok(Err(error)) => Err(errno("enter the machine's network namespace")(error)),
        Err(_) => Err(io_error("start a thread")(io::ErrorKind::BrokenPipe.into())),
    }
}

async fn serve(
    root: &Path,
    outside: Outside,
    api_server: SocketAddr,
) -> Result<std::convert::Infallible, RealNodeError> {
    let nodes = TcpListener::bind(API_SERVER)
        .await
        .map_err(io_error("listen for nodes"))?;
    // All processes run in the sandbox's directory, and so does this one.
    let socket = root.join(EGRESS);
    fs::remove_file(&socket).ok();
    let server = UnixListener::bind(EGRESS).map_err(io_error("listen for the API server"))?;
    loop {
        tokio::select! {
            accepted = nodes.accept() => if let Ok((mut inner, _)) = accepted {
                let outside = outside.clone();
                tokio::spawn(async move {
                    if let Ok(mut outer) = dial_outside(&outside, api_server).await {
                        copy_bidirectional(&mut inner, &mut outer).await.ok();
                    }
                });
            },
            accepted = server.accept() => if let Ok((stream, _)) = accepted {
                let outside = outside.clone();
                tokio::spawn(async move {
                    if let Err(error) = connect(stream, &outside).await {
                        tracing::debug!(%error, "a connection was not carried");
                    }
                });
            },
        }
    }
}

async fn dial_outside(outside: &Outside, address: SocketAddr) -> io::Result<TcpStream> {
    let (answer, answered) = oneshot::channel();
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    outside.send((address, answer)).map_err(|_| gone())?;
    let stream = answered.await.map_err(|_| gone())??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Answers one `CONNECT HOST:PORT`. What is on this machine, as Bulkhead's webhook is, is reached
/// outside; everything else is a node or a pod.
async fn connect(mut stream: UnixStream, outside: &Outside) -> io::Result<()> {
    let address = read_request(&mut stream).await?;
    let dialed = match address.ip() {
        IpAddr::V4(v4) if v4.is_loopback() => dial_outside(outside, address).await,
        _ => match tokio::time::timeout(DIALING, TcpStream::connect(address)).await {
            Ok(dialed) => dialed,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    match dialed {
        Ok(mut other) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            copy_bidirectional(&mut stream, &mut other).await?;
            Ok(())
        }
        Err(error) => {
            let answer =
                format!("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nX-Why: {error}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await
        }
    }
}

async fn read_request(stream: &mut UnixStream) -> io::Result<SocketAddr> {
    let mut request = Vec::new();
    // Byte by byte to the empty line: what follows it is not ours to read.
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        request.push(stream.read_u8().await?);
    }
    target(&request).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn target(request: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(request).ok()?;
    let mut words = text.lines().next()?.split(' ');
    (words.next()? == "CONNECT").then_some(())?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_addresses_are_asked_for() {
        let asked = |line: &str| target(format!("{line}\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(
            asked("CONNECT 10.201.0.11:10250 HTTP/1.1"),
            Some(SocketAddr::from(([10, 201, 0, 11], 10250)))
        );
        for bad in ["GET / HTTP/1.1", "CONNECT name:80 HTTP/1.1", "CONNECT", ""] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }
}
