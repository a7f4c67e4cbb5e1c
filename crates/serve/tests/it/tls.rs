//! Handshakes: who is let in, and by which certificate.

use std::time::Duration;

use bulkhead_serve::{Config, Limits, Server};
use bytes::Bytes;
use rcgen::ExtendedKeyUsagePurpose;

use crate::pki::{Authority, Files, Leaf};
use crate::running::Running;

#[tokio::test]
async fn both_protocols_are_served() {
    let server = Running::plain().await;
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let client = server.connect(alpn, None).await.unwrap();
        let (status, body) = client.send("/echo", "hello").await.unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]));
    }
    assert!(server.connect(b"spdy/3", None).await.is_err());
}

/// What `/who` says, or an error of the connection. With TLS 1.3 a refusal comes after the
/// client's own end of the handshake.
async fn who(server: &Running, client: Option<&Leaf>) -> Option<Bytes> {
    let client = server.connect(b"h2", client).await.ok()?;
    Some(client.send("/who", "").await.ok()?.1)
}

#[tokio::test]
async fn a_client_certificate_is_optional_but_never_bad() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let files = Files::new(&ours.server(), Some(&ours));
    let server = Running::of(&files, ours.roots(), Limits::default()).await;

    assert_eq!(who(&server, None).await.unwrap(), "nobody");
    let client = ours.client();
    let seen = format!("{} bytes", client.der.len());
    assert_eq!(who(&server, Some(&client)).await.unwrap(), seen);

    let expired = ours.leaf(ExtendedKeyUsagePurpose::ClientAuth, true);
    for (bad, why) in [
        (theirs.client(), "foreign"),
        (expired, "expired"),
        (ours.server(), "made for servers"),
    ] {
        assert_eq!(who(&server, Some(&bad)).await, None, "{why}");
    }
}

#[tokio::test]
async fn certificates_are_reloaded_and_bad_ones_are_not() {
    let authority = Authority::new();
    let (old, new) = (authority.server(), authority.server());
    let files = Files::new(&old, None);
    let server = Running::of(&files, authority.roots(), Limits::default()).await;
    let current = async || {
        server
            .connect(b"h2", None)
            .await
            .unwrap()
            .server_certificate()
    };
    assert_eq!(current().await, old.der);

    // Half of a pair, then rubbish, are kept out, longer than the files' poll takes.
    files.put("tls.crt", &new.pem);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(current().await, old.der);
    files.put("tls.key", "rubbish");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(current().await, old.der);

    files.put("tls.key", &new.key_pem);
    let reloaded = async {
        while current().await != new.der {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reloaded)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_new_client_authority_counts_at_once() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new(&old.server(), Some(&old));
    let server = Running::of(&files, old.roots(), Limits::default()).await;
    assert!(who(&server, Some(&old.client())).await.is_some());
    files.put("client-ca.crt", &new.pem);
    let swapped = async {
        while who(&server, Some(&new.client())).await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), swapped)
        .await
        .unwrap();
    assert_eq!(who(&server, Some(&old.client())).await, None);
}

#[tokio::test]
async fn files_that_are_no_use_say_which_and_why() {
    let authority = Authority::new();
    let leaf = authority.server();
    let ca = Authority::new();
    for (file, content, expected) in [
        ("tls.crt", "", "tls.crt` does not hold certificates in PEM"),
        (
            "tls.crt",
            "rubbish",
            "tls.crt` does not hold certificates in PEM",
        ),
        ("tls.key", "", "tls.key` does not hold a private key in PEM"),
        (
            "tls.key",
            authority.server().key_pem.as_str(),
            "cannot be used",
        ),
        (
            "client-ca.crt",
            "",
            "client-ca.crt` does not hold certificates in PEM",
        ),
    ] {
        let files = Files::new(&leaf, Some(&ca));
        files.put(file, content);
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            listen,
            tls: files.tls(),
            limits: Limits::default(),
        };
        let error = Server::bind(config).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}
