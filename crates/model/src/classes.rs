//! Which classes of one kind (priority, storage, ingress, runtime, device, …) a tenant may name.

use std::collections::BTreeSet;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::names::ClassName;

/// The classes that a tenant may name: those that are listed, those that the pattern fits as a
/// whole, and the default. A tenant without a list may name none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClassList {
    /// Names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed: BTreeSet<ClassName>,
    /// Names that fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_regex: Option<ClassPattern>,
    /// What objects get that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ClassName>,
}

impl ClassList {
    /// More names in one list are refused.
    pub const MAX_ALLOWED: usize = 100;

    /// Whether it permits nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an object of the tenant may name this class.
    #[must_use]
    pub fn permits(&self, name: &str) -> bool {
        self.lists(name)
            || self
                .allowed_regex
                .as_ref()
                .is_some_and(|pattern| pattern.fits(name))
    }

    /// Whether the name stands in the list, or is the default: for classes so strong that a
    /// pattern must not give them by accident.
    #[must_use]
    pub fn lists(&self, name: &str) -> bool {
        let mut names = self.allowed.iter().chain(&self.default);
        names.any(|class| class.as_str() == name)
    }
}

impl fmt::Display for ClassList {
    /// As a refusal shows it: "one of `a`, `b`, or what `^x-` fits".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = Vec::new();
        for class in self.default.iter().chain(&self.allowed) {
            let shown = format!("`{class}`");
            if !names.contains(&shown) {
                names.push(shown);
            }
        }
        match (names.as_slice(), &self.allowed_regex) {
            ([], None) => f.write_str("none"),
            ([], Some(pattern)) => write!(f, "what `{pattern}` fits"),
            (names, None) => f.write_str(&names.join(", ")),
            (names, Some(pattern)) => write!(f, "{}, and what `{pattern}` fits", names.join(", ")),
        }
    }
}

/// A regular expression over class names that fits names as a whole: `gold` does not fit
/// `gold-2`. It takes time linear in the name's length, and its size is bounded.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassPattern {
    written: String,
    compiled: Regex,
}

/// Why a string is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nobody reads such a pattern, and compiling it costs.
    #[error("is {0} bytes long, at most {MAX_PATTERN} are allowed")]
    Long(usize),
    /// It fits nothing, so the field should not be there.
    #[error("is empty: leave the field out, or write `.*` for any name")]
    Empty,
    /// Not a regular expression as Rust's `regex` and Go's RE2 know them.
    #[error("`{0}` is not a regular expression without look-around and back-references")]
    Syntax(String),
    /// Repetitions of repetitions blow it up.
    #[error("`{0}` is too large once its repetitions are written out")]
    Large(String),
}

/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 256;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 64 * 1024;
/// Deepest nesting of groups.
const MAX_DEPTH: u32 = 16;

impl ClassPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PatternError`]; the pattern is empty, long, not regular, or too large.
    pub fn parse(written: &str) -> Result<Self, PatternError> {
        if written.is_empty() {
            return Err(PatternError::Empty);
        }
        if written.len() > MAX_PATTERN {
            return Err(PatternError::Long(written.len()));
        }
        // Alone first: `a)|(?:b` is no pattern, though it would be one between parentheses.
        compile(written)?;
        let compiled = compile(&format!(r"\A(?:{written})\z"))?;
        Ok(Self {
            written: written.to_owned(),
            compiled,
        })
    }

    /// Whether the whole name fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        self.compiled.is_match(name.as_bytes())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

/// Class names are ASCII, so bytes are characters and no tables of Unicode are needed.
fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(pattern);
    builder
        .unicode(false)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_DEPTH);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::Large(pattern.to_owned()),
        _ => PatternError::Syntax(pattern.to_owned()),
    })
}

impl fmt::Debug for ClassPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClassPattern").field(&self.written).finish()
    }
}

impl fmt::Display for ClassPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for ClassPattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for ClassPattern {}

impl TryFrom<String> for ClassPattern {
    type Error = PatternError;
    fn try_from(written: String) -> Result<Self, PatternError> {
        Self::parse(&written)
    }
}

impl From<ClassPattern> for String {
    fn from(pattern: ClassPattern) -> Self {
        pattern.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> ClassList {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_list_permits_names_patterns_and_its_default() {
        let classes = list(r#"{"allowed":["gold"],"allowedRegex":"acme-.*","default":"plain"}"#);
        for (name, expect) in [
            ("gold", true),
            ("gold-2", false),
            ("acme-fast", true),
            ("x-acme-fast", false),
            ("plain", true),
            ("", false),
        ] {
            assert_eq!(classes.permits(name), expect, "{name}");
        }
        assert!(!classes.lists("acme-fast") && classes.lists("plain"));
        assert!(!ClassList::default().permits("gold"));
        assert_eq!(
            classes.to_string(),
            "`plain`, `gold`, and what `acme-.*` fits"
        );
        assert_eq!(ClassList::default().to_string(), "none");
    }

    #[test]
    fn a_pattern_fits_names_as_a_whole() {
        for (pattern, name, expect) in [
            ("gold|silver", "silver", true),
            ("gold|silver", "silver-x", false),
            ("gold|silver", "x-gold", false),
            ("(?i)gold", "GOLD", true),
            ("^gold$", "gold", true),
            ("(?m)^gold$", "x\ngold\ny", false),
            ("g.ld", "g\nld", false),
        ] {
            let fits = ClassPattern::parse(pattern).unwrap().fits(name);
            assert_eq!(fits, expect, "{pattern} {name:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "a".repeat(MAX_PATTERN + 1);
        let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
        for (pattern, expect) in [
            ("", PatternError::Empty),
            (&long, PatternError::Long(MAX_PATTERN + 1)),
            ("(", PatternError::Syntax("(".into())),
            ("a)|(?:b", PatternError::Syntax("a)|(?:b".into())),
            ("(?=a)b", PatternError::Syntax("(?=a)b".into())),
            (r"(a)\1", PatternError::Syntax(r"(a)\1".into())),
            (&deep, PatternError::Syntax(deep.clone())),
        ] {
            assert_eq!(ClassPattern::parse(pattern), Err(expect), "{pattern}");
        }
        let json = r#"{"allowedRegex":"("}"#;
        assert!(serde_json::from_str::<ClassList>(json).is_err());
        assert!(serde_json::from_str::<ClassList>(r#"{"denied":[]}"#).is_err());
    }

    /// Repetitions of repetitions are refused before they are written out, and what blows up in
    /// engines that go back ends here (elsewhere it would not, in a lifetime).
    #[test]
    fn patterns_that_blow_up_cost_nothing() {
        for bomb in [
            "((a{100}){100}){100}",
            "(x{50}){50}",
            "((((a{9}){9}){9}){9}){9}",
        ] {
            let error = ClassPattern::parse(bomb).unwrap_err();
            assert!(matches!(error, PatternError::Large(_)), "{bomb}: {error}");
        }
        let evil = ClassPattern::parse("(a*)*b|(a|a)*c|(a+)+$").unwrap();
        assert!(!evil.fits(&format!("{}!", "a".repeat(10_000))));
    }

    #[test]
    fn lists_survive_the_annotation() {
        let json = r#"{"allowed":["a","b"],"allowedRegex":"c-.*","default":"a"}"#;
        assert_eq!(serde_json::to_string(&list(json)).unwrap(), json);
        assert_eq!(serde_json::to_string(&ClassList::default()).unwrap(), "{}");
    }
}
