//! Policies in Rego, in three forms: modules with `deny` over the whole AdmissionReview, kube-mgmt's
//! ConfigMaps of such, and Gatekeeper's templates and constraints.
//!
//! A policy's verdict is OPA's and Gatekeeper's, or the policy is refused at load with the place and
//! the reason. Whatever goes wrong after that denies: an error, a panic of the engine, a time-out,
//! and an undefined result where a set of messages is expected.
//!
//! Begin at [`Policies`], which holds what belongs together, and [`Judge`], which is compiled from it
//! for one thread.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod builtins;
mod crd;
mod lint;
mod loader;
mod matching;
mod mend;
mod plain;
mod policies;
mod program;
mod query;
mod refusal;
mod review;
mod schema;
mod suite;
mod syntax;
mod template;
mod tree;

pub use crd::template_crd;
pub use loader::Loader;
pub use plain::{POLICY_LABEL, Plain};
pub use policies::{Judge, Policies, Violation};
pub use program::{Failure, TIME_LIMIT};
pub use query::Query;
pub use refusal::{LINTS, Place, Refusal};
pub use review::Review;
pub use suite::{Case, Suite, SuiteError};
pub use syntax::MAX_TEXT;
pub use template::{Action, CONSTRAINTS, Constraint, TEMPLATES, Template};
