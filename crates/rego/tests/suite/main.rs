//! Policies held against OPA and Gatekeeper.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, reason = "tests are read, not linked to")]

mod differential;
mod fuzz;
mod generator;
mod promises;
mod refusals;
mod reviews;

/// OPA and Gatekeeper.
static ORACLE: bulkhead_oracle::Oracle =
    bulkhead_oracle::Oracle::new("oracles/rego", "./cmd/rego", env!("CARGO_TARGET_TMPDIR"));
