//! Lines of a Dockerfile into instructions: continuations, comments, heredocs, `# escape`.

use std::ops::Range;

/// One instruction, with all of its lines.
#[derive(Debug, PartialEq)]
pub(crate) struct Instruction {
    /// In upper case.
    pub(crate) keyword: String,
    pub(crate) keyword_span: Range<usize>,
    /// What follows the keyword, continuations joined.
    pub(crate) arguments: String,
    /// Its part in the first line that has some.
    pub(crate) arguments_span: Range<usize>,
    /// Keyword and arguments.
    pub(crate) span: Range<usize>,
}

struct Line<'a> {
    start: usize,
    text: &'a str,
}

/// The instructions of a text, and where its comments stand.
pub(crate) fn instructions(text: &str) -> (Vec<Instruction>, Vec<Range<usize>>) {
    let mut start = 0;
    let mut lines = text.split_inclusive('\n').map(|line| {
        let at = start;
        start += line.len();
        Line {
            start: at,
            text: line.trim_end_matches(['\n', '\r']),
        }
    });
    let escape = escape(text);
    let (mut found, mut comments) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next() {
        let trimmed = line.text.trim_start_matches(['\u{feff}', ' ', '\t']);
        let at = line.start + line.text.len() - trimmed.len();
        if trimmed.starts_with('#') {
            comments.push(at..line.start + line.text.len());
            continue;
        }
        if trimmed.trim().is_empty() {
            continue;
        }
        let mut instruction = first_line(trimmed, at);
        let mut more = continues(&mut instruction.arguments, escape);
        while more {
            let Some(next) = lines.next() else { break };
            let part = next.text.trim_start();
            let from = next.start + next.text.len() - part.len();
            if part.starts_with('#') {
                comments.push(from..next.start + next.text.len());
                continue;
            }
            if part.is_empty() {
                continue;
            }
            if instruction.arguments.trim().is_empty() {
                let end = from + part.trim_end_matches(escape).trim_end().len();
                instruction.arguments_span = from..end;
                instruction.span.end = end;
            }
            let mut part = part.to_owned();
            more = continues(&mut part, escape);
            instruction.arguments.push_str(&part);
        }
        for (delimiter, tabs) in heredocs(&instruction) {
            for line in lines.by_ref() {
                let text = if tabs {
                    line.text.trim_start_matches('\t')
                } else {
                    line.text
                };
                if text == delimiter {
                    break;
                }
            }
        }
        found.push(instruction);
    }
    (found, comments)
}

fn first_line(line: &str, at: usize) -> Instruction {
    let length = line.find(char::is_whitespace).unwrap_or(line.len());
    let (keyword, rest) = line.split_at(length);
    let arguments = rest.trim_start();
    let from = at + line.len() - arguments.len();
    let shown = arguments.trim_end_matches(['\\', '`']).trim_end();
    Instruction {
        keyword: keyword.trim_end_matches(['\\', '`']).to_ascii_uppercase(),
        keyword_span: at..at + length,
        arguments: arguments.to_owned(),
        arguments_span: from..from + shown.len(),
        span: at..(from + shown.len()).max(at + length),
    }
}

/// Takes the sign of a continuation off the end of a line.
fn continues(line: &mut String, escape: char) -> bool {
    let end = line.trim_end();
    match end.strip_suffix(escape) {
        Some(rest) => {
            *line = rest.to_owned();
            true
        }
        None => false,
    }
}

/// The directive `# escape=` counts in the lines before anything else.
fn escape(text: &str) -> char {
    for line in text.trim_start_matches('\u{feff}').lines() {
        let Some((key, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|d| d.split_once('='))
        else {
            break;
        };
        let key = key.trim();
        if key.eq_ignore_ascii_case("escape") {
            return if value.trim() == "`" { '`' } else { '\\' };
        }
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            break;
        }
    }
    '\\'
}

/// Delimiters of the documents that follow, and whether tabs before them are dropped.
fn heredocs(instruction: &Instruction) -> Vec<(String, bool)> {
    if !["RUN", "COPY", "ADD"].contains(&instruction.keyword.as_str()) {
        return Vec::new();
    }
    let words = instruction.arguments.split_whitespace();
    let found = words.filter_map(|word| {
        let word = word
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix("<<")?;
        let (word, tabs) = match word.strip_prefix('-') {
            Some(word) => (word, true),
            None => (word, false),
        };
        let name = word.trim_matches(['"', '\'']);
        let well_formed = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        well_formed.then(|| (name.to_owned(), tabs))
    });
    found.collect()
}
