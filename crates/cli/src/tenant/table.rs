//! Aligned columns that read the same on a terminal, in a pipe and in a ticket.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

/// What a row tells; colours it on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Good,
    Bad,
    Plain,
}

impl State {
    /// By a condition's status.
    pub(super) fn of(status: &str) -> Self {
        match status {
            "True" => Self::Good,
            "False" => Self::Bad,
            _ => Self::Plain,
        }
    }

    pub(super) fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Plain => Style::new(),
        }
    }
}

/// Rows under a heading.
pub(super) struct Table {
    rows: Vec<(State, Vec<String>)>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        let heading = heading.iter().map(|text| (*text).to_owned()).collect();
        Self {
            rows: vec![(State::Plain, heading)],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, state: State, cells: [&str; N]) {
        // What comes from the cluster stays on its line and sends no control codes.
        let clean = |cell: &&str| cell.chars().map(printable).collect();
        self.rows.push((state, cells.iter().map(clean).collect()));
    }

    /// The table, each line after `indent` blanks. Only the second column takes the colour.
    pub(super) fn text(&self, indent: usize) -> String {
        let columns = self.rows.first().map_or(0, |(_, cells)| cells.len());
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for (state, cells) in &self.rows {
            let _ = write!(out, "{:indent$}", "");
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                let last = column + 1 == columns;
                let style = if column == 1 {
                    state.style()
                } else {
                    Style::new()
                };
                let gap = if last {
                    0
                } else {
                    width - cell.chars().count() + 2
                };
                let _ = write!(out, "{style}{cell}{style:#}{:gap$}", "");
            }
            while out.ends_with(' ') {
                out.pop();
            }
            out.push('\n');
        }
        out
    }
}

pub(super) fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// The text at a JSON pointer; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let value = value.pointer(pointer).and_then(Value::as_str);
    value.unwrap_or_default()
}

/// The list at a JSON pointer; empty if there is none.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// What an object's `labels` or `annotations` say of a key.
pub(super) fn mark<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}
