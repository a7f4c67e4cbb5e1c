//! Races for what may never be shared or exceeded, while those that hand it out are killed. Judged by
//! the history of what exists, revision by revision, not by what anybody answered.
//!
//! Short where everything is tried; `cargo xtask races` runs them long.
#![expect(
    clippy::indexing_slicing,
    reason = "of fixed lists, and JSON that is made here"
)]

mod history;
mod ids;
mod quota;
mod replicas;

use std::time::Duration;

use crate::Check;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "races::no_limit_is_exceeded_at_any_revision_while_webhooks_are_killed",
        quota::race,
    ),
    (
        "races::ids_and_claims_never_overlap_while_controllers_are_killed",
        ids::race,
    ),
];

/// How hard it is tried.
struct Scale {
    clients: usize,
    lasts: Duration,
}

/// `BULKHEAD_E2E_RACES` says for how many seconds; then many more take part.
fn scale() -> Scale {
    let named = std::env::var("BULKHEAD_E2E_RACES");
    match named.ok().and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => Scale {
            clients: 200,
            lasts: Duration::from_secs(seconds),
        },
        None => Scale {
            clients: 40,
            lasts: Duration::from_secs(12),
        },
    }
}

/// A random time between two.
fn between(least: u64, most: u64) -> Duration {
    Duration::from_millis(fastrand::u64(least..most))
}
