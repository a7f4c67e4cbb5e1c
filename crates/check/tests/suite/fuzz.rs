//! Texts that nobody wrote: no panic, no hang, and places that are in the text. The fuzz target
//! `fuzz/fuzz_targets/check.rs` asks the same for longer.

use bulkhead_check::{Index, fix};
use bulkhead_report::{Format, Look, Summary, Writer};
use proptest::prelude::*;

use crate::{all, source};

const SEEDS: [&str; 4] = [
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: &n a\n  labels: {app: *n}\nspec:\n  hostNetwork: yes # bulkhead: allow host-network -- x\n  containers:\n    - name: a\n      ports: [{hostPort: 010}]\n",
    "apiVersion: apps/v1\nkind: StatefulSet\nspec:\n  template:\n    spec:\n      volumes:\n        - name: v\n          hostPath: {path: /}\n      containers:\n        - name: a\n          command: |\n            x\n---\n# end\n",
    "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"spec\": {\"externalIPs\": [\"1.2.3.4\"]}}]}",
    "FROM a AS b\nARG U=0\nUSER ${U:-1}\nRUN <<E\nx\nE\nFROM b\n",
];

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Good texts with pieces taken out, put in twice, or replaced.
    #[test]
    fn what_nobody_wrote_is_answered(
        seed in 0..SEEDS.len(),
        changes in proptest::collection::vec((any::<u16>(), 0usize..12, "[-:{}\\[\\],&*!|>'\"#%@` \t\n\rä\u{0}\u{feff}a0~<]{0,4}"), 1..6)
    ) {
        let mut text: Vec<char> = SEEDS[seed].chars().collect();
        for (at, length, new) in changes {
            let start = usize::from(at) % (text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, new.chars());
        }
        let text: String = text.into_iter().collect();
        holds(if seed == 3 { "Dockerfile" } else { "a.yaml" }, &text);
    }
}
