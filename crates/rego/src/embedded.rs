//! Rego that stands in YAML: where a place of the Rego is in the file.

use serde_json::Value;

use crate::refusal::Place;

/// The place of a line of Rego in the file that holds it. `text` is the file, `objects` are its
/// objects, `file` what it is called.
#[must_use]
pub fn place_in_file(place: &Place, file: &str, text: &str, objects: &[Value]) -> Place {
    let mut place = place.clone();
    if place.line == 0 {
        return place;
    }
    let policies = objects.iter().flat_map(texts);
    // Of a library the place says so, of the policy itself it says nothing.
    let lib = place.source.rsplit_once(" libs[");
    let at = lib.and_then(|(_, rest)| rest.trim_end_matches(']').parse::<usize>().ok());
    let rego = policies.filter(|(of, _)| *of == at).map(|(_, rego)| rego);
    for rego in rego {
        if let Some((line, indent)) = locate(text, rego) {
            place.line += line;
            place.column += indent;
            break;
        }
    }
    file.clone_into(&mut place.source);
    place
}

/// The texts of Rego in an object: the policy, and its libraries by number.
fn texts(object: &Value) -> Vec<(Option<usize>, &str)> {
    let target = object.pointer("/spec/targets/0");
    let code = target.and_then(|target| {
        let engines = target.get("code")?.as_array()?.iter();
        engines
            .filter_map(|engine| engine.get("source"))
            .find(|source| source.get("rego").is_some())
    });
    let code = code.or(target);
    let mut found = Vec::new();
    if let Some(code) = code {
        found.extend(
            code.get("rego")
                .and_then(Value::as_str)
                .map(|rego| (None, rego)),
        );
        let libs = code
            .get("libs")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        found.extend(
            libs.enumerate()
                .filter_map(|(at, lib)| Some((Some(at), lib.as_str()?))),
        );
    }
    let data = object
        .get("data")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    found.extend(data.filter_map(|(_, rego)| Some((None, rego.as_str()?))));
    found
}

/// How many lines stand before a block in a YAML text, and how far it is set in.
fn locate(text: &str, block: &str) -> Option<(u32, u32)> {
    let wanted: Vec<&str> = block.lines().collect();
    let lines: Vec<&str> = text.lines().collect();
    let first = wanted.iter().position(|line| !line.trim().is_empty())?;
    let same = |at: usize| {
        wanted.iter().enumerate().all(|(line, wanted)| {
            lines
                .get(at + line)
                .is_some_and(|found| found.trim() == wanted.trim())
        })
    };
    let at = (0..lines.len()).find(|at| same(*at))?;
    let found = lines.get(at + first)?;
    let indent = found.find(wanted.get(first)?.trim_end())?;
    Some((u32::try_from(at).ok()?, u32::try_from(indent).ok()?))
}
