//! Text into a syntax tree, with its limits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::Engine;
use serde_json::Value;

use crate::refusal::{Place, Refusal};

/// How long a policy may be, in bytes. The largest of public ones has 20 KiB.
pub const MAX_TEXT: usize = 256 * 1024;

/// How deep brackets may nest. At each the parser first tries a comprehension and then begins anew,
/// so its time doubles with every level; policies that people write stay below ten.
const MAX_NESTING: usize = 12;

/// Which Rego it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Rules without `if` and `contains`: what OPA took before 1.0.
    V0,
    /// What OPA takes since 1.0.
    V1,
}

/// A module's text, and where it is from.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// For messages.
    pub source: &'a str,
    /// The Rego.
    pub rego: &'a str,
    /// Which Rego.
    pub dialect: Dialect,
}

/// A module that parses: its text and its tree.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) source: String,
    pub(crate) rego: String,
    pub(crate) dialect: Dialect,
    /// `data.` and the package's path.
    pub(crate) package: String,
    /// The parser's tree, as it writes it.
    pub(crate) tree: Value,
}

/// Parses a module.
pub(crate) fn parse(text: &Text<'_>) -> Result<Module, Refusal> {
    within_limits(text)?;
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        let mut engine = Engine::new();
        engine.set_rego_v0(text.dialect == Dialect::V0);
        let package = engine.add_policy(text.source.to_owned(), text.rego.to_owned())?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((package, engine.get_ast_as_json()?))
    }));
    let (package, tree) = match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return Err(refusal("syntax", text.source, &error.to_string())),
        Err(_) => {
            return Err(Refusal::whole(
                "syntax",
                text.source,
                "the parser panics at it",
            ));
        }
    };
    let mut trees: Value = serde_json::from_str(&tree)
        .map_err(|error| Refusal::whole("too-large", text.source, error.to_string()))?;
    Ok(Module {
        source: text.source.to_owned(),
        rego: text.rego.to_owned(),
        dialect: text.dialect,
        package,
        tree: trees
            .get_mut(0)
            .and_then(|policy| policy.get_mut("ast"))
            .map(Value::take)
            .unwrap_or_default(),
    })
}

fn within_limits(text: &Text<'_>) -> Result<(), Refusal> {
    if text.rego.len() > MAX_TEXT {
        let message = format!(
            "has {} bytes; at most {MAX_TEXT} are taken",
            text.rego.len()
        );
        return Err(Refusal::whole("too-large", text.source, message));
    }
    let (mut depth, mut raw) = (0_usize, false);
    for (at, line) in text.rego.lines().enumerate() {
        let (mut quoted, mut escaped) = (false, false);
        for (column, c) in line.chars().enumerate() {
            match c {
                '`' if !quoted => raw = !raw,
                _ if raw => {}
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '#' => break,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err(Refusal {
                    rule: "too-large",
                    place: place(text.source, at + 1, column + 1),
                    message: format!("brackets nest deeper than {MAX_NESTING}"),
                });
            }
        }
    }
    Ok(())
}

fn place(source: &str, line: usize, column: usize) -> Place {
    Place {
        source: source.to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

/// The engine's error, whose words begin with ` --> source:line:column` if they have a place.
pub(crate) fn refusal(rule: &'static str, source: &str, error: &str) -> Refusal {
    let first = error.lines().find(|line| !line.trim().is_empty());
    let found = first
        .and_then(|line| line.split_once("--> "))
        .and_then(|(_, place)| {
            let mut parts = place.trim().rsplitn(3, ':');
            let column = parts.next()?.parse().ok()?;
            let line = parts.next()?.parse().ok()?;
            Some((parts.next()?, line, column))
        });
    let message = error
        .lines()
        .find_map(|line| line.trim().strip_prefix("error: "))
        .or(first)
        .unwrap_or("cannot be read")
        .trim()
        .to_owned();
    let place = found.map_or_else(
        || Place::whole(source),
        |(source, line, column)| place(source, line, column),
    );
    Refusal {
        rule,
        place,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rego: &str) -> Option<&'static str> {
        let text = Text {
            source: "a.rego",
            rego,
            dialect: Dialect::V0,
        };
        parse(&text).err().map(|refusal| refusal.rule)
    }

    #[test]
    fn nesting_that_the_parser_takes_ages_for_is_refused() {
        for open in ["[", "{", "(", "[{", "f(["] {
            for levels in [MAX_NESTING - 1, 27, 1000] {
                let opened: String = open.chars().cycle().take(levels).collect();
                let rule = refused(&format!("package a\n\nx = y {{ y := {opened}e }}\n"));
                assert!(rule.is_some(), "{opened}");
            }
        }
        let deep = format!("package a\n\nx = {}1{}\n", "[".repeat(27), "]".repeat(27));
        assert_eq!(refused(&deep), Some("too-large"));
    }

    #[test]
    fn brackets_in_text_nest_nothing() {
        let brackets = "[({".repeat(20);
        let rego = format!(
            "package a\n\n# {brackets}\nx = \"\\\"{brackets}\" {{ true }}\n\ny = `{brackets}\n{brackets}`\n"
        );
        assert_eq!(refused(&rego), None);
        assert_eq!(refused("package a\n\nx = [[[[[[[[[1]]]]]]]]]\n"), None);
    }
}
