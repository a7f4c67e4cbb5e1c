//! Texts that nobody wrote: no panic, no hang, and places that are in the text. The fuzz target
//! `fuzz/fuzz_targets/check.rs` asks the same for longer.

use std::fs;
use std::path::Path;

use bulkhead_check::{Index, fix};
use bulkhead_report::{Format, Look, Summary, Writer};
use proptest::prelude::*;

use crate::{all, source};

/// From the corpus of the fuzz target.
const SEEDS: [&[u8]; 4] = [
    include_bytes!("../../../../fuzz/corpus/check/pod"),
    include_bytes!("../../../../fuzz/corpus/check/set"),
    include_bytes!("../../../../fuzz/corpus/check/list"),
    include_bytes!("../../../../fuzz/corpus/check/dockerfile"),
];

/// As the fuzz target takes its input: the path, by the first byte, and the text.
fn taken_apart(input: &[u8]) -> Option<(&'static str, &str)> {
    let (first, text) = input.split_first()?;
    let path = if *first == b'D' {
        "Dockerfile"
    } else {
        "a.yaml"
    };
    Some((path, std::str::from_utf8(text).ok()?))
}

fn holds(path: &str, text: &str) {
    let (source, index) = (source(path, text), Index::default());
    let report = bulkhead_check::check(&source, &all(), &index);
    for issue in &report.issues {
        assert!(text.get(issue.region.bytes.clone()).is_some(), "{issue:?}");
    }
    let mut summary = Summary::default();
    summary.add(&report);
    let writer = |format| {
        Writer::new(
            format,
            Look {
                colour: false,
                width: 80,
            },
            Vec::new(),
            "1.0.0",
        )
    };
    for format in [
        Format::Text,
        Format::Junit,
        Format::Markdown,
        Format::Github,
    ] {
        let _ = writer(format).file(&report, text);
    }
    for format in [Format::Json, Format::Sarif] {
        let writer = writer(format);
        let whole = [
            writer.begin(),
            writer.file(&report, text),
            writer.end(&summary),
        ]
        .concat();
        serde_json::from_str::<serde_json::Value>(&whole).unwrap();
    }
    if let Some(new) = fix(&source, &all(), &index) {
        let again = crate::source(path, &new);
        assert_eq!(fix(&again, &all(), &index), None, "{new}");
    }
}

/// What the fuzz target has found stays answered.
#[test]
fn every_text_of_the_corpus_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/check");
    let mut texts = 0;
    for file in fs::read_dir(folder).unwrap() {
        let input = fs::read(file.unwrap().path()).unwrap();
        // What is no text the target leaves alone as well.
        if let Some((path, text)) = taken_apart(&input) {
            holds(path, text);
            texts += 1;
        }
    }
    assert!(texts >= SEEDS.len(), "{texts}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Good texts with pieces taken out, put in twice, or replaced.
    #[test]
    fn what_nobody_wrote_is_answered(
        seed in 0..SEEDS.len(),
        changes in proptest::collection::vec((any::<u16>(), 0usize..12, "[-:{}\\[\\],&*!|>'\"#%@` \t\n\rä\u{0}\u{feff}a0~<]{0,4}"), 1..6)
    ) {
        let (path, text) = taken_apart(SEEDS[seed]).unwrap();
        let mut text: Vec<char> = text.chars().collect();
        for (at, length, new) in changes {
            let start = usize::from(at) % (text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, new.chars());
        }
        let text: String = text.into_iter().collect();
        holds(path, &text);
    }
}
