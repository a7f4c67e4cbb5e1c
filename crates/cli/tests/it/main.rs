//! `check` over files; the sandbox's commands and its supervisor, with small scripts in place of the control plane.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails says so by panicking"
)]

mod check;
mod policy;
mod psp;
mod stand_in;
mod supervisor;
mod up;
