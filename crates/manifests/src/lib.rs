//! YAML, JSON and Dockerfiles with the position of everything that stands in them.
//!
//! YAML is read as `kubectl` and the API server read it (`sigs.k8s.io/yaml`: scalars of YAML 1.1,
//! documents cut at `---` lines), because what a file means is what the cluster will make of it.
//! Where another reader would read something else, [`Parsed::problems`] says so. A document that
//! cannot be read is a problem, and the others of the file are read nevertheless.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod build;
mod content;
mod dockerfile;
mod edit;
mod node;
mod problem;
mod scalar;
mod yaml;

use std::ops::Range;

pub use content::{Content, NotManifest, looks_like_a_template};
pub use dockerfile::{is_dockerfile, parse_dockerfile};
pub use edit::{Edit, edited, insertions};
pub use node::{Data, Entry, Node, Place, Style};
pub use problem::{Problem, ProblemKind};
pub use yaml::parse;

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// Every document that could be read, in order. Empty documents are left out.
    pub documents: Vec<Node>,
    /// What could not be read, or can be read in two ways, in order.
    pub problems: Vec<Problem>,
    /// Every comment of the file, in order.
    pub comments: Vec<Comment>,
}

impl Parsed {
    /// Whether something in the file could not be read.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind.is_error())
    }
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands, its `#` included.
    pub span: Range<usize>,
    /// Its text, after the `#`.
    pub text: String,
}
