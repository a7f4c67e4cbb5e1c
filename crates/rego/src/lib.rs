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

mod audit;
mod builtins;
mod config;
mod crd;
mod embedded;
mod inventory;
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

pub use audit::{
    Audit, MOST_VIOLATIONS, REPORTS, covers, is_of_the_platform, is_quiet, report_crds,
};
pub use config::{
    CONFIG, CONFIG_NAMESPACE, Config, NOTHING_SYNCED, Process, SyncedKind, config_crd,
};
pub use crd::template_crd;
pub use embedded::place_in_file;
pub use inventory::Inventory;
pub use loader::{Loader, bare_policy, load, policy_id};
pub use plain::{POLICY_LABEL, Plain};
pub use policies::{Judge, Policies, Violation};
pub use program::{Failure, TIME_LIMIT};
pub use query::Query;
pub use refusal::{LINTS, Place, Refusal};
pub use review::Review;
pub use suite::{Case, Suite, SuiteError};
pub use syntax::MAX_TEXT;
pub use template::{Action, CONSTRAINTS, Constraint, TEMPLATES, Template};
