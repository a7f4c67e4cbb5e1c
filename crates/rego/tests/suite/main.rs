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
mod generator;
mod oracle;
mod refusals;
mod reviews;
