//! The original judges: verdict, chosen policy, mutated pod and words are its, for every case that
//! a generator makes. `cargo xtask differential psp` makes many; `cargo test` a part of them.

use bulkhead_model::Json;
use bulkhead_psp::{
    ADMITTED_BY, AUDIT_ADMIT, AUDIT_VALIDATE, Denied, Pod, PodSecurityPolicy, Policies, Verdict,
    apply, complaints, only_owners_and_finalizers, parse,
};
use serde_json::{Map, Value, json};

use crate::ORACLE;
use crate::draw::Draw;
use crate::some_pods::pod;
use crate::some_policies::{odd_policy, policy};

/// How many cases are made, unless the environment says otherwise.
const CASES: usize = 10_000;
/// How many of them one process is asked about.
const PER_PROCESS: usize = 5_000;
/// Where the generator starts, unless the environment says otherwise.
const SEED: u64 = 1;

fn number(name: &str, default: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(default, |said| said.parse().unwrap())
}

/// What came of the cases: admitted as they are, admitted mutated, denied with words, denied
/// without, passed by.
#[derive(Debug, Default)]
struct Counts {
    admitted: usize,
    mutated: usize,
    denied: usize,
    wordless: usize,
    ignored: usize,
}

#[test]
fn every_generated_case_gets_the_originals_verdict() {
    let cases = usize::try_from(number("BULKHEAD_PSP_CASES", CASES as u64)).unwrap();
    let seed = number("BULKHEAD_PSP_SEED", SEED);
    let chunks: Vec<u64> = (0..cases.div_ceil(PER_PROCESS) as u64).collect();
    let results: Vec<(Counts, Vec<String>)> = std::thread::scope(|scope| {
        let halves = chunks.chunks(chunks.len().div_ceil(2));
        let threads: Vec<_> = halves
            .map(|half| {
                let run = |chunk: &u64| compare(seed.wrapping_mul(1_000_003).wrapping_add(*chunk));
                scope.spawn(move || half.iter().map(run).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut all = Counts::default();
    let mut differences = Vec::new();
    for (counts, differ) in results {
        all.admitted += counts.admitted;
        all.mutated += counts.mutated;
        all.denied += counts.denied;
        all.wordless += counts.wordless;
        all.ignored += counts.ignored;
        differences.extend(differ);
    }
    let asked = chunks.len() * PER_PROCESS;
    println!(
        "psp: {asked} cases from seed {seed}: {all:?}, {} differences",
        differences.len()
    );
    for difference in differences.iter().take(5) {
        println!("{difference}\n");
    }
    assert!(
        differences.is_empty(),
        "{} of {asked} cases differ",
        differences.len()
    );
    // A generator that makes one thing only proves nothing.
    for (what, count) in [
        ("admitted", all.admitted),
        ("mutated", all.mutated),
        ("denied", all.denied),
        ("wordless", all.wordless),
        ("ignored", all.ignored),
    ] {
        assert!(count * 200 > asked, "only {count} of {asked} {what}");
    }
}

fn compare(seed: u64) -> (Counts, Vec<String>) {
    let mut draw = Draw(seed);
    let questions: Vec<Value> = (0..PER_PROCESS).map(|_| question(&mut draw)).collect();
    let mut counts = Counts::default();
    let mut differences = Vec::new();
    for (question, theirs) in questions.iter().zip(ORACLE.ask(&questions)) {
        if let Some(difference) = difference(question, &theirs, &mut counts) {
            differences.push(format!(
                "{difference}\n  case: {question}\n  original: {theirs}"
            ));
        }
    }
    (counts, differences)
}

fn question(draw: &mut Draw) -> Value {
    let strictness = *draw.one(&[5, 20, 40, 70, 100]);
    let names = ["b", "a", "c", "d"];
    let count = 1 + draw.below(names.len());
    let policies: Vec<Value> = names
        .iter()
        .take(count)
        .map(|name| policy(draw, name, strictness))
        .collect();
    let wild = *draw.one(&[0, 10, 30, 60]);
    let mut pod = pod(draw, wild);
    let grants = |draw: &mut Draw, percent| {
        let mut list = Vec::new();
        for name in names {
            for group in ["policy", "extensions", "apps"] {
                if draw.chance(percent) {
                    list.push(json!({"group": group, "name": name}));
                }
            }
        }
        list
    };
    let user = grants(draw, 40);
    let account = grants(draw, 20);
    let admit = draw.chance(60);
    let mut asked = json!({
        "policies": policies, "namespace": "team", "admit": admit, "user": user, "account": account,
    });
    if !admit && draw.chance(70) {
        // What the mutating pass has made of it.
        let object = Json::from(&pod);
        if let Verdict::Admitted(admitted) =
            Policies::new(&read(&asked)).admit(&Pod::read(&object).unwrap(), &|_| Some(true))
        {
            apply(&mut pod, &admitted.changes);
        }
    }
    // Hints at policies that fit, that do not, that may not be used, that are not there.
    if draw.chance(if admit { 15 } else { 50 }) {
        let hint = *draw.one(&["a", "b", "c", "d", "gone", ""]);
        if pod["metadata"]["annotations"].is_null() {
            pod["metadata"]["annotations"] = json!({});
        }
        pod["metadata"]["annotations"][ADMITTED_BY] = json!(hint);
    }
    if draw.chance(20) {
        let mut old = pod.clone();
        match draw.below(4) {
            0 => old["metadata"]["finalizers"] = json!(["a/b"]),
            1 => {
                old["metadata"]["ownerReferences"] =
                    json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}])
            }
            2 => old["metadata"]["labels"] = json!({"changed": "yes"}),
            _ => old["spec"]["containers"][0]["image"] = json!("busybox"),
        }
        asked["old"] = old;
    }
    asked["pod"] = pod;
    asked
}

fn read(question: &Value) -> Vec<PodSecurityPolicy> {
    let policies = question["policies"].as_array().unwrap();
    policies
        .iter()
        .map(|policy| parse(policy).unwrap())
        .collect()
}

fn holds(grants: &Value, name: &str) -> bool {
    grants.as_array().unwrap().iter().any(|grant| {
        grant["name"] == name && (grant["group"] == "policy" || grant["group"] == "extensions")
    })
}

/// How ours differs from theirs, if it does.
fn difference(question: &Value, theirs: &Value, counts: &mut Counts) -> Option<String> {
    let object = Json::from(&question["pod"]);
    let pod = Pod::read(&object).unwrap();
    let admit = question["admit"] == true;
    let old = (!question["old"].is_null()).then(|| Json::from(&question["old"]));
    let untouched = |old: &Json<'_>| admit || only_owners_and_finalizers(old, &object);
    let audit = &theirs["audit"];
    if old.as_ref().is_some_and(untouched) {
        counts.ignored += 1;
        let looked = !theirs["denial"].is_null() || !audit.is_null();
        return looked.then(|| "ours looks away".to_owned());
    }
    let policies = Policies::new(&read(question));
    let may_use = |name: &str| {
        let by_account = !pod.service_account().is_empty() && holds(&question["account"], name);
        Some(by_account || holds(&question["user"], name))
    };
    let verdict = match admit {
        true => policies.admit(&pod, &may_use),
        false => policies.validate(&pod, &may_use),
    };
    match verdict {
        Verdict::Ask(_) => Some("ours asks what it knows".to_owned()),
        Verdict::Denied(denied) => {
            let metadata = &question["pod"]["metadata"];
            let name = if !metadata["name"].is_null() {
                "web"
            } else if !metadata["generateName"].is_null() {
                "web-"
            } else {
                "Unknown"
            };
            *(match &denied {
                Denied::Refused { by, .. } if by.is_empty() => &mut counts.wordless,
                _ => &mut counts.denied,
            }) += 1;
            let head = format!("pods \"{name}\" is forbidden: ");
            let said = theirs["denial"].as_str().unwrap_or_default();
            let same = said
                .strip_prefix(&head)
                .is_some_and(|said| same_words(&denied, said));
            (!same).then(|| format!("ours denies: {head}{denied}"))
        }
        Verdict::Admitted(admitted) => {
            let (key, count) = match (admit, admitted.changes.len() > 1) {
                (true, true) => (AUDIT_ADMIT, &mut counts.mutated),
                (true, false) => (AUDIT_ADMIT, &mut counts.admitted),
                (false, _) => (AUDIT_VALIDATE, &mut counts.admitted),
            };
            *count += 1;
            if audit[key] != admitted.policy.as_str() {
                return Some(format!("ours admits by {}", admitted.policy));
            }
            let mut ours = question["pod"].clone();
            apply(&mut ours, &admitted.changes);
            if admit && ours["metadata"]["annotations"][ADMITTED_BY] != admitted.policy.as_str() {
                return Some("ours does not note the policy".to_owned());
            }
            let (ours, theirs) = (looked_at(&ours), looked_at(&theirs["pod"]));
            (ours != theirs).then(|| format!("ours makes {ours}\n  of theirs {theirs}"))
        }
    }
}

/// Whether two denials say the same of each policy, in whichever order of policies.
fn same_words(ours: &Denied, theirs: &str) -> bool {
    let Denied::Refused { admit, by } = ours else {
        return theirs == ours.to_string();
    };
    let pass = if *admit { "admit" } else { "validate" };
    let head = format!("PodSecurityPolicy: unable to {pass} pod: [");
    let body = theirs
        .strip_prefix(&head)
        .and_then(|rest| rest.strip_suffix(']'));
    let groups: Vec<String> = by
        .iter()
        .map(|(_, errors)| {
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    body.is_some_and(|body| is_made_of(body, &groups))
}

fn is_made_of(body: &str, groups: &[&str]) -> bool {
    if groups.is_empty() {
        return body.is_empty();
    }
    (0..groups.len()).any(|index| {
        let mut others = groups.to_vec();
        let first = others.remove(index);
        let Some(rest) = body.strip_prefix(first) else {
            return false;
        };
        if others.is_empty() {
            return rest.is_empty();
        }
        rest.strip_prefix(' ')
            .is_some_and(|rest| is_made_of(rest, &others))
    })
}

/// What policies may change of a pod, written as Go writes it: what is empty is left out where its
/// types leave it out.
fn looked_at(pod: &Value) -> Value {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers: Vec<Value> = lists
        .iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
        .map(|container| written(&container["securityContext"]))
        .collect();
    let context = written(&pod["spec"]["securityContext"]);
    let empty = json!({});
    json!({
        "annotations": Some(&pod["metadata"]["annotations"]).filter(|notes| **notes != empty),
        "runtimeClassName": pod["spec"]["runtimeClassName"],
        "securityContext": Some(context).filter(|context| *context != empty),
        "containers": containers,
    })
}

fn written(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .map(|(key, value)| (key.clone(), written(value)));
            let empty =
                |value: &Value| value.is_null() || *value == json!([]) || *value == json!("");
            kept.filter(|(_, value)| !empty(value))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(list) => list.iter().map(written).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

#[test]
fn every_policy_gets_the_api_servers_complaints() {
    let mut draw = Draw(number("BULKHEAD_PSP_SEED", SEED));
    let count = usize::try_from(number("BULKHEAD_PSP_CASES", CASES as u64)).unwrap() / 4;
    let policies: Vec<Value> = (0..count).map(|_| odd_policy(&mut draw)).collect();
    let questions: Vec<Value> = policies
        .iter()
        .map(|policy| json!({"validate": policy}))
        .collect();
    let mut valid = 0;
    for (policy, answer) in policies.iter().zip(ORACLE.ask(&questions)) {
        let list = answer["complaints"].as_array().into_iter().flatten();
        let mut theirs: Vec<String> = list.map(|one| one.as_str().unwrap().to_owned()).collect();
        let mut ours: Vec<String> = complaints(&parse(policy).unwrap())
            .iter()
            .map(ToString::to_string)
            .collect();
        valid += usize::from(ours.is_empty());
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "of {policy}");
    }
    println!("psp: {count} policies, {valid} of them valid, no difference");
    assert!(
        valid > count / 100 && valid < count / 2,
        "{valid} of {count} are valid"
    );
}
