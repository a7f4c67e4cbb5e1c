//! What is wrong with a text before anybody asks what it means.

use std::ops::Range;

/// Something that cannot be read, or that different readers read differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of thing.
    pub kind: ProblemKind,
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What, as a clause in lower case: "the key `a` stands here twice".
    pub message: String,
    /// Another place that belongs to it, and what is there.
    pub related: Option<(Range<usize>, String)>,
}

/// The sorts of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The text cannot be parsed.
    Syntax,
    /// A key stands twice in one map: some readers take the first, some the last, some neither.
    DuplicateKey,
    /// Deeper, larger, or grown by more aliases than any manifest.
    TooLarge,
    /// A scalar that YAML 1.1, which Kubernetes reads, and YAML 1.2 read differently.
    AmbiguousScalar,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Syntax,
        Self::DuplicateKey,
        Self::TooLarge,
        Self::AmbiguousScalar,
    ];

    /// The name that people read and write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "yaml-syntax",
            Self::DuplicateKey => "duplicate-key",
            Self::TooLarge => "too-large",
            Self::AmbiguousScalar => "ambiguous-scalar",
        }
    }

    /// Whether the document is lost by it. What is no error is a warning.
    #[must_use]
    pub fn is_error(self) -> bool {
        !matches!(self, Self::AmbiguousScalar)
    }

    /// Why it matters: a clause that follows "because".
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Syntax => "what cannot be read cannot be judged",
            Self::DuplicateKey => {
                "readers differ in which of the values counts, so what was judged need not be what runs"
            }
            Self::TooLarge => {
                "no API server takes an object of this size, and a reader may not survive it"
            }
            Self::AmbiguousScalar => {
                "Kubernetes reads YAML 1.1, and editors, linters and languages often read YAML 1.2"
            }
        }
    }
}
