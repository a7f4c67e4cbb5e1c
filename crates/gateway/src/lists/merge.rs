//! Many lists become one.

use std::fmt::Write as _;

use bulkhead_scope::{At, Part, Spread};
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::part::{Fetched, Sender, Stop, data, gone};
use super::seal::Position;
use super::splitter::Splitter;
use super::writer::Writer;
use super::{Asked, PARALLEL};
use crate::answer::incident;

/// How a merged list ended.
pub(crate) struct End {
    /// Where it goes on.
    pub(crate) next: Option<Position>,
    /// The state that it shows. Some APIs have none.
    pub(crate) version: Option<u64>,
    after: Vec<(String, String)>,
}

impl End {
    /// What closes the JSON.
    pub(crate) fn tail(&self, token: Option<&str>) -> String {
        let mut metadata = serde_json::Map::new();
        let version = self.version.map(|version| version.to_string());
        metadata.insert("resourceVersion".into(), version.unwrap_or_default().into());
        if let Some(token) = token {
            metadata.insert("continue".into(), token.into());
        }
        let mut tail = String::from("]");
        for (name, value) in &self.after {
            let _ = write!(tail, ",\"{name}\":{value}");
        }
        let _ = writeln!(tail, ",\"metadata\":{}}}", Value::Object(metadata));
        tail
    }
}

/// Writes a list, but for its tail, and makes sure that it is of all the caller's namespaces.
pub(crate) async fn merge(
    sender: &Sender,
    spread: &Spread,
    asked: Asked,
    writer: &mut Writer,
) -> Result<End, Stop> {
    let mut merge = Merge {
        sender,
        spread,
        writer,
        from: asked.from,
        remaining: asked.limit,
        version: None,
        array: None,
        written: Vec::new(),
        after: Vec::new(),
        items: 0,
    };
    if let Some(from) = merge.from.take() {
        let mut parts = spread.parts().iter();
        let next = parts
            .position(|part| part.namespace().as_str() == from.namespace)
            .ok_or_else(gone)?;
        merge.version = Some(from.version);
        // The pages after the first are of the namespaces that the first was of: the token says so.
        return merge.rest(next, from.after).await;
    }
    let (next, done) = merge.first().await?;
    // Later than the state that the list shows: what has come before is there.
    let check = async {
        let there = sender.namespaces(&spread.namespaces(None)).await?;
        let triples = there
            .iter()
            .map(|(n, t, u)| (n.as_str(), t.as_str(), u.as_str()));
        spread.is_of(triples).then_some(()).ok_or(Stop::Moved)
    };
    let rest = async {
        match done {
            Some(token) => Ok(merge.end(next.checked_sub(1), token)),
            None => merge.rest(next, String::new()).await,
        }
    };
    let (end, ()) = futures::try_join!(rest, check)?;
    Ok(end)
}

struct Merge<'a> {
    sender: &'a Sender,
    spread: &'a Spread,
    writer: &'a mut Writer,
    from: Option<Position>,
    /// Room for items.
    remaining: Option<u64>,
    version: Option<u64>,
    /// How the field with the items is called, once that has been written.
    array: Option<String>,
    /// The fields that have been written, and those that were not known when the items began.
    written: Vec<String>,
    after: Vec<(String, String)>,
    items: u64,
}

/// What became of a part.
enum Taken {
    /// All of it is written.
    All,
    /// As much as fits; the rest comes by this token.
    Until(String),
    /// It has more than fits, and nothing is written.
    TooMuch,
}

/// The answer of a part that was asked with room for so many items.
struct Answered {
    index: usize,
    limit: Option<u64>,
    fetched: Fetched,
}

