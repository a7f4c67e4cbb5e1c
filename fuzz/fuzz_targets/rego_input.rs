//! The object of a request → what policies of the usual kind say. Whatever it is, they answer or say
//! that they give no answer, and twice the same.
//!
//! `cargo xtask fuzz` runs it; what it finds goes into `corpus/rego_input`. CI runs the same checks over
//! all that is there and mutations of some: `cargo test -p bulkhead-rego fuzz`.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/rego/tests/suite/promises.rs"]
mod promises;

fuzz_target!(|data: &[u8]| {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    promises::of_input(data);
});
