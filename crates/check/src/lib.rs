//! Files judged by the controls, and mended.
//!
//! [`check()`] is what `bulkhead check` says about one file, [`fix()`] what it makes of it. Both are
//! pure: who reads the files, and in which order, is not known here. What the files say together
//! is in the [`Index`].
//!
//! A file is judged as it stands. Admission would set some of what is unset, but only on Pods, and
//! only where Bulkhead runs; a file is read by everybody. [`Settings::as_admitted`] leaves that out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod allow;
mod check;
mod fix;
mod index;
mod issues;
mod objects;
mod policies;
mod rego;
mod rules;
mod settings;

pub use check::{check, unreadable};
pub use fix::fix;
pub use index::Index;
pub use policies::{Policies, PolicyError};
pub use rules::{is_rule, rules};
pub use settings::{Settings, SettingsError, Source};
