//! Text → findings, and the mended text. The first byte says whether it is a Dockerfile.
//!
//! `cargo xtask fuzz check`; what it finds goes into `corpus/check`. CI runs
//! the same checks over all that is there and mutations of some: `cargo test -p bulkhead-check fuzz`.
#![no_main]

use bulkhead_check::{Index, Settings, Source, check, fix, rules};
use bulkhead_model::Profile;
use bulkhead_report::{Format, Look, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let settings = Settings::of_profile(Profile::Strict).expect("the strict profile has rules");
    let index = Index::default();
    let dockerfile = *first == b'D';
    let source = Source { path: "a", text, dockerfile };
    let report = check(&source, &settings, &index);
    for issue in &report.issues {
        assert!(text.get(issue.region.bytes.clone()).is_some(), "{issue:?}");
    }
    let writer = Writer::new(Format::Text, Look { colour: false, width: 80 }, rules(), "0");
    let _ = writer.file(&report, text);
    if let Some(new) = fix(&source, &settings, &index) {
        let again = Source { text: &new, ..source };
        assert_eq!(fix(&again, &settings, &index), None, "{new}");
    }
});
