//! Policies and pods that nobody wrote: an answer, and no pod that its own policy would not have. The
//! fuzz target `fuzz/fuzz_targets/psp.rs` asks the same for longer.

use std::fs;
use std::path::Path;

use bulkhead_model::Json;
use bulkhead_psp::{Pod, Policies, Verdict, apply, complaints, import, parse, translate};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::some_pods::pod;
use crate::some_policies::{odd_policy, policy};

/// What came of a policy and a pod.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// One of them is none.
    Unread,
    Invalid,
    Denied,
    Admitted,
}

fn holds(policy: &Value, object: &Value) -> Came {
    let _ = import(policy);
    let Ok(policy) = parse(policy) else {
        return Came::Unread;
    };
    if !complaints(&policy).is_empty() {
        return Came::Invalid;
    }
    let policies = Policies::new([&policy]);
    assert_eq!(translate(&policy).is_ok(), policies.unusable().is_empty());
    let before = Json::from(object);
    let Ok(pod) = Pod::read(&before) else {
        return Came::Unread;
    };
    let admitted = match policies.admit(&pod, &|_| Some(true)) {
        Verdict::Admitted(admitted) => admitted,
        Verdict::Denied(denied) => {
            assert!(!denied.to_string().is_empty());
            return Came::Denied;
        }
        Verdict::Ask(names) => {
            assert_eq!(names, [""; 0], "asked, and everything is answered");
            return Came::Denied;
        }
    };
    let mut object = object.clone();
    apply(&mut object, &admitted.changes);
    let json = Json::from(&object);
    let mutated = Pod::read(&json).unwrap();
    let verdict = policies.validate(&mutated, &|_| Some(true));
    assert!(
        matches!(verdict, Verdict::Admitted(_)),
        "{verdict:?}: {object}\n{policy:?}"
    );
    Came::Admitted
}

/// As the fuzz target takes its input.
fn holds_bytes(data: &[u8]) -> Came {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut next = || serde_json::from_slice::<Value>(parts.next()?).ok();
    match (next(), next()) {
        (Some(policy), Some(pod)) => holds(&policy, &pod),
        _ => Came::Unread,
    }
}

/// What the fuzz target has found stays answered.
#[test]
fn everything_of_the_corpus_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/psp");
    let mut came = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        came.push(holds_bytes(&fs::read(entry.unwrap().path()).unwrap()));
    }
    assert!(
        came.contains(&Came::Admitted) && came.contains(&Came::Denied),
        "{came:?}"
    );
}

/// A value that does not belong there.
fn odd(draw: &mut Draw) -> Value {
    draw.one(&[
        Value::Null,
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("*"),
        json!("a\u{0}'\\\n租"),
        json!("localhost/"),
        json!([]),
        json!([null]),
        json!({}),
        json!({"rule": "MustRunAs", "ranges": [{"min": 0, "max": i64::MAX}]}),
    ])
    .clone()
}

/// Puts an odd value somewhere.
fn spoil(draw: &mut Draw, value: &mut Value) {
    let deeper = draw.chance(85);
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let index = draw.below(fields.len());
            if let Some((_, field)) = fields.iter_mut().nth(index) {
                spoil(draw, field);
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let index = draw.below(list.len());
            spoil(draw, &mut list[index]);
        }
        other => *other = odd(draw),
    }
}

#[test]
fn what_nobody_wrote_is_answered() {
    let mut draw = Draw(7);
    let mut all: std::collections::BTreeMap<Came, usize> = std::collections::BTreeMap::new();
    for _ in 0..3000 {
        let strictness = *draw.one(&[5, 20, 50]);
        let mut policy = match draw.chance(20) {
            true => odd_policy(&mut draw),
            false => policy(&mut draw, "a", strictness),
        };
        let wild = *draw.one(&[0, 10, 40]);
        let mut pod = pod(&mut draw, wild);
        for _ in 0..draw.below(3) {
            let which = match draw.chance(50) {
                true => &mut policy,
                false => &mut pod,
            };
            spoil(&mut draw, which);
        }
        *all.entry(holds(&policy, &pod)).or_default() += 1;
    }
    let seen = |came| all.get(&came).copied().unwrap_or_default() > 100;
    assert!(
        seen(Came::Unread) && seen(Came::Invalid) && seen(Came::Denied) && seen(Came::Admitted),
        "{all:?}"
    );
}

#[test]
fn bytes_that_changed_are_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/psp");
    let mut draw = Draw(11);
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let seed = fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..700 {
            let mut data = seed.clone();
            for _ in 0..=draw.below(3) {
                let at = draw.below(data.len());
                match draw.below(3) {
                    0 => data[at] = u8::try_from(draw.below(256)).unwrap(),
                    1 => drop(data.remove(at)),
                    _ => data.insert(at, *draw.one(b"0-\"{}[],:*a")),
                }
            }
            read += usize::from(holds_bytes(&data) != Came::Unread);
        }
    }
    assert!(read > 200, "{read}");
}
