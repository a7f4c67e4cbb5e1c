//! What is wrong with a body, and where.

use std::fmt;

/// Why a body is refused. Prints as one sentence that a client's user can act on.
#[derive(Debug)]
pub struct ProtobufError {
    /// The object's kind, once the envelope has said it.
    pub object: Option<ObjectKind>,
    /// The field, as in `spec.containers[0].image`; by number if it has no name in JSON. Empty
    /// for the whole.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// A kind, as a body's envelope names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKind {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
}

/// What is wrong with a field or a body.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The body does not start as Kubernetes protobuf does.
    #[error("expected the body to start with `k8s\\0`")]
    Magic,
    /// The envelope lacks a part.
    #[error("expected a value, found none")]
    Missing,
    /// The envelope says that what it holds is encoded once more.
    #[error("expected no further encoding, found `{}`", .0.escape_debug())]
    NotPlain(String),
    /// The table does not hold the kind.
    #[error("this kind is not taken in protobuf; send the object as JSON")]
    UnknownKind,
    /// The message has no field of this number.
    #[error(
        "expected only fields of the Kubernetes version that this was built for, found number {0}; send the object as JSON"
    )]
    UnknownField(u32),
    /// The field's wire type is not the one its type has.
    #[error("expected {expected}, found wire type {found}")]
    WireType {
        /// What the field's type needs.
        expected: &'static str,
        /// The wire type on the wire.
        found: u64,
    },
    /// A field number outside of what protobuf knows.
    #[error("expected a field number from 1 to 536870911, found {0}")]
    FieldNumber(u64),
    /// A variable-length integer that does not end, is padded or does not fit 64 bits.
    #[error("expected a varint of 64 bits in its shortest form")]
    Varint,
    /// The bytes end before the field does.
    #[error("expected {expected} more bytes, found {found}")]
    Truncated {
        /// The length that the field claims.
        expected: u64,
        /// What is left.
        found: usize,
    },
    /// A singular field or a map's key is there twice.
    #[error("expected one value, found more")]
    Duplicate,
    /// Text that is not UTF-8.
    #[error("expected text in UTF-8")]
    Utf8,
    /// A number outside of its type.
    #[error("expected {expected}, found {found}")]
    Number {
        /// What the type holds.
        expected: &'static str,
        /// What was sent.
        found: i64,
    },
    /// A quantity that Kubernetes does not parse.
    #[error("expected a quantity such as `500m` or `1Gi`, found `{}`", .0.escape_debug())]
    Quantity(String),
    /// Neither a number nor text, or both.
    #[error("expected either a number or text")]
    IntOrString,
    /// Embedded JSON that does not parse, or that two readers could read differently.
    #[error("expected JSON without duplicate keys and with numbers that fit 64 bits")]
    Json(#[from] bulkhead_model::json::JsonError),
    /// Messages nested too deeply.
    #[error("expected at most {} levels", crate::object::MAX_DEPTH)]
    Depth,
    /// More values than any object has that the API server could store.
    #[error("expected at most {} values in the object", crate::object::MAX_VALUES)]
    TooLarge,
}

impl Problem {
    pub(crate) fn at_envelope(self) -> ProtobufError {
        At::from(self).into_error(None)
    }
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("protobuf body")?;
        if let Some(ObjectKind { api_version, kind }) = &self.object {
            write!(
                f,
                " of `{} {}`",
                api_version.escape_debug(),
                kind.escape_debug()
            )?;
        }
        if !self.path.is_empty() {
            write!(f, ": `{}`", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ProtobufError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

/// A problem on its way out: each level adds its step at the end, so the root comes last.
#[derive(Debug)]
pub(crate) struct At {
    problem: Problem,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Field(String),
    Key(String),
    Index(usize),
}

impl<P: Into<Problem>> From<P> for At {
    fn from(problem: P) -> Self {
        Self {
            problem: problem.into(),
            steps: Vec::new(),
        }
    }
}

impl At {
    #[must_use]
    pub(crate) fn under(self, field: &str) -> Self {
        self.step(Step::Field(field.to_owned()))
    }

    #[must_use]
    pub(crate) fn key(self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    #[must_use]
    pub(crate) fn index(self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn into_error(self, object: Option<ObjectKind>) -> ProtobufError {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name]),
                Step::Key(key) => path.push_str(&format!("[{key:?}]")),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        ProtobufError {
            object,
            path,
            problem: self.problem,
        }
    }
}
