//! What people read when they are refused.

use bulkhead_model::Finding;

use crate::registry::by_name;

/// More places of one control than this are only counted.
const PLACES: usize = 3;
/// A terminal's worth: the text ends here whatever a manifest holds.
const LONGEST: usize = 4096;
/// The longest line about one place.
const LONGEST_LINE: usize = 400;
/// Stands where something was cut off.
const MARK: &str = "…";

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
    // Events cut a text after a thousand bytes, so the names come first.
    let mut text = match controls.as_slice() {
        [] => return String::new(),
        [name] => format!("refused by {name}\n"),
        names => format!(
            "refused by {} controls: {}\n",
            names.len(),
            names.join(", ")
        ),
    };
    for name in &controls {
        if controls.len() > 1 {
            text.push_str(&format!("\n{name}\n"));
        }
        control(&mut text, name, findings);
    }
    let more = match controls.as_slice() {
        [name] => format!("more: bulkhead explain {name}"),
        _ => "\nmore: bulkhead explain NAME".to_owned(),
    };
    cut(&mut text, LONGEST - more.len());
    text.push_str(&more);
    text
}

fn control(text: &mut String, name: &'static str, findings: &[Finding]) {
    let mut places = findings.iter().filter(|finding| finding.control == name);
    for finding in places.by_ref().take(PLACES) {
        let mut line = format!("  {} {}", finding.path, finding.detail);
        cut(&mut line, LONGEST_LINE);
        text.push_str(&line);
        text.push('\n');
    }
    match places.count() {
        0 => {}
        1 => text.push_str("  and 1 more place\n"),
        more => text.push_str(&format!("  and {more} more places\n")),
    }
    if let Some(control) = by_name(name) {
        text.push_str(&format!(
            "  why:  {}\n  mend: {}\n",
            control.why, control.remedy
        ));
    }
}

/// Shortens a text to a number of bytes, between characters.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes - MARK.len())
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push_str(MARK);
    }
}
