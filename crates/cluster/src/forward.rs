//! Sending requests on, answers streaming back as they come.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;

use crate::connect;
use crate::error::ClusterError;
use crate::transport::transport;

/// Sends requests to the API server under one credential. Clones share connections.
///
/// It follows no redirects, retries nothing, and does not touch bodies: an answer comes as the
/// API server encodes it, frame by frame. Whoever calls decides what is sent; this only adds
/// the credential.
#[derive(Clone)]
pub struct Forwarder {
    client: Client,
}

impl Forwarder {
    /// Reads a kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`crate::Cluster::connect`].
    pub async fn connect(kubeconfig: &Path) -> Result<Self, ClusterError> {
        Ok(Self {
            client: connect::client(kubeconfig, None).await?,
        })
    }

    /// Sends a request: its method, its path and query as they are, its headers but
    /// `Authorization` and `Host`, its body. Returns with the answer's head; the body streams.
    /// There is no deadline for the answer, because watches and logs have none: callers set
    /// theirs. Dropping the body ends the exchange.
    ///
    /// # Errors
    /// [`ClusterError::Forward`] if no answer comes. An answer of any status is no error.
    pub async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<ForwardedBody>, ClusterError> {
        let (mut parts, body) = request.into_parts();
        own_headers(&mut parts.headers);
        // Extensions of the request are the caller's own and no business of the client's.
        parts.extensions = http::Extensions::new();
        let request = Request::from_parts(parts, Body::from(body));
        match self.client.send(request).await {
            Ok(response) => Ok(response.map(ForwardedBody)),
            Err(error) => Err(ClusterError::Forward {
                source: transport(error),
            }),
        }
    }

    /// Sends a request that asks for a change of the protocol, and hands the connection over if the
    /// API server agrees.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn switch(&self, request: Request<Bytes>) -> Result<Switch, ClusterError> {
        let mut response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Switch::Not(response));
        }
        let upgraded =
            hyper::upgrade::on(&mut response)
                .await
                .map_err(|error| ClusterError::Forward {
                    source: transport(kube::Error::HyperError(error)),
                })?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Switch::Done(headers, TokioIo::new(upgraded)))
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
pub struct ForwardedBody(Body);

impl http_body::Body for ForwardedBody {
    type Data = Bytes;
    type Error = ClusterError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClusterError>>> {
        Pin::new(&mut self.0)
            .poll_frame(context)
            .map_err(|error| ClusterError::Forward {
                source: transport(error),
            })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
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
