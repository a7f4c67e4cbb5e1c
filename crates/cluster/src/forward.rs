//! Sending requests on, answers streaming back as they come.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::connect;
use crate::error::{ClusterError, KubeconfigError};
use crate::transport::transport;
use crate::upstream::{AnswerBody, Endpoint, Lane, Upstream};

/// Sends requests to the API server under one credential. Clones share connections.
///
/// It follows no redirects and does not touch bodies: an answer comes as the API server encodes it,
/// frame by frame, and no faster than it is taken. Whoever calls decides what is sent; this only
/// adds the credential. A request whose connection is lost before its answer is sent again if
/// it only reads, or if the API server has said that it has not looked at it; no other ever is.
#[derive(Clone)]
pub struct Forwarder {
    upstream: Arc<Upstream>,
}

impl Forwarder {
    /// Reads a kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`crate::Cluster::connect`].
    pub async fn connect(kubeconfig: &Path) -> Result<Self, ClusterError> {
        let broken = |source| ClusterError::Kubeconfig {
            path: kubeconfig.to_owned(),
            source,
        };
        let config = connect::config(kubeconfig, None).await?;
        let endpoint = Endpoint::of(&config)
            .await
            .map_err(|error| broken(KubeconfigError::Client(error)))?;
        Ok(Self {
            upstream: Arc::new(Upstream::new(endpoint)),
        })
    }

    /// Sends a request: its method, its path and query as they are, its headers but
    /// `Authorization` and `Host`, its body. Returns with the answer's head; the body streams.
    /// There is no deadline for the head, because the API server has one of its own for calls and
    /// watches begin when they like: callers set theirs. Dropping the future or the body ends the
    /// exchange at the API server, too.
    ///
    /// # Errors
    /// [`ClusterError::Forward`] if no answer comes. An answer of any status is no error.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
        lane: Lane,
    ) -> Result<Response<ForwardedBody>, ClusterError> {
        own_headers(request.headers_mut());
        let answer = self.upstream.send(request, lane).await.map_err(forward)?;
        Ok(answer.map(|body| ForwardedBody(Kind::Stream(body))))
    }

    /// Sends a request that asks for a change of the protocol, on a connection of its own, and hands
    /// that over if the API server agrees. The request's body is left out: such requests have none.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn switch(&self, mut request: Request<Bytes>) -> Result<Switch, ClusterError> {
        own_headers(request.headers_mut());
        let endpoint = self.upstream.endpoint();
        let request = endpoint.address_http1(request).await.map_err(forward)?;
        let stream = endpoint.http1().await.map_err(forward)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(forward)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the API server ends");
            }
        });
        let mut response = sender.send_request(request).await.map_err(forward)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Switch::Not(
                response.map(|body| ForwardedBody(Kind::Whole(body))),
            ));
        }
        let upgraded = hyper::upgrade::on(&mut response).await.map_err(forward)?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Switch::Done(headers, TokioIo::new(upgraded)))
    }
}

fn forward(error: impl std::error::Error + Send + Sync + 'static) -> ClusterError {
    ClusterError::Forward {
        source: transport(error),
    }
}

/// What came of a request to change the protocol.
pub enum Switch {
    /// It is changed: the answer's headers, and the connection, which is the caller's now.
    Done(HeaderMap, Duplex),
    /// It is not: an answer like any other.
    Not(Response<ForwardedBody>),
}

/// A connection to the API server after a change of the protocol.
pub type Duplex = TokioIo<hyper::upgrade::Upgraded>;

/// The credential and the host are ours. With a client certificate nothing would overwrite a
/// header that came along, and the API server would take it.
fn own_headers(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::HOST);
}

/// An answer's body as it streams from the API server.
pub struct ForwardedBody(Kind);

enum Kind {
    Stream(AnswerBody),
    Whole(Incoming),
}

impl http_body::Body for ForwardedBody {
    type Data = Bytes;
    type Error = ClusterError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClusterError>>> {
        match &mut self.0 {
            Kind::Stream(body) => Pin::new(body).poll_frame(context).map_err(forward),
            Kind::Whole(body) => Pin::new(body).poll_frame(context).map_err(forward),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Stream(body) => body.is_end_stream(),
            Kind::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Stream(body) => body.size_hint(),
            Kind::Whole(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_came_along_goes_no_further() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer stolen".parse().unwrap());
        headers.insert(header::HOST, "evil".parse().unwrap());
        headers.insert(
            "impersonate-user",
            "bulkhead:tenant:acme:admin".parse().unwrap(),
        );
        own_headers(&mut headers);
        let names: Vec<&str> = headers.keys().map(header::HeaderName::as_str).collect();
        assert_eq!(names, ["impersonate-user"]);
    }
}
