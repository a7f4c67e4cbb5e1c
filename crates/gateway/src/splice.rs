//! Two connections made one. What it carries is the client's and the container's own business; it
//! ends when either of them does, or the right by which it was opened.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

/// What is read before it is written, in each direction: a reader that is slow makes the writer at
/// the other end slow.
const BUFFER: usize = 16 * 1024;
/// How long nothing may be said. The kubelet's own limit.
const IDLE: Duration = Duration::from_secs(4 * 60 * 60);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Client,
    Upstream,
    Revoked,
    Idle,
}

/// How much was carried, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// Carries both directions to the end, and ends both.
pub(crate) async fn splice(
    client: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    revoked: impl Future<Output = ()>,
) -> (Ended, Carried) {
    splice_within(IDLE, client, upstream, revoked).await
}

async fn splice_within(
    idle: Duration,
    client: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    revoked: impl Future<Output = ()>,
) -> (Ended, Carried) {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_upstream, mut to_upstream) = split(upstream);
    let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
    // What upstream said last is written before the end is looked at. A client that has ended
    // reads nothing any more: neither WebSockets nor SPDY have half-closed connections.
    let ended = tokio::select! {
        () = revoked => Ended::Revoked,
        _ = carry(&mut from_upstream, &mut to_client, &down) => Ended::Upstream,
        _ = carry(&mut from_client, &mut to_upstream, &up) => Ended::Client,
        () = silence(idle, &up, &down) => Ended::Idle,
    };
    let goodbye = async { tokio::join!(to_client.shutdown(), to_upstream.shutdown()) };
    // Whoever does not take leave is left.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    let carried = Carried {
        up: up.load(Ordering::Relaxed),
        down: down.load(Ordering::Relaxed),
    };
    (ended, carried)
}

async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        to.write_all(bytes).await?;
        to.flush().await?;
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// Ready when nothing was said for the time, at the latest for twice the time.
async fn silence(idle: Duration, up: &AtomicU64, down: &AtomicU64) {
    let count = || (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed));
    loop {
        let before = count();
        tokio::time::sleep(idle).await;
        if count() == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::duplex;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn both_directions_are_carried_and_upstreams_last_words_arrive() {
        let ((mut person, client), (mut pod, upstream)) = (duplex(64), duplex(64));
        let spliced = tokio::spawn(splice(client, upstream, pending()));
        person.write_all(b"ls\n").await.unwrap();
        let mut heard = [0; 3];
        pod.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ls\n");
        let last = vec![b'x'; 100_000];
        let said = last.clone();
        tokio::spawn(async move {
            pod.write_all(&said).await.unwrap();
            pod.shutdown().await.unwrap();
        });
        let mut heard = Vec::new();
        person.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, last);
        let carried = Carried {
            up: 3,
            down: 100_000,
        };
        assert_eq!(spliced.await.unwrap(), (Ended::Upstream, carried));
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_upstream() {
        let ((person, client), (mut pod, upstream)) = (duplex(64), duplex(64));
        let spliced = tokio::spawn(splice(client, upstream, pending()));
        drop(person);
        let mut heard = Vec::new();
        timeout(SOON, pod.read_to_end(&mut heard))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(spliced.await.unwrap().0, Ended::Client);
    }

    #[tokio::test]
    async fn a_lost_right_ends_both_though_they_talk() {
        let ((mut person, client), (mut pod, upstream)) = (duplex(64), duplex(64));
        let (revoke, revoked) = oneshot::channel::<()>();
        let spliced = tokio::spawn(splice(client, upstream, async move { drop(revoked.await) }));
        person.write_all(b"x").await.unwrap();
        pod.read_exact(&mut [0]).await.unwrap();
        drop(revoke);
        for end in [&mut person, &mut pod] {
            let heard = timeout(SOON, end.read(&mut [0; 9])).await.unwrap();
            assert_eq!(heard.unwrap(), 0);
        }
        assert_eq!(spliced.await.unwrap().0, Ended::Revoked);
    }

    #[tokio::test]
    async fn a_slow_reader_stops_the_writer() {
        let ((mut person, client), (mut pod, upstream)) = (duplex(64), duplex(64));
        let spliced = tokio::spawn(splice(client, upstream, pending()));
        // Nobody reads what the pod says: the buffers fill, and no more is taken.
        let flood = vec![0; 1 << 20];
        assert!(
            timeout(Duration::from_millis(200), pod.write_all(&flood))
                .await
                .is_err()
        );
        // The other direction still works.
        person.write_all(b"x").await.unwrap();
        pod.read_exact(&mut [0]).await.unwrap();
        drop((person, pod));
        assert!(spliced.await.unwrap().1.down <= 64);
    }

    #[tokio::test]
    async fn silence_has_a_limit() {
        let ((_person, client), (_pod, upstream)) = (duplex(64), duplex(64));
        let limit = Duration::from_millis(20);
        let (ended, _) = splice_within(limit, client, upstream, pending()).await;
        assert_eq!(ended, Ended::Idle);
    }
}
