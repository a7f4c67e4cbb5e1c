//! YAML and JSON, which is YAML as well, into documents.

use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use crate::build::Builder;
use crate::node::Style;
use crate::problem::{Problem, ProblemKind};
use crate::scalar;
use crate::{Comment, Parsed};

/// The largest text that is read. An API server takes no object above 3 MiB.
const LARGEST: usize = 64 << 20;

/// Reads every document of a text.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    if text.len() > LARGEST {
        parsed.problems.push(Problem {
            kind: ProblemKind::TooLarge,
            span: 0..0,
            message: format!("the file is larger than {} MiB", LARGEST >> 20),
            related: None,
        });
        return parsed;
    }
    let mut parser = Parser::new_from_str_with_options(text, options());
    let mut builder = Builder::default();
    let mut first = true;
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((Event::DocumentStart(explicit, _), span))) => {
                separator(text, explicit, first, &bytes(&span), &mut builder);
                first = false;
            }
            Some(Ok((Event::DocumentEnd, _))) => close(&mut builder, &mut parsed),
            Some(Ok((Event::Comment(comment, _), span))) => parsed.comments.push(Comment {
                span: bytes(&span),
                text: comment.into_owned(),
            }),
            Some(Ok((event, span))) => node(event, &span, &mut builder),
            Some(Err(error)) => {
                builder.problem(kind(&error), at(text, &error), message(&error));
                close(&mut builder, &mut parsed);
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    // What an unfinished document has left is a problem, never a pass.
    close(&mut builder, &mut parsed);
    parsed
}

fn options() -> Options {
    granit_parser::options! {
        disallow_directives: true,
        block_scalar_eof_without_line_feed: true,
        max_buffered_comment_events: 100_000,
    }
}

fn close(builder: &mut Builder, parsed: &mut Parsed) {
    let (document, problems) = std::mem::take(builder).finish();
    parsed.documents.extend(document);
    parsed.problems.extend(problems);
}

fn node(event: Event<'_>, span: &Span, builder: &mut Builder) {
    let place = bytes(span);
    match event {
        Event::Scalar(value, style, anchor, tag) => {
            let plain = style == ScalarStyle::Plain;
            let tag = tag.as_deref().map(|tag| core(tag));
            builder.scalar(&value, plain, tag, place, anchor);
        }
        Event::SequenceStart(style, anchor, _) => {
            builder.start_list(place.start, anchor, self::style(style));
        }
        Event::MappingStart(style, anchor, _) => {
            builder.start_map(place.start, anchor, self::style(style));
        }
        Event::SequenceEnd | Event::MappingEnd => builder.end(place.end),
        Event::Alias(id) => builder.alias(id, place),
        _ => {}
    }
}

/// `kubectl` cuts a stream at lines that start with `---`, and reads one document of each piece.
fn separator(text: &str, explicit: bool, first: bool, span: &Range<usize>, builder: &mut Builder) {
    if !explicit && !first {
        let message = "what follows `...` is read only after a line `---`";
        builder.problem(ProblemKind::Syntax, span.clone(), message);
    }
    if explicit && span.start > 0 {
        let line = text.get(span.end..).and_then(|rest| rest.lines().next());
        let rest = line.unwrap_or_default().trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            let message =
                "`---` must stand alone in its line: kubectl does not read what follows it there";
            builder.problem(ProblemKind::Syntax, span.clone(), message);
        }
    }
}

fn style(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Block => Style::Block,
        StructureStyle::Flow => Style::Flow,
    }
}

fn core(tag: &Tag) -> scalar::Tag<'_> {
    match tag.core_suffix() {
        Some(suffix) => scalar::Tag::Core(suffix),
        None => scalar::Tag::Other,
    }
}

fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or_default();
    start..span.end.byte_offset().unwrap_or_default().max(start)
}

fn at(text: &str, error: &ScanError) -> Range<usize> {
    let at = error
        .marker()
        .byte_offset()
        .unwrap_or_default()
        .min(text.len());
    let mut end = (at + 1).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    at..end
}

fn kind(error: &ScanError) -> ProblemKind {
    // The parser's own limits of depth are those of `Options`.
    if error.info().contains("limit") {
        ProblemKind::TooLarge
    } else {
        ProblemKind::Syntax
    }
}

fn message(error: &ScanError) -> String {
    error.info().to_string()
}
