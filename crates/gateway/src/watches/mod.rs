//! Watches over all namespaces of a caller: one for each, merged into one from which a client can go
//! on at any time without losing an event.
//!
//! Events go out in the order of their resource versions (see [`order`]). Whenever that cannot be kept,
//! a namespace comes or goes, or a right is lost, the watch ends with `410 Expired`, and the client
//! lists again.

mod event;
mod initial;
mod lines;
mod order;

use std::future::Future;
use std::time::{Duration, Instant};

use bulkhead_scope::{Denial, MAX_WATCH_SECONDS, Part, QueryValue, Spread};
use bulkhead_serve::{Body, BoxError};
use futures::StreamExt as _;
use futures::stream::{FuturesUnordered, SelectAll};
use http::{HeaderValue, Response, StatusCode, header};

use self::event::Event;
use self::initial::Page;
pub(crate) use self::lines::{Heard, lines};
use self::order::{HOLD, Order};
use crate::lists::writer::{self, Writer};
use crate::lists::{Sender, Stop};

/// How long a watch goes on without a client's wish: shorter than the longest, so that not all
/// clients come back at once.
const JITTER: u64 = 60;

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// After this resource version.
    Version(u64),
    /// With the state as it is, told as additions.
    Listed,
    /// After the state as it is.
    Now,
}

/// What a client asks of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    from: From,
    bookmarks: bool,
    /// Whether the client wants to know where the beginning state ends.
    marks_end: bool,
    seconds: u64,
}

