//! Why a policy is not taken.

use std::fmt;

/// A place in a policy's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, or the object and the field of it that holds the text.
    pub source: String,
    /// From 1; 0 where the whole of it is meant.
    pub line: u32,
    /// From 1; 0 where the whole line is meant.
    pub column: u32,
}

impl Place {
    /// All of a text.
    #[must_use]
    pub fn whole(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// A policy that is not taken: which rule refuses it, where, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {message} ({rule})")]
pub struct Refusal {
    /// One of [`crate::LINTS`].
    pub rule: &'static str,
    /// Where.
    pub place: Place,
    /// What is wrong, what was expected, and the mend.
    pub message: String,
}

impl Refusal {
    pub(crate) fn whole(rule: &'static str, source: &str, message: impl Into<String>) -> Self {
        Self {
            rule,
            place: Place::whole(source),
            message: message.into(),
        }
    }
}

/// The rules by which policies are refused, and what each is about. `docs/rego.md` has them all.
pub const LINTS: &[(&str, &str)] = &[
    (
        "syntax",
        "text that is no Rego of its version, or that does not compile",
    ),
    ("too-large", "text that is too long or nested too deeply"),
    ("unknown-function", "a function that nobody defines"),
    (
        "unsupported-function",
        "a builtin that reaches outside, or that the engine does not have",
    ),
    (
        "call-over-lines",
        "a reference and, on the next line, an expression in parentheses",
    ),
    (
        "format-arguments",
        "`sprintf` whose verbs and arguments cannot be counted, or differ in number",
    ),
    (
        "bad-pattern",
        "a regular expression that does not compile, or becomes too large",
    ),
    (
        "not-a-set",
        "a `deny` or `violation` that is no set of messages",
    ),
    ("foreign-data", "data that a policy does not have"),
    (
        "unsupported-import",
        "an import other than of data, input or the keywords",
    ),
    (
        "fails-when-tried",
        "an error, a panic or a time-out when tried on sample objects",
    ),
    (
        "unsupported-policy",
        "a part of Gatekeeper that is not done here",
    ),
    (
        "bad-object",
        "a template, a constraint or a ConfigMap that is malformed",
    ),
    (
        "bad-parameters",
        "parameters that the template's schema does not take",
    ),
];
