//! `# bulkhead: allow NAME -- reason`: what the author of a file has decided to leave as it is.

use std::cell::Cell;
use std::ops::Range;

use bulkhead_manifests::{Comment, Node, Parsed};

/// More exceptions than this in one file are not taken: each is held against everything in it.
const MOST: usize = 1000;

/// Names, and the places where they are allowed.
#[derive(Debug)]
pub(crate) struct Allow {
    /// Where the comment stands.
    pub(crate) span: Range<usize>,
    pub(crate) names: Vec<Name>,
    pub(crate) has_reason: bool,
    covers: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) used: Cell<bool>,
}

/// The allowances of a file, and the comments to Bulkhead that say something else.
pub(crate) fn allows(
    text: &str,
    parsed: &Parsed,
    whole_file: bool,
) -> (Vec<Allow>, Vec<Range<usize>>) {
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    // Comments in a row are about the same line, which is looked for once.
    let mut below = 0..0;
    for comment in &parsed.comments {
        let Some(directive) = comment.text.trim().strip_prefix("bulkhead:") else {
            continue;
        };
        let Some((names, reason)) = understood(directive).filter(|_| found.len() < MOST) else {
            // A thousand of them say enough.
            if odd.len() < MOST {
                odd.push(comment.span.clone());
            }
            continue;
        };
        let covers = if whole_file {
            0..text.len()
        } else {
            covers(text, &parsed.documents, comment, &mut below)
        };
        found.push(Allow {
            span: comment.span.clone(),
            names: names
                .into_iter()
                .map(|name| Name {
                    name,
                    used: Cell::new(false),
                })
                .collect(),
            has_reason: reason,
            covers,
        });
    }
    (found, odd)
}

/// Whether some allowance covers a rule's finding at this byte. It counts as used from then on.
pub(crate) fn allowed(allows: &[Allow], rule: &str, at: usize) -> bool {
    let mut found = false;
    for allow in allows.iter().filter(|allow| allow.covers.contains(&at)) {
        for name in allow.names.iter().filter(|name| name.name == rule) {
            name.used.set(true);
            found = true;
        }
    }
    found
}

/// Names and whether there is a reason; none of what is no allowance.
fn understood(directive: &str) -> Option<(Vec<String>, bool)> {
    let rest = directive.trim().strip_prefix("allow")?;
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (names, reason) = rest.split_once(" --").unwrap_or((rest, ""));
    let names: Vec<String> = names
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    (!names.is_empty()).then_some((names, !reason.trim().is_empty()))
}

/// What a comment is about: behind something, the whole of it; on a line of its own, the whole of
/// what begins on the next line. Above an object, the object. `below` is the line that was found for
/// a comment before, from the end of that comment.
fn covers(
    text: &str,
    documents: &[Node],
    comment: &Comment,
    below: &mut Range<usize>,
) -> Range<usize> {
    let start = text
        .get(..comment.span.start)
        .and_then(|before| before.rfind('\n'));
    let line = start.map_or(0, |at| at + 1);
    let own_line = text
        .get(line..comment.span.start)
        .is_some_and(|before| before.trim().is_empty());
    let target = if own_line {
        if !below.contains(&comment.span.end) {
            *below = comment.span.end..next_line(text, comment.span.end).start;
        }
        line_at(text, below.end)
    } else {
        line..comment.span.start
    };
    let found = documents.iter().find_map(|document| {
        if own_line && target.contains(&document.span.start) {
            return Some(document.span.clone());
        }
        begins_in(document, &target)
    });
    found.unwrap_or(comment.span.clone())
}

/// The next line that is neither empty nor a comment.
fn next_line(text: &str, from: usize) -> Range<usize> {
    let mut at = from;
    for line in text.get(from..).unwrap_or_default().split_inclusive('\n') {
        let trimmed = line.trim();
        if at > from && !trimmed.is_empty() && !trimmed.starts_with('#') {
            return at..at + line.len();
        }
        at += line.len();
    }
    at..at
}

/// The line that begins here.
fn line_at(text: &str, start: usize) -> Range<usize> {
    let line = text
        .get(start..)
        .and_then(|rest| rest.split_inclusive('\n').next());
    start..start + line.map_or(0, str::len)
}

/// The outermost entry or element that begins in these bytes.
fn begins_in(node: &Node, bytes: &Range<usize>) -> Option<Range<usize>> {
    for entry in node.entries() {
        let whole = entry.key_span.start..entry.value.span.end.max(entry.key_span.end);
        if bytes.contains(&whole.start) {
            return Some(whole);
        }
        if whole.start < bytes.end
            && bytes.start < whole.end
            && let Some(found) = begins_in(&entry.value, bytes)
        {
            return Some(found);
        }
    }
    for item in node.items() {
        if bytes.contains(&item.span.start) {
            return Some(item.span.clone());
        }
        if item.span.start < bytes.end
            && bytes.start < item.span.end
            && let Some(found) = begins_in(item, bytes)
        {
            return Some(found);
        }
    }
    None
}
