//! Policies, and pods that they allow and refuse, that others collected. They lie beside the
//! repository; where they are missing, CI fails.

use std::path::Path;

use bulkhead_model::Json;
use bulkhead_psp::{Pod, Policies, Verdict, complaints, parse};
use serde_json::{Value, json};

use crate::ORACLE;

fn read(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_norway::from_str(&text).unwrap())
}

#[test]
fn each_policy_of_the_corpus_judges_its_pods_as_it_says() {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora/psp-migration");
    if !corpus.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no corpus at {}",
            corpus.display()
        );
        eprintln!("skipped: no corpus at {}", corpus.display());
        return;
    }
    let mut seen = (0, 0, 0);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let folder = entry.unwrap().path();
        let Some(written) = read(&folder.join("psp.yaml")) else {
            continue;
        };
        let policy = parse(&written).unwrap();
        assert_eq!(complaints(&policy), []);
        seen.0 += 1;
        let policies = Policies::new([&policy]);
        for (file, allowed) in [("allowed.yaml", true), ("disallowed.yaml", false)] {
            let Some(pod) = read(&folder.join(file)) else {
                continue;
            };
            let object = Json::from(&pod);
            let verdict = policies.admit(&Pod::read(&object).unwrap(), &|_| Some(true));
            let admitted = matches!(verdict, Verdict::Admitted(_));
            assert_eq!(
                admitted,
                allowed,
                "{} {file}: {verdict:?}",
                folder.display()
            );
            let grant = json!([{"group": "policy", "name": policy.name}]);
            let question = json!({
                "policies": [written], "pod": pod, "namespace": "x", "admit": true, "user": grant,
            });
            let theirs = &ORACLE.ask(&[question])[0];
            assert_eq!(
                theirs["denial"].is_null(),
                allowed,
                "{} {file}",
                folder.display()
            );
            *(if allowed { &mut seen.1 } else { &mut seen.2 }) += 1;
        }
    }
    assert_eq!(seen, (14, 9, 5), "policies, pods allowed, pods refused");
}
