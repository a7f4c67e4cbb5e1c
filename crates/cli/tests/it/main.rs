//! The sandbox's commands and its supervisor, with small scripts in place of the control plane.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod stand_in;
mod supervisor;
mod up;
