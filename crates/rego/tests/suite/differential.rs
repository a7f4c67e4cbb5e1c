//! Verdicts held against OPA's and Gatekeeper's: of every template here, over generated requests.

use std::collections::BTreeMap;

use bulkhead_model::Json;
use bulkhead_rego::{Inventory, Plain, Policies, Review, Template, Violation};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::ORACLE;
use crate::reviews::{documents, objects, review};

/// How many cases: few in the everyday run, more with `cargo xtask differential rego`.
pub fn cases(few: usize) -> usize {
    let set = std::env::var("BULKHEAD_REGO_CASES").ok();
    set.map_or(few, |set| {
        set.parse().expect("`BULKHEAD_REGO_CASES` is a number")
    })
}

/// Where lots are drawn from.
pub fn seed() -> u64 {
    let set = std::env::var("BULKHEAD_REGO_SEED").ok();
    set.map_or(1, |set| {
        set.parse().expect("`BULKHEAD_REGO_SEED` is a number")
    })
}

/// Templates and constraints of `tests/policies`.
pub fn library() -> (Vec<Value>, Vec<Value>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let all: Vec<Value> = texts.flat_map(|text| documents(&text)).collect();
    all.into_iter()
        .partition(|object| object["kind"] == "ConstraintTemplate")
}

pub fn load(templates: &[Value], constraints: &[Value]) -> Policies {
    let mut policies = Policies::default();
    for object in templates {
        let source = object["metadata"]["name"].as_str().unwrap();
        let template = Template::parse(object, source).unwrap_or_else(|r| panic!("{r:#?}"));
        policies.templates.insert(template.kind.clone(), template);
    }
    for object in constraints {
        let kind = object["kind"].as_str().unwrap();
        let constraint = policies.templates[kind]
            .constraint(object, kind)
            .unwrap_or_else(|r| panic!("{r}"));
        policies
            .constraints
            .insert((kind.to_owned(), constraint.name.clone()), constraint);
    }
    policies
}

fn inventory() -> Vec<Value> {
    let ingress = |namespace: &str, name: &str, host: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"rules": [{"host": host}]},
        })
    };
    vec![
        ingress("default", "web", "a.example.com"),
        ingress("web", "shop", "b.example.com"),
    ]
}

/// A verdict: for each constraint what comes of it, and its messages.
type Verdict = BTreeMap<(String, String), Vec<String>>;

fn theirs(answer: &Value) -> Verdict {
    let mut verdict = Verdict::new();
    for violation in answer["violations"].as_array().unwrap() {
        let text = |key: &str| violation[key].as_str().unwrap().to_owned();
        let policy = format!("{}/{}", text("kind"), text("name"));
        verdict
            .entry((policy, text("action")))
            .or_default()
            .push(text("msg"));
    }
    verdict.values_mut().for_each(|messages| messages.sort());
    verdict
}

fn ours(violations: Vec<Violation>) -> Verdict {
    let mut verdict = Verdict::new();
    for violation in violations {
        let key = (violation.policy, violation.action.to_string());
        verdict.entry(key).or_default().push(violation.message);
    }
    verdict.values_mut().for_each(|messages| messages.sort());
    verdict
}

/// The request about which the two differ, and both verdicts.
struct Difference(String);

fn compare(reviews: &[Value]) -> Vec<Difference> {
    let (templates, constraints) = library();
    let objects = inventory();
    let case = json!({"gatekeeper": {
        "templates": templates, "constraints": constraints, "inventory": objects, "reviews": reviews,
    }});
    let answer = ORACLE.ask(&[case]).remove(0);
    let refused = |key: &str| {
        answer[key]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error != "")
    };
    assert!(
        !refused("templates"),
        "Gatekeeper refuses: {}",
        answer["templates"]
    );
    assert!(
        !refused("constraints"),
        "Gatekeeper refuses: {}",
        answer["constraints"]
    );
    let mut judge = load(&templates, &constraints)
        .judge(&Inventory::of(&objects))
        .unwrap();
    let mut differences = Vec::new();
    for (asked, answer) in reviews.iter().zip(answer["answers"].as_array().unwrap()) {
        let request = Json::from(&asked["request"]);
        let namespace = asked.get("namespace").map(Json::from);
        let review = Review {
            request: &request,
            namespace: namespace.as_ref(),
        };
        let ours = ours(judge.review(&review));
        let theirs = theirs(answer);
        assert!(answer.get("error").is_none(), "Gatekeeper fails: {answer}");
        if ours != theirs {
            let only = |a: &Verdict, b: &Verdict| -> Vec<String> {
                a.iter()
                    .filter(|(key, value)| b.get(*key) != Some(*value))
                    .map(|each| format!("{each:?}"))
                    .collect()
            };
            differences.push(Difference(format!(
                "ours alone {:#?}\ntheirs alone {:#?}\nabout {}",
                only(&ours, &theirs),
                only(&theirs, &ours),
                asked["request"]
            )));
        }
    }
    differences
}

