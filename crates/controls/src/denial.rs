//! What people read when they are refused.

use std::fmt::Write;

use bulkhead_model::Finding;

use crate::registry::by_name;

/// More places of one control than this are only counted.
const PLACES: usize = 3;
/// A terminal's worth: the text ends here whatever a manifest holds.
const LONGEST: usize = 4096;

/// The text of a refusal: each control with the fields that it found, why, and how to mend it.
/// Empty if there are no findings.
#[must_use]
pub fn denial(findings: &[Finding]) -> String {
    let mut controls: Vec<&'static str> = Vec::new();
    for finding in findings {
        if !controls.contains(&finding.control) {
            controls.push(finding.control);
        }
    }
    let mut text = match controls.len() {
        0 => return String::new(),
        1 => "refused by a control of this tenant\n".to_owned(),
        count => format!("refused by {count} controls of this tenant\n"),
    };
    for name in &controls {
        control(&mut text, name, findings);
    }
    let more = match controls.as_slice() {
        [name] => format!("\nMore about it: bulkhead explain {name}"),
        _ => "\nMore about each: bulkhead explain NAME".to_owned(),
    };
    cut(&mut text, LONGEST - more.len());
    text.push_str(&more);
    text
}

fn control(text: &mut String, name: &'static str, findings: &[Finding]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{name}");
    let mut places = findings.iter().filter(|finding| finding.control == name);
    for finding in places.by_ref().take(PLACES) {
        let _ = writeln!(text, "  {} {}", finding.path, finding.detail);
    }
    match places.count() {
        0 => {}
        1 => text.push_str("  and 1 more place\n"),
        more => {
            let _ = writeln!(text, "  and {more} more places");
        }
    }
    if let Some(control) = by_name(name) {
        let _ = writeln!(text, "  why:  {}\n  mend: {}", control.why, control.remedy);
    }
}

/// Shortens a text to a number of bytes, between characters.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("…\n");
    }
}
