//! For a terminal: the lines of the source with marks under the fields.

use std::collections::{BTreeSet, HashMap};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level as Style, Renderer, Snippet};

use crate::issue::{FileReport, Issue, Level, Region, Severity};
use crate::summary::Summary;
use crate::writer::Look;

/// More places of one rule in one object than this are only counted.
const PLACES: usize = 4;
/// Columns before the text of a note: a line number of up to four digits, ` = `, `mend: `.
const GUTTER: usize = 14;

pub(crate) fn file(file: &FileReport, source: &str, look: Look) -> String {
    let path = printable(&file.path);
    let mut out = String::new();
    let mut explained = BTreeSet::new();
    for together in by_rule_and_object(&file.issues) {
        let Some(first) = together.first() else {
            continue;
        };
        let explain = explained.insert(first.rule);
        let group = group(&together, &path, source, explain, look.width);
        out.push_str(&renderer(look).render(&[group]));
        out.push_str("\n\n");
    }
    out
}

pub(crate) fn end(summary: &Summary, look: Look) -> String {
    let (bold, plain) = if look.colour {
        ("\u{1b}[1m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    let mut out = format!("{bold}{}{plain}\n", summary.headline());
    for line in summary.footnotes() {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn renderer(look: Look) -> Renderer {
    let renderer = if look.colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer
        .decor_style(DecorStyle::Ascii)
        .term_width(look.width)
}

/// Issues of one rule in one object belong together, at the place of the first.
fn by_rule_and_object(issues: &[Issue]) -> Vec<Vec<&Issue>> {
    let mut groups: Vec<Vec<&Issue>> = Vec::new();
    let mut known = HashMap::new();
    for issue in issues {
        let next = groups.len();
        let key = issue.object.as_ref();
        let at = key.map_or(next, |object| {
            *known
                .entry((issue.rule, issue.level, object))
                .or_insert(next)
        });
        match groups.get_mut(at) {
            Some(group) => group.push(issue),
            None => groups.push(vec![issue]),
        }
    }
    groups
}

fn group<'a>(
    issues: &[&'a Issue],
    path: &'a str,
    source: &'a str,
    explain: bool,
    width: usize,
) -> Group<'a> {
    // Notes stand behind the line numbers, ` = ` and their own names.
    let wrapped = |text: &str| wrap(text, width.saturating_sub(GUTTER));
    let Some((first, more)) = issues.split_first() else {
        return Group::with_level(Style::NOTE);
    };
    let title = match (&first.object, more) {
        (Some(object), []) => format!("{object}: {}", first.message()),
        (Some(object), _) => format!("{object}: {} places", issues.len()),
        (None, _) => first.message(),
    };
    let shown: Vec<&Issue> = issues.iter().copied().take(PLACES).collect();
    let mut group = style(first)
        .primary_title(printable(&title))
        .id(first.rule)
        .element(snippet(&shown, path, source));
    if issues.len() > shown.len() {
        let hidden = match issues.len() - shown.len() {
            1 => "and 1 more place".to_owned(),
            more => format!("and {more} more places"),
        };
        group = group.element(Style::NOTE.no_name().message(hidden));
    }
    if explain {
        let why = Style::NOTE.with_name("why").message(wrapped(first.why));
        group = group.element(why);
    }
    if let Some(mend) = first.mend {
        let fixable = issues.iter().all(|issue| issue.fixable);
        let by = if fixable { "; `--fix` does it" } else { "" };
        group = group.element(
            Style::HELP
                .with_name("mend")
                .message(wrapped(&format!("{mend}{by}"))),
        );
    }
    if explain && first.severity.is_some() {
        let more = format!("bulkhead explain {}", first.rule);
        group = group.element(Style::NOTE.with_name("more").message(more));
    }
    group
}

/// The lines from the first mark to the last, with what lies between them folded.
fn snippet<'a>(
    issues: &[&'a Issue],
    path: &'a str,
    source: &'a str,
) -> Snippet<'a, Annotation<'a>> {
    let related = issues.iter().filter_map(|issue| issue.related.as_ref());
    let regions = issues
        .iter()
        .map(|i| &i.region)
        .chain(related.clone().map(|r| &r.region));
    let start = regions
        .clone()
        .map(|region| region.bytes.start)
        .min()
        .unwrap_or(0);
    let end = regions
        .clone()
        .map(|region| region.bytes.start)
        .max()
        .unwrap_or(0);
    let line = regions.map(|region| region.line).min().unwrap_or(1);
    let from = source
        .get(..start)
        .and_then(|text| text.rfind('\n'))
        .map_or(0, |at| at + 1);
    let to = source
        .get(end..)
        .and_then(|text| text.find('\n'))
        .map_or(source.len(), |at| end + at);
    let excerpt = source.get(from..to).unwrap_or_default();
    // A mark of several lines would hide what it marks: its first line is enough.
    let mark = |region: &Region| {
        let start = region.bytes.start.saturating_sub(from).min(excerpt.len());
        let line = excerpt
            .get(start..)
            .and_then(|rest| rest.find(['\n', '\r']));
        let end = line.map_or(excerpt.len(), |length| start + length);
        let end = region
            .bytes
            .end
            .saturating_sub(from)
            .clamp(start, end.max(start));
        start..end
    };
    let one = issues.len() == 1;
    let primary = issues.iter().map(|issue| {
        let label = match (one, issue.field.rsplit(['.', ']']).next()) {
            (true, _) => None,
            (false, Some(field)) if !field.is_empty() => {
                Some(format!("`{field}` {}", issue.detail))
            }
            (false, _) => Some(issue.detail.clone()),
        };
        let kind = AnnotationKind::Primary.span(mark(&issue.region));
        kind.label(label.map(|label| printable(&label)))
    });
    let context = related.map(|related| {
        AnnotationKind::Context
            .span(mark(&related.region))
            .label(related.message.as_str())
    });
    Snippet::source(excerpt)
        .path(path)
        .line_start(line)
        .fold(true)
        .annotations(primary)
        .annotations(context)
}

fn style(issue: &Issue) -> Style<'static> {
    match (issue.level, issue.severity) {
        (Level::Finding, Some(severity @ Severity::Medium)) => {
            Style::WARNING.with_name(severity.word())
        }
        (Level::Finding, Some(severity)) => Style::ERROR.with_name(severity.word()),
        (Level::Finding, None) => Style::ERROR.with_name("finding"),
        (Level::Unreadable, _) => Style::ERROR,
        (Level::Warning, _) => Style::WARNING,
        (Level::NotChecked, _) => Style::NOTE.with_name("not checked"),
    }
}

/// A text in lines of at most this many characters, broken between words.
fn wrap(text: &str, width: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

/// What a terminal would obey is shown instead.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
