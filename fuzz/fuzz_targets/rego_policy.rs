//! The text of a policy → refused with a place in the text, or compiled and asked. Nothing that
//! anybody writes ends the process, and what is taken gives an answer or says that it gives none.
//!
//! `cargo xtask fuzz` runs it; what it finds goes into `corpus/rego_policy`. CI runs the same checks over
//! all that is there and mutations of some: `cargo test -p bulkhead-rego fuzz`.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/rego/tests/suite/promises.rs"]
mod promises;

fuzz_target!(|data: &[u8]| {
    static HOOK: Once = Once::new();
    // The engine's panics are caught, and a promise of ours that is broken still ends the run.
    HOOK.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    if let Ok(text) = std::str::from_utf8(data) {
        promises::of_policy(text);
    }
});
