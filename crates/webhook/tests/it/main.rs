//! The webhook as the API server sees it, without the network.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says by panicking that it fails"
)]

mod bad_input;
mod pods;
mod reviews;
mod tenants;
