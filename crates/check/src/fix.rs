//! The mended text of a file.

use bulkhead_controls::filled;
use bulkhead_manifests::{Content, Edit, Node, Parsed, edited, insertions, parse};
use bulkhead_model::Json;

use crate::allow::allows;
use crate::check::{judged, plain, read, wanted};
use crate::index::Index;
use crate::settings::{Settings, Source};

/// What is to become of one object.
struct Plan {
    /// Which object of the file.
    object: usize,
    edits: Vec<Edit>,
    expect: Json<'static>,
}

/// The text with every mend that is safe: values of fields that nobody has set, and nothing else.
/// None if there is nothing to mend.
///
/// The result is read again: it holds the objects that it should, or the edits of those that it
/// should not are left out.
#[must_use]
pub fn fix(source: &Source<'_>, settings: &Settings, index: &Index) -> Option<String> {
    let parsed = read(source);
    if source.dockerfile || parsed.is_broken() {
        return None;
    }
    let plans = plans(source, settings, index, &parsed);
    if plans.is_empty() {
        return None;
    }
    let before = objects(&parsed);
    if let Some(text) = attempt(source.text, &before, &plans.iter().collect::<Vec<_>>()) {
        return Some(text);
    }
    // Something is too clever. Find out what, one object after the other.
    let mut good: Vec<&Plan> = Vec::new();
    let mut best = None;
    for plan in &plans {
        good.push(plan);
        match attempt(source.text, &before, &good) {
            Some(text) => best = Some(text),
            None => {
                good.pop();
            }
        }
    }
    best
}

fn plans(source: &Source<'_>, settings: &Settings, index: &Index, parsed: &Parsed) -> Vec<Plan> {
    let (allows, _) = allows(source.text, parsed, false);
    let mut plans = Vec::new();
    for (object, content) in contents(parsed).enumerate() {
        let Content::Object {
            api_version,
            kind,
            node,
        } = content
        else {
            continue;
        };
        let Some(Ok(inspection)) = judged((api_version, kind, node), settings, index) else {
            continue;
        };
        let fills = wanted(&inspection, node, settings, &allows);
        if fills.is_empty() {
            continue;
        }
        if let Some(edits) = insertions(source.text, node, &plain(&fills)) {
            let expect = filled(&node.to_json(), fills.iter()).into_owned();
            plans.push(Plan {
                object,
                edits,
                expect,
            });
        }
    }
    plans
}

/// The edited text, if it says what it should.
fn attempt(text: &str, before: &[Json<'static>], plans: &[&Plan]) -> Option<String> {
    let edits: Vec<Edit> = plans.iter().flat_map(|plan| plan.edits.clone()).collect();
    let new = edited(text, &edits);
    let parsed = parse(&new);
    if parsed.is_broken() {
        return None;
    }
    let after = objects(&parsed);
    let expected = |index: usize| {
        let plan = plans.iter().find(|plan| plan.object == index);
        plan.map(|plan| &plan.expect).or_else(|| before.get(index))
    };
    let right = after.len() == before.len()
        && after
            .iter()
            .enumerate()
            .all(|(index, object)| expected(index) == Some(object));
    right.then_some(new)
}

fn contents(parsed: &Parsed) -> impl Iterator<Item = Content<'_>> {
    parsed.documents.iter().flat_map(Content::of)
}

/// Every object of a file; what is none counts, as nothing.
fn objects(parsed: &Parsed) -> Vec<Json<'static>> {
    let json = |content: Content<'_>| match content {
        Content::Object { node, .. } => Node::to_json(node).into_owned(),
        Content::Other(_) => Json::Null,
    };
    contents(parsed).map(json).collect()
}
