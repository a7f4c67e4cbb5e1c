//! PodSecurityPolicies as the original has them: the corpus of others' policies, and the
//! original itself, asked about what a generator makes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests say what is wrong by panicking, as tests do"
)]

mod audits;
mod corpus;
mod differential;
mod draw;
mod fuzz;
mod some_pods;
mod some_policies;
mod units;

/// The plugin and the validation of Kubernetes 1.24.
static ORACLE: bulkhead_oracle::Oracle =
    bulkhead_oracle::Oracle::new("oracles/psp", ".", env!("CARGO_TARGET_TMPDIR"));
