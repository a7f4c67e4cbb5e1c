//! Everything that the API server serves, through the gateway: each is answered as the table of
//! `docs/gateway.md` says, and nothing of another tenant's is even asked for.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Request, Response};
use bulkhead_scope::Verb;
use bulkhead_scope::table::{Answer, Place, Subject, is_shared, row};
use serde_json::Value;

use super::discovery::Served;
use crate::Check;
use crate::bed::Bed;
use crate::client::text;

pub(super) const TRIALS: &[(&str, Check)] = &[(
    "scope::everything_that_is_served_is_answered_as_the_table_says",
    everything,
)];

/// One request that was sent, with what the table says of it.
struct Sent {
    what: String,
    /// The kind, if it is one of the cluster's of which tenants see a part.
    shared: Option<String>,
    answer: Answer,
    verb: Verb,
    response: Response,
}

fn everything(bed: &Bed) -> anyhow::Result<()> {
    let mark = bed.audit_mark()?;
    let mut sent = Vec::new();
    for served in Served::list(bed)? {
        for name in &served.verbs {
            let verb = verb(name).with_context(|| format!("the verb `{name}` is new"))?;
            for place in [Place::Own, Place::Others, Place::Nowhere] {
                let Some(request) = request(bed, &served, verb, place) else {
                    continue;
                };
                let (resource, subresource) = match served.name.split_once('/') {
                    Some((resource, sub)) => (resource, Some(sub)),
                    None => (served.name.as_str(), None),
                };
                let subject = Subject {
                    group: &served.group,
                    resource,
                    subresource,
                    verb,
                    place,
                };
                let row = row(&subject).context("the table has a row for everything")?;
                sent.push(Sent {
                    what: format!("{verb} {} {place:?}", served.label()),
                    shared: is_shared(&served.group, resource).then(|| resource.to_owned()),
                    answer: row.answer,
                    verb,
                    response: bed.tenant(&request)?,
                });
            }
        }
    }
    ensure!(sent.len() > 1000, "only {} requests", sent.len());
    let mut upstream: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in bed.all_since(mark)? {
        let id = text(&entry, "/auditID").to_owned();
        upstream.entry(id).or_default().push(entry);
    }
    let wrong: Vec<String> = sent
        .iter()
        .filter_map(|sent| {
            let id = sent.response.header("audit-id").unwrap_or_default();
            let asked = upstream.get(id).map_or(&[][..], Vec::as_slice);
            let error = judge(bed, sent, asked).err()?;
            let (status, message) = (sent.response.status, sent.response.message());
            Some(format!(
                "{} ({}): {error}: {status} {message}",
                sent.what, sent.answer
            ))
        })
        .collect();
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        sent.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Whether what was answered, and what the API server was asked for it, is what the table says.
fn judge(bed: &Bed, sent: &Sent, asked: &[Value]) -> anyhow::Result<()> {
    let (status, message) = (sent.response.status, sent.response.message());
    ensure!(
        !sent.response.text().contains(&bed.field.canary),
        "the victim's data is in the answer"
    );
    for entry in asked {
        let namespace = text(entry, "/objectRef/namespace");
        let uri = text(entry, "/requestURI");
        ensure!(
            namespace != bed.theirs() && !uri.contains(bed.theirs()),
            "asked for `{uri}`"
        );
    }
    match sent.answer {
        Answer::Refused(expected) => {
            ensure!(status == expected, "expected {expected}");
            ensure!(asked.is_empty(), "the API server was asked");
        }
        Answer::Passed => {
            // Bodies are judged before they travel.
            let judged = matches!(sent.verb, Verb::Create | Verb::Update)
                && asked.is_empty()
                && (message.contains("the gateway: ")
                    || message.contains("cannot be judged")
                    || message.contains("of your namespaces"));
            ensure!(judged || !asked.is_empty(), "the API server was not asked");
        }
        // Nothing has that name, and a class must be on the tenant's list to be looked for.
        Answer::Narrowed if sent.verb == Verb::Get => ensure!(status == 404, "something is there"),
        Answer::Narrowed => {
            ensure!(!asked.is_empty(), "the API server was not asked");
            let alone = |entry: &Value| text(entry, "/objectRef/namespace").is_empty();
            ensure!(
                asked.iter().filter(|entry| alone(entry)).all(|entry| {
                    let resource = text(entry, "/objectRef/resource");
                    resource == "namespaces" || Some(resource) == sent.shared.as_deref()
                }),
                "asked for all namespaces"
            );
            ensure!(
                status == 200 || message.contains("at the cluster scope"),
                "no list"
            );
        }
        Answer::Computed => ensure!(matches!(status, 201 | 400 | 422), "no answer"),
    }
    Ok(())
}

pub(super) fn verb(name: &str) -> Option<Verb> {
    Some(match name {
        "get" => Verb::Get,
        "list" => Verb::List,
        "watch" => Verb::Watch,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch,
        "delete" => Verb::Delete,
        "deletecollection" => Verb::DeleteCollection,
        _ => return None,
    })
}

/// The request for a verb in a place, if there is one.
fn request(bed: &Bed, served: &Served, verb: Verb, place: Place) -> Option<Request> {
    let namespaces = served.group.is_empty() && served.name.split('/').next() == Some("namespaces");
    let collective = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection)
        || verb == Verb::Create && !served.name.contains('/');
    let namespace = match place {
        Place::Own => bed.own(),
        Place::Others => bed.theirs(),
        Place::Nowhere => "",
    };
    let there = match (namespaces, served.namespaced) {
        (true, _) => collective == (place == Place::Nowhere),
        // Only collections have a path without a namespace.
        (false, true) => collective || place != Place::Nowhere,
        (false, false) => place == Place::Nowhere,
    };
    if !there {
        return None;
    }
    // What is to be deleted is not there: a dry run, and another name.
    served.ask(verb.as_str(), namespace, "e2e-walk")
}