impl Merge<'_> {
    /// Asks one after the other until a namespace answers, which fixes the state. Returns the index
    /// of the next one, and the token for what did not fit.
    async fn first(&mut self) -> Result<(usize, Option<String>), Stop> {
        for (index, part) in self.spread.parts().iter().enumerate() {
            let request = self.spread.list(part, At::AsAsked, self.remaining);
            let fetched = self.sender.fetch(&request).await?;
            if matches!(fetched, Fetched::Skipped) {
                continue;
            }
            let done = match self.take(fetched, None, true).await? {
                Taken::Until(token) => Some(token),
                Taken::All | Taken::TooMuch => None,
            };
            if self.version.is_none() {
                // Without states there are no pages of one.
                self.remaining = None;
            }
            return Ok((index + 1, done));
        }
        Err(self.spread.refused_everywhere().into())
    }

    /// The parts from `next` on, the first of them after what the token stands for.
    async fn rest(&mut self, mut next: usize, mut after: String) -> Result<End, Stop> {
        let (sender, spread) = (self.sender, self.spread);
        let mut window = FuturesOrdered::new();
        loop {
            while window.len() < PARALLEL && self.remaining != Some(0) {
                let Some(part) = spread.parts().get(next) else {
                    break;
                };
                let asking = (next, part, std::mem::take(&mut after));
                window.push_back(ask(sender, spread, self.version, asking, self.remaining));
                next += 1;
            }
            let Some(asked) = window.next().await else {
                break;
            };
            let Answered {
                index,
                limit,
                mut fetched,
            } = asked?;
            if self.remaining == Some(0) {
                return Ok(self.end(Some(index), String::new()));
            }
            // It was asked while there was more room than now.
            let mut fits = (limit != self.remaining)
                .then_some(self.remaining)
                .flatten();
            if let (Some(_), Fetched::List(_, Some(_)), Some(part)) =
                (fits, &fetched, spread.parts().get(index))
            {
                let asking = (index, part, String::new());
                fetched = ask(sender, spread, self.version, asking, self.remaining)
                    .await?
                    .fetched;
                fits = None;
            }
            match self.take(fetched, fits, false).await? {
                Taken::All => {}
                Taken::Until(token) => return Ok(self.end(Some(index), token)),
                Taken::TooMuch => return Ok(self.end(Some(index), String::new())),
            }
        }
        if self.array.is_none() {
            return Err(spread.refused_everywhere().into());
        }
        // Only without room is anything left.
        Ok(self.end((next < spread.parts().len()).then_some(next), String::new()))
    }

    /// The end, with the part that the list goes on in.
    fn end(&mut self, index: Option<usize>, after: String) -> End {
        let part = index.and_then(|index| self.spread.parts().get(index));
        let next = part.zip(self.version).map(|(part, version)| Position {
            version,
            namespace: part.namespace().to_string(),
            after,
        });
        End {
            next,
            version: self.version,
            after: std::mem::take(&mut self.after),
        }
    }

    /// Writes a part's items, if they are no more than fit.
    async fn take(
        &mut self,
        fetched: Fetched,
        fits: Option<u64>,
        first: bool,
    ) -> Result<Taken, Stop> {
        let Fetched::List(start, mut rest) = fetched else {
            return Ok(Taken::All);
        };
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        let mut begun = false;
        read(&mut splitter, &start, &mut out)?;
        if fits.is_some_and(|fits| splitter.count() > fits) {
            return Ok(Taken::TooMuch);
        }
        self.write(&splitter, &mut out, &mut begun).await;
        while let Some(body) = rest.as_mut() {
            match body.frame().await {
                Some(frame) => {
                    read(&mut splitter, &data(frame)?, &mut out)?;
                    self.write(&splitter, &mut out, &mut begun).await;
                }
                None => rest = None,
            }
        }
        splitter
            .finish()
            .map_err(|error| incident(&error.to_string()))?;
        if self.array.is_none() {
            self.begin(&splitter).await;
        }
        self.items += splitter.count();
        self.remaining = self
            .remaining
            .map(|room| room.saturating_sub(splitter.count()));
        self.finish(&splitter, first)
    }

    async fn write(&mut self, splitter: &Splitter, out: &mut Vec<u8>, begun: &mut bool) {
        if out.is_empty() {
            return;
        }
        if self.array.is_none() {
            self.begin(splitter).await;
        }
        if !std::mem::replace(begun, true) && self.items > 0 {
            self.writer.write(b",").await;
        }
        self.writer.write(out).await;
        out.clear();
    }

    /// Writes what comes before the items.
    async fn begin(&mut self, splitter: &Splitter) {
        let array = splitter.array().unwrap_or("items").to_owned();
        let mut head = String::from("{");
        for (name, value) in splitter.fields().iter().filter(|(n, _)| n != "metadata") {
            let _ = write!(head, "\"{name}\":{value},");
            self.written.push(name.clone());
        }
        let _ = write!(head, "\"{array}\":[");
        self.writer.write(head.as_bytes()).await;
        self.array = Some(array);
    }

    /// Reads what else the part's list says.
    fn finish(&mut self, splitter: &Splitter, first: bool) -> Result<Taken, Stop> {
        let metadata: Value = match splitter.field("metadata").map(serde_json::from_str) {
            None => Value::Null,
            Some(Ok(metadata)) => metadata,
            Some(Err(error)) => {
                return Err(incident(&format!("a list's metadata cannot be read: {error}")).into());
            }
        };
        let text = |name: &str| {
            metadata
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let version = text("resourceVersion").parse().ok();
        if first {
            self.version = version;
        } else if version != self.version {
            return Err(
                incident("a namespace answers with another state than it was asked for").into(),
            );
        }
        if splitter.array() != self.array.as_deref() {
            return Err(incident("namespaces answer in different forms").into());
        }
        self.remember(splitter);
        Ok(match text("continue") {
            "" => Taken::All,
            token => Taken::Until(token.to_owned()),
        })
    }

    /// Keeps the fields that came after the items.
    fn remember(&mut self, splitter: &Splitter) {
        for (name, value) in splitter.fields() {
            let known = self.written.contains(name) || self.after.iter().any(|(n, _)| n == name);
            if name != "metadata" && !known {
                self.after.push((name.clone(), value.clone()));
            }
        }
    }
}

async fn ask(
    sender: &Sender,
    spread: &Spread,
    version: Option<u64>,
    (index, part, after): (usize, &Part, String),
    limit: Option<u64>,
) -> Result<Answered, Stop> {
    let at = match version {
        _ if !after.is_empty() => At::Continue(&after),
        Some(version) => At::Exact(version),
        None => At::Newest,
    };
    let fetched = sender.fetch(&spread.list(part, at, limit)).await?;
    Ok(Answered {
        index,
        limit,
        fetched,
    })
}

fn read(splitter: &mut Splitter, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    splitter
        .push(bytes, out)
        .map_err(|error| incident(&error.to_string()).into())
}
