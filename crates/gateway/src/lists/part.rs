//! What one namespace answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_scope::{Denial, ScopedRequest};
use bulkhead_serve::{Body, BoxError};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::answer::incident;
use crate::gateway::Gateway;
use crate::upstream::Envelope;

/// How much of an answer is read before its turn has come.
const AHEAD: usize = 1024 * 1024;
/// Another API server may not have heard of a state yet; it waits 3 s by itself and says so.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest list of a caller's own Namespaces, names and labels only.
const LONGEST_NAMESPACES: usize = 32 * 1024 * 1024;
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// Sends requests for one of a client's.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) accept: String,
    pub(crate) user_agent: String,
    pub(crate) audit_id: String,
    pub(crate) client: IpAddr,
}

/// Why a list or a watch is not answered.
#[derive(Debug)]
pub(crate) enum Stop {
    /// By us.
    Denied(Denial),
    /// By the API server, in its words.
    Answered(Box<Response<Body>>),
    /// The caller's namespaces are others than those that were asked.
    Moved,
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Stop> for BoxError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Denied(denial) => denial.into(),
            Stop::Answered(response) => {
                format!("the API server answers {}", response.status()).into()
            }
            Stop::Moved => "the namespaces have changed".into(),
        }
    }
}

/// What a namespace answers.
pub(crate) enum Fetched {
    /// The caller may not read it there.
    Skipped,
    /// What has been read of the list, and the rest, if there is one.
    List(Bytes, Option<Body>),
}

impl Sender {
    /// What goes along with each request.
    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope {
            accept: &self.accept,
            user_agent: &self.user_agent,
            audit_id: &self.audit_id,
            client: self.client,
        }
    }

    pub(crate) async fn send(&self, request: &ScopedRequest) -> Result<Response<Body>, Denial> {
        self.send_accepting(request, &self.accept).await
    }

    async fn send_accepting(
        &self,
        request: &ScopedRequest,
        accept: &str,
    ) -> Result<Response<Body>, Denial> {
        let envelope = Envelope {
            accept,
            ..self.envelope()
        };
        self.gateway.forward(request, &envelope).await
    }

    /// Asks one namespace.
    pub(crate) async fn fetch(&self, request: &ScopedRequest) -> Result<Fetched, Stop> {
        let mut attempt = 1;
        loop {
            let response = self.send(request).await?;
            match response.status() {
                StatusCode::OK => return read_ahead(response.into_body()).await,
                StatusCode::FORBIDDEN => return Ok(Fetched::Skipped),
                StatusCode::GONE => return Err(gone().into()),
                StatusCode::GATEWAY_TIMEOUT if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                _ => return Err(Stop::Answered(Box::new(response))),
            }
        }
    }

    /// The Namespaces with their labels for tenant and UID, of a list that the reader makes.
    pub(crate) async fn namespaces(
        &self,
        request: &ScopedRequest,
    ) -> Result<Vec<(String, String, String)>, Stop> {
        let response = self.send_accepting(request, NAMES_ONLY).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Err(gone().into()),
            _ => return Err(Stop::Answered(Box::new(response))),
        }
        let bytes = bulkhead_serve::read_body(response.into_body(), LONGEST_NAMESPACES)
            .await
            .map_err(|error| incident(&format!("the namespaces cannot be read: {error}")))?;
        let list: Value = serde_json::from_slice(&bytes)
            .map_err(|error| incident(&format!("the namespaces cannot be read: {error}")))?;
        let items = list.get("items").and_then(Value::as_array);
        Ok(items
            .into_iter()
            .flatten()
            .map(|item| {
                let text = |pointer: &str| {
                    let found = item.pointer(pointer).and_then(Value::as_str);
                    found.unwrap_or_default().to_owned()
                };
                (
                    text("/metadata/name"),
                    text("/metadata/labels/bulkhead.dev~1tenant"),
                    text("/metadata/labels/bulkhead.dev~1tenant-uid"),
                )
            })
            .collect())
    }
}

/// The state is not known any more. The API server's own words hold a token of its own making,
/// for a list that is not of one state.
pub(crate) fn gone() -> Denial {
    Denial::expired(
        "the state that the list shows is too old and no longer known: list again from the start",
    )
}

async fn read_ahead(mut body: Body) -> Result<Fetched, Stop> {
    let mut start = Vec::new();
    while start.len() < AHEAD {
        match body.frame().await {
            None => return Ok(Fetched::List(start.into(), None)),
            Some(frame) => start.extend_from_slice(&data(frame)?),
        }
    }
    Ok(Fetched::List(start.into(), Some(body)))
}

/// A frame's bytes.
pub(crate) fn data(frame: Result<http_body::Frame<Bytes>, BoxError>) -> Result<Bytes, Denial> {
    match frame {
        Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
        Err(error) => {
            tracing::warn!(%error, "an answer of the API server breaks off");
            Err(Denial::unavailable("the API server's answer breaks off", 1))
        }
    }
}
