//! Lists over all namespaces of a caller: one request for each, merged into one list that shows one
//! state.
//!
//! The first namespace that answers says which state (resource version) that is; all others are
//! asked for exactly it, some at a time. Meanwhile the caller's Namespaces are read, so that one
//! which has just come is not left out.

mod merge;
mod part;
mod seal;
mod splitter;
pub(crate) mod writer;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bulkhead_scope::{Denial, QueryValue, Spread};
use bulkhead_serve::Body;
use http::{HeaderValue, Response, header};

pub(crate) use merge::merge;
pub(crate) use part::{Sender, Stop, gone};
pub(crate) use seal::{Position, Seal};

/// Namespaces that are asked at a time; more gain little.
const PARALLEL: usize = 8;

/// The most that one page holds. A client that asks for more gets this much and a token.
const LONGEST_PAGE: u64 = 1000;

/// What a client asks of a list.
pub(crate) struct Asked {
    /// Where to begin.
    pub(crate) from: Option<Position>,
    /// How many items at most.
    pub(crate) limit: Option<u64>,
}

impl Asked {
    /// Reads the parameters.
    pub(crate) fn of(spread: &Spread, seal: &Seal) -> Result<Self, Denial> {
        let query = spread.request().query();
        let text = |name| match query.get(name) {
            Some(QueryValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let version = text("resourceVersion");
        let from = match text("continue") {
            None => None,
            Some(_) if version.is_some_and(|version| version != "0") => {
                return Err(Denial::bad_request(
                    "`resourceVersion` is given beside `continue`, which stands for a state already",
                ));
            }
            Some(token) => Some(seal.open(token, &spread.identity(), now())?),
        };
        let limit = match query.get("limit") {
            // Upstream lists whole from its cache then, whatever the limit.
            _ if version == Some("0") && from.is_none() => None,
            Some(QueryValue::Number(limit)) if *limit > 0 => Some((*limit).min(LONGEST_PAGE)),
            _ => None,
        };
        Ok(Self { from, limit })
    }
}

/// Answers a list.
///
/// # Errors
/// As [`Stop`]: what the client is told instead.
pub(crate) async fn answer(
    sender: Sender,
    spread: Spread,
    seal: Arc<Seal>,
) -> Result<Response<Body>, Stop> {
    let asked = Asked::of(&spread, &seal)?;
    let body = writer::answer(move |mut writer| async move {
        let identity = spread.identity();
        let end = merge(&sender, &spread, asked, &mut writer).await?;
        let next = end
            .next
            .as_ref()
            .map(|position| seal.close(position, &identity, now()));
        writer.write(end.tail(next.as_deref()).as_bytes()).await;
        Ok::<_, Stop>(writer)
    })
    .await?;
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
