//! The body of an AdmissionReview → verdict. What did not parse as JSON is never allowed, whatever is
//! patched is judged as it will be stored, and mending again changes nothing.
//!
//! `cargo xtask fuzz` runs it; what it finds goes into `corpus/admission`. CI runs the same checks over
//! all that is there and mutations of some: `cargo test -p bulkhead-controls fuzz`.
#![no_main]

use bulkhead_controls::{Facts, judge, mend, mend_and_judge, needed};
use bulkhead_model::TenantRules;
use bulkhead_model::admission::parse_review;
use libfuzzer_sys::fuzz_target;

const RULES: &str =
    r#"{"tenant":"acme","uid":"u-1","profile":"Strict","ids":{"range":"1000000000-1000009999"}}"#;

fuzz_target!(|data: &[u8]| {
    let rules: TenantRules = serde_json::from_str(RULES).expect("the rules are rules");
    let parsed = parse_review(data);
    if serde_json::from_slice::<serde_json::Value>(data).is_err() {
        assert!(parsed.is_err(), "what is no JSON was read");
    }
    let Ok(mut request) = parsed else { return };
    let facts = Facts::default();
    let _ = needed(&request, &rules, &facts);
    let Ok((patch, findings)) = mend_and_judge(&mut request, &rules, &facts) else {
        return;
    };
    assert!(mend(&request, &rules, &facts).is_none(), "mended twice: {patch:?}");
    assert_eq!(judge(&request, &rules, &facts), Ok(findings));
});
