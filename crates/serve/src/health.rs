//! Probes, for a server's own address and for processes that have none.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::{Body, text};
use crate::connection::{self, Peer, Protocol};
use crate::server::{Limits, ServeError, accept, listen};

/// The answer to a probe; none if the request is no probe. `/healthz` says that the process
/// answers, `/readyz` that `ready` holds (503 if not).
pub fn probe<B>(request: &Request<B>, ready: impl FnOnce() -> bool) -> Option<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    match request.uri().path() {
        "/healthz" => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" if ready() => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" => Some(text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")),
        _ => None,
    }
}

/// The answer to a scrape of `/metrics`; none if the request is none. `metrics` makes the text,
/// as OpenMetrics has it.
pub fn scrape<B>(request: &Request<B>, metrics: impl FnOnce() -> String) -> Option<Response<Body>> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return None;
    }
    let mut response = text(StatusCode::OK, metrics());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(response)
}

/// Serves the probes, and `/metrics`, over plain HTTP until `stop` is ready. Returns at once if it cannot
/// listen, so await it beside what it speaks for.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve_health(
    address: SocketAddr,
    ready: impl Fn() -> bool + Send + Sync + 'static,
    metrics: impl Fn() -> String + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (listener, _) = listen(address).await?;
    // Whoever can reach the port shares it with the kubelet.
    let limits = Arc::new(Limits {
        connections: 64,
        ..Limits::default()
    });
    let answers = Arc::new((ready, metrics));
    let handler = Arc::new(move |request: Request<hyper::body::Incoming>, _: Peer| {
        let (ready, metrics) = answers.as_ref();
        let response = probe(&request, ready)
            .or_else(|| scrape(&request, metrics))
            .unwrap_or_else(|| text(StatusCode::NOT_FOUND, "not found\n"));
        std::future::ready(response)
    });
    let shared = Arc::clone(&limits);
    let serve = move |stream, address, permit, stopped| {
        let (handler, limits) = (Arc::clone(&handler), Arc::clone(&shared));
        async move {
            let peer = Peer {
                address,
                certificate: None,
            };
            connection::serve(stream, Protocol::Http1, peer, handler, &limits, stopped).await;
            drop::<tokio::sync::OwnedSemaphorePermit>(permit);
        }
    };
    accept(listener, &limits, serve, stop).await;
    Ok(())
}
