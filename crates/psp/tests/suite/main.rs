//! PodSecurityPolicies as the original has them: the corpus of others' policies, and the
//! original itself, asked about what a generator makes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests say what is wrong by panicking, as tests do"
)]

mod corpus;
mod differential;
mod draw;
mod oracle;
mod some_pods;
mod some_policies;
mod units;
