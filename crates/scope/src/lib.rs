//! Gateway policy: a parsed request to a scoped request or a denial. Pure.
//!
//! A request is read once, from its method and raw target, into an [`ApiRequest`] of typed
//! values ([`parse`]). [`scope`] decides whether a [`Caller`] may have it, and seals what goes
//! upstream in a [`ScopedRequest`], which nothing else can build. The upstream target is printed
//! from the typed values; no string of the client's is edited or passed on.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod body;
mod caller;
mod denial;
mod discovery;
mod path;
mod query;
mod request;
mod review;
mod scoped;
mod selector;
mod served;
mod sight;
mod spread;
pub mod table;

pub use body::{Body, PatchType};
pub use caller::{Caller, Claim, Membership};
pub use denial::{Denial, Details};
pub use discovery::{narrow_document, narrow_rules, operation_works, schema_is_hidden};
pub use path::{Connection, Document, Path, Probe, Resource};
pub use query::{Query, QueryValue};
pub use request::{ApiRequest, Verb, parse};
pub use scoped::{Credential, Outcome, ScopedRequest, scope};
pub use selector::{FieldSelector, LabelSelector, Operator, Requirement, SelectorError};
pub use sight::{Include, Sight, Usable};
pub use spread::{At, Part, Spread};

/// No watch lives longer than this many seconds: the API server never looks again at the rights
/// of an open watch, so each must come back to be judged anew.
pub const MAX_WATCH_SECONDS: u64 = 300;
