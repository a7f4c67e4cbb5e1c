//! A PodSecurityPolicy, a NUL byte and a pod, as JSON → complaints, verdict, mutated pod, translation.
//!
//! `cargo xtask fuzz psp` runs it; what it finds goes into `corpus/psp`. CI asks the same of all that is
//! there and of mutations: `cargo test -p bulkhead-psp fuzz`.
#![no_main]

use bulkhead_model::Json;
use bulkhead_psp::{Pod, Policies, Verdict, apply, complaints, import, parse, translate};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice::<Value>(parts.next()?).ok();
    let (Some(policy), Some(mut object)) = (next(), next()) else {
        return;
    };
    let _ = import(&policy);
    let Ok(policy) = parse(&policy) else {
        return;
    };
    if !complaints(&policy).is_empty() {
        return;
    }
    let policies = Policies::new([&policy]);
    assert_eq!(translate(&policy).is_ok(), policies.unusable().is_empty());
    let before = object.clone();
    let json = Json::from(&before);
    let Ok(pod) = Pod::read(&json) else {
        return;
    };
    let admitted = match policies.admit(&pod, &|_| Some(true)) {
        Verdict::Admitted(admitted) => admitted,
        Verdict::Denied(denied) => {
            assert!(!denied.to_string().is_empty());
            return;
        }
        Verdict::Ask(names) => panic!("asked about {names:?}, and everything is answered"),
    };
    apply(&mut object, &admitted.changes);
    let json = Json::from(&object);
    let mutated = Pod::read(&json).expect("a mutated pod is a pod");
    let verdict = policies.validate(&mutated, &|_| Some(true));
    assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}: {object}");
});