#[test]
fn templates_give_gatekeepers_verdicts() {
    let (templates, constraints) = library();
    assert!(templates.len() >= 18);
    let reviews_each = cases(1_500) / constraints.len();
    let mut rng = Rng::with_seed(seed());
    let objects = objects();
    let (mut done, mut differences) = (0, Vec::new());
    while done < reviews_each {
        let batch: Vec<Value> = (0..(reviews_each - done).min(2000))
            .map(|_| review(&mut rng, &objects))
            .collect();
        differences.extend(compare(&batch));
        done += batch.len();
    }
    println!(
        "Gatekeeper: {} templates, {} constraints, {} requests, {} verdicts, {} differences (seed {})",
        templates.len(),
        constraints.len(),
        done,
        done * constraints.len(),
        differences.len(),
        seed()
    );
    if let Some(Difference(first)) = differences.first() {
        panic!("{} differences; the first: {first}", differences.len());
    }
}

/// Numbers as both write them, and lists in one order: a set has none.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(plain).collect();
            list.sort_by_key(ToString::to_string);
            Value::Array(list)
        }
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        // Of an empty set only the word differs.
        Value::String(text) => json!(text.replace("set()", "{}")),
        other => other.clone(),
    }
}

/// What the engine fails at, in words of its errors; `docs/rego.md` lists them.
const STRICTER: [&str; 3] = [
    "on floating-point number",
    "expects numeric argument",
    "`some .. in collection` expects",
];

#[test]
fn programs_give_opas_answers() {
    const INPUTS: usize = 10;
    let wanted = cases(1_000);
    let mut rng = Rng::with_seed(seed());
    let (mut done, mut refused, mut invalid) = (0, BTreeMap::<&str, usize>::new(), 0);
    let mut differences = Vec::new();
    let mut stricter = 0;
    while done < wanted {
        let programs: Vec<(String, Vec<Value>)> = (0..200)
            .map(|_| {
                let inputs = (0..INPUTS)
                    .map(|_| crate::generator::input(&mut rng))
                    .collect();
                (crate::generator::program(&mut rng), inputs)
            })
            .collect();
        let questions: Vec<Value> = programs
            .iter()
            .map(|(text, inputs)| {
                json!({"opa": {
                    "modules": {"a.rego": text}, "version": 0, "query": "data.a.deny", "inputs": inputs,
                }})
            })
            .collect();
        for ((text, inputs), answer) in programs.iter().zip(ORACLE.ask(&questions)) {
            if answer["error"].is_string() {
                invalid += 1;
                continue;
            }
            let mut policy = Plain::default();
            let query = policy
                .add("a.rego", text)
                .map_err(|refusal| vec![refusal])
                .and_then(|()| policy.query("data.a.deny", &Json::from(&json!({}))));
            let mut query = match query {
                Ok(query) => query,
                Err(refusals) => {
                    *refused.entry(refusals[0].rule).or_default() += 1;
                    continue;
                }
            };
            for (input, theirs) in inputs.iter().zip(answer["answers"].as_array().unwrap()) {
                done += 1;
                let ours = query.ask(&Json::from(input));
                let same = match &ours {
                    Ok(Some(ours)) => theirs
                        .get("value")
                        .is_some_and(|theirs| plain(theirs) == plain(ours)),
                    Ok(None) => theirs["undefined"] == true,
                    Err(_) => theirs["error"].is_string(),
                };
                // Where OPA takes the rule for undefined, we say that there is no answer, which denies.
                if let (false, Err(failure)) = (same, &ours) {
                    let failure = failure.to_string();
                    if STRICTER.iter().any(|words| failure.contains(words)) {
                        stricter += 1;
                        continue;
                    }
                }
                if !same {
                    differences.push(format!(
                        "ours {ours:?}\ntheirs {theirs}\ninput {input}\n{text}"
                    ));
                }
            }
        }
    }
    println!(
        "OPA: {done} answers of generated programs, {} differences; {stricter} denied where OPA takes a rule for undefined; refused at load: {refused:?}; no programs for OPA: {invalid} (seed {})",
        differences.len(),
        seed()
    );
    if let Some(first) = differences.iter().min_by_key(|text| text.len()) {
        panic!("{} differences; the shortest: {first}", differences.len());
    }
}