impl Asked {
    /// Reads the parameters as the API server does.
    fn of(spread: &Spread, jitter: u64) -> Result<Self, Denial> {
        let query = spread.request().query();
        let text = |name| match query.get(name) {
            Some(QueryValue::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let initial = match query.get("sendInitialEvents") {
            Some(QueryValue::Bool(initial)) => Some(*initial),
            _ => None,
        };
        match (initial, text("resourceVersionMatch")) {
            (None, None) | (Some(_), Some("NotOlderThan")) => {}
            (None, Some(_)) => {
                return Err(Denial::invalid(
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            (Some(_), _) => {
                return Err(Denial::invalid(
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
        }
        let version = match text("resourceVersion") {
            None | Some("0") => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Denial::bad_request(format!(
                    "`resourceVersion` is `{text}`: expected one of an answer"
                ))
            })?),
        };
        let from = match (version, initial) {
            (_, Some(true)) | (None, None) => From::Listed,
            (None, Some(false)) => From::Now,
            (Some(version), _) => From::Version(version),
        };
        let seconds = match query.get("timeoutSeconds") {
            Some(QueryValue::Number(seconds)) if *seconds > 0 => (*seconds).min(MAX_WATCH_SECONDS),
            _ => MAX_WATCH_SECONDS - jitter % JITTER,
        };
        Ok(Self {
            from,
            bookmarks: query.flag("allowWatchBookmarks"),
            marks_end: initial == Some(true),
            seconds,
        })
    }
}

/// Answers a watch. `revoked` is ready when it has to end, because rights or namespaces have changed.
///
/// # Errors
/// As [`Stop`]: what the client is told instead.
pub(crate) async fn answer(
    sender: Sender,
    spread: Spread,
    jitter: u64,
    revoked: impl Future<Output = ()> + Send + 'static,
) -> Result<Response<Body>, Stop> {
    let asked = Asked::of(&spread, jitter)?;
    let beginning = match asked.from {
        From::Version(version) => match check(&sender, &spread, version).await {
            Ok(()) => Ok((version, None)),
            // A watch that is too old is told so by an event: not all clients look at the status.
            Err(Stop::Denied(denial)) if denial.status == 410 => Err(denial),
            Err(stop) => return Err(stop),
        },
        From::Listed | From::Now => {
            let page = initial::page(&sender, &spread, None).await?;
            Ok((page.version, Some(page)))
        }
    };
    let body = writer::stream(move |mut writer| async move {
        let result = match beginning {
            Ok((version, page)) => {
                let page = page.filter(|_| asked.from == From::Listed);
                let mut watch = Watch {
                    sender,
                    spread,
                    asked,
                    writer: &mut writer,
                };
                tokio::select! {
                    biased;
                    () = revoked => Err(Stop::Denied(moved())),
                    result = watch.run(version, page) => result,
                }
            }
            Err(denial) => Err(Stop::Denied(denial)),
        };
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Denied(denial)) => {
                writer.write(&event::error(&denial)).await;
                Ok(())
            }
            Err(Stop::Moved) => {
                writer.write(&event::error(&moved())).await;
                Ok(())
            }
            Err(stop @ Stop::Answered(_)) => Err::<(), BoxError>(stop.into()),
        }
    });
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn moved() -> Denial {
    Denial::expired("your namespaces or your rights in them have changed: list again")
}

/// Makes sure that at a resource version the caller's namespaces were those that are watched. What was
/// in one that has come since would never be told.
async fn check(sender: &Sender, spread: &Spread, version: u64) -> Result<(), Stop> {
    // Events may live in another store, which counts for itself. They are gone within the hour.
    if spread.resource().resource == "events" {
        return Ok(());
    }
    let there = sender.namespaces(&spread.namespaces(Some(version))).await?;
    let triples = there
        .iter()
        .map(|(name, tenant, uid)| (name.as_str(), tenant.as_str(), uid.as_str()));
    match spread.is_of(triples) {
        true => Ok(()),
        false => Err(moved().into()),
    }
}

struct Watch<'a> {
    sender: Sender,
    spread: Spread,
    asked: Asked,
    writer: &'a mut Writer,
}

impl Watch<'_> {
    async fn run(&mut self, version: u64, mut page: Option<Page>) -> Result<(), Stop> {
        while let Some(now) = page.take() {
            for line in now.lines {
                self.writer.write(&line).await;
            }
            match now.next {
                Some(next) => {
                    page = Some(initial::page(&self.sender, &self.spread, Some(next)).await?);
                }
                None if self.asked.marks_end && self.asked.bookmarks => {
                    self.writer.write(&now.last).await;
                }
                None => {}
            }
        }
        let watches = self.open(version).await?;
        merge(self.writer, version, self.asked.bookmarks, watches).await
    }

    /// Opens a watch in each namespace in which the caller may watch.
    async fn open(&self, version: u64) -> Result<Vec<Body>, Stop> {
        let (sender, spread, seconds) = (&self.sender, &self.spread, self.asked.seconds);
        let open = |part: &Part| {
            let request = spread.watch(part, version, seconds);
            async move { sender.send(&request).await }
        };
        let mut opening: FuturesUnordered<_> = spread.parts().iter().map(open).collect();
        let mut bodies = Vec::new();
        while let Some(response) = opening.next().await {
            let response = response?;
            match response.status() {
                StatusCode::OK => bodies.push(response.into_body()),
                StatusCode::FORBIDDEN => {}
                StatusCode::GONE => return Err(crate::lists::gone().into()),
                _ => return Err(Stop::Answered(Box::new(response))),
            }
        }
        match bodies.is_empty() {
            true => Err(spread.refused_everywhere().into()),
            false => Ok(bodies),
        }
    }
}

/// Tells what comes by many watches, in order, until one of them ends.
async fn merge(
    writer: &mut Writer,
    version: u64,
    bookmarks: bool,
    watches: Vec<Body>,
) -> Result<(), Stop> {
    let mut order = Order::new(watches.len(), version, bookmarks);
    let mut heard = SelectAll::new();
    for (watch, body) in watches.into_iter().enumerate() {
        heard.push(lines(watch, body));
    }
    // Once a watch has ended, no event may go of which an earlier one could still come by
    // another: those that are held are left to the client's next watch.
    let mut over: Option<Instant> = None;
    loop {
        for line in order.release(Instant::now()) {
            writer.write(&line).await;
        }
        if over.is_some_and(|over| Instant::now() >= over) {
            return Ok(());
        }
        let due = [order.due(), over].into_iter().flatten().min();
        let next = tokio::select! {
            next = heard.next() => next,
            () = until(due) => continue,
        };
        let now = Instant::now();
        match next {
            Some(Heard::Line(watch, line)) => match Event::of(&line) {
                Ok(Event::Change(version)) => {
                    if order.change(watch, version, line, now).is_err() {
                        tracing::warn!(version, "an event has come too late to be told in order");
                        return Err(
                            Denial::expired("an event has come out of order: list again").into(),
                        );
                    }
                }
                Ok(Event::Bookmark(version)) => order.bookmark(watch, version, line, now),
                Ok(Event::Error) => {
                    writer.write(&line).await;
                    return Ok(());
                }
                Err(why) => {
                    return Err(crate::answer::incident(&format!(
                        "an event cannot be read: {why}"
                    ))
                    .into());
                }
            },
            Some(Heard::End) => {
                over.get_or_insert(now + HOLD);
            }
            None => {
                over.get_or_insert(now + HOLD);
                // Nothing more comes.
                tokio::time::sleep(HOLD).await;
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A number that differs from request to request.
pub(crate) fn jitter(audit_id: &str) -> u64 {
    audit_id.bytes().fold(0, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    })
}

/// How long a watch that ends because of a new namespace waits, so that not all clients come at once.
pub(crate) fn pause(jitter: u64) -> Duration {
    Duration::from_millis(jitter % 500)
}

#[cfg(test)]
mod tests;
