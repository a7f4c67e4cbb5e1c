//! The controls as their users see them: pages, corpora, denials, and what must hold of all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests say what is wrong by panicking, as tests do"
)]

mod admission;
mod corpora;
mod exposure;
mod fuzz;
mod kinds;
mod late;
mod odd_types;
mod pages;
mod placement;
mod properties;
mod registry;
mod some_pods;
mod standards;
mod texts;
mod yaml;
