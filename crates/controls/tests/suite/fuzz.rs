//! Reviews that nobody wrote: an answer, and never "allowed" for what did not parse. The fuzz target
//! `fuzz/fuzz_targets/admission.rs` asks the same for longer.

use std::fs;
use std::path::Path;

use bulkhead_controls::{Facts, judge, mend, mend_and_judge, needed};
use bulkhead_model::admission::parse_review;
use proptest::prelude::*;

use crate::admission::strict;

/// From the corpus of the fuzz target.
const SEEDS: [&[u8]; 6] = [
    include_bytes!("../../../../fuzz/corpus/admission/binding"),
    include_bytes!("../../../../fuzz/corpus/admission/claim"),
    include_bytes!("../../../../fuzz/corpus/admission/deployment"),
    include_bytes!("../../../../fuzz/corpus/admission/ephemeral"),
    include_bytes!("../../../../fuzz/corpus/admission/pod"),
    include_bytes!("../../../../fuzz/corpus/admission/policy"),
];

/// Whether it was a review that could be judged.
fn holds(body: &[u8]) -> bool {
    let (rules, facts) = (strict(), Facts::default());
    let parsed = parse_review(body);
    let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
    assert!(is_json || parsed.is_err(), "what is no JSON was read");
    let Ok(mut request) = parsed else {
        return false;
    };
    let _ = needed(&request, &rules, &facts);
    let Ok((patch, findings)) = mend_and_judge(&mut request, &rules, &facts) else {
        return false;
    };
    let again = mend(&request, &rules, &facts);
    assert!(again.is_none(), "mended twice: {patch:?}");
    assert_eq!(judge(&request, &rules, &facts), Ok(findings));
    true
}

/// What the fuzz target has found stays answered.
#[test]
fn every_review_of_the_corpus_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/admission");
    let mut judged = 0;
    for file in fs::read_dir(folder).unwrap() {
        judged += usize::from(holds(&fs::read(file.unwrap().path()).unwrap()));
    }
    assert!(judged >= SEEDS.len(), "{judged}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Good reviews with pieces taken out, put in twice, or replaced.
    #[test]
    fn a_review_that_nobody_wrote_is_answered(
        seed in 0..SEEDS.len(),
        changes in proptest::collection::vec((any::<u16>(), 0usize..12, "([-:{}\\[\\],0-9a-z\\\\\"\u{0}\u{ff}]{0,4}|null|\\{\\}|\\[\\]|true|1e999)"), 1..6)
    ) {
        let mut body = SEEDS[seed].to_vec();
        for (at, length, new) in changes {
            let start = usize::from(at) % (body.len() + 1);
            let end = (start + length).min(body.len());
            body.splice(start..end, new.bytes());
        }
        holds(&body);
    }
}
