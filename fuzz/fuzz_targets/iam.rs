//! The URL in an IAM token → where STS would be asked, or a refusal.
//!
//! `cargo xtask fuzz iam`; what it finds goes into `corpus/iam`. CI reads all that is there:
//! `cargo test -p bulkhead-gateway iam`.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

// It needs nothing of the gateway, which takes minutes to build.
#[path = "../../crates/gateway/src/iam.rs"]
mod iam;

fuzz_target!(|url: &[u8]| {
    // When the tokens of the corpus were signed.
    let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    let token = format!("{}{}", iam::PREFIX, URL_SAFE_NO_PAD.encode(url));
    let Ok(read) = iam::read(&token, now) else {
        return;
    };
    let start = format!("https://{}/?", read.host);
    assert!(url.starts_with(start.as_bytes()), "another host than it says");
    assert!(read.host.starts_with("sts"), "{}", read.host);
    assert!(!url.contains(&b'#') && !url.contains(&b'@') && !url.contains(&b'\\'));
    let pairs = url.iter().filter(|byte| **byte == b'&').count();
    assert!((7..=8).contains(&pairs), "{pairs} parameters");
    assert!(read.signed < read.ends && now < read.ends);
});
