//! What was found in files, as people and machines read it.
//!
//! A report is written in pieces, so that its size is no matter: [`Writer::begin`], then
//! [`Writer::file`] for each file, then [`Writer::end`]. The pieces are strings in one order; who
//! writes them where is not known here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod github;
mod issue;
mod json;
mod junit;
mod markdown;
mod sarif;
mod summary;
mod text;
mod writer;

pub use issue::{FileReport, Issue, Level, Lines, ObjectName, Region, Related, Rule, Severity};
pub use summary::{Skipped, Summary};
pub use writer::{Format, Look, Writer};
