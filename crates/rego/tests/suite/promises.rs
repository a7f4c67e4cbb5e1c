//! What is promised of any text and any input, for the tests and the fuzz targets.

use bulkhead_model::json;
use bulkhead_rego::{Inventory, Judge, Plain, Policies, Refusal, Review, Template};
use serde_json::json;

/// A policy's text, as a module and as a template: refusals have places in it.
pub fn of_policy(text: &str) {
    let mut plain = Plain::default();
    let mut refused = match plain.add("a.rego", text) {
        Err(refusal) => vec![refusal],
        Ok(()) => plain.lint().err().unwrap_or_default(),
    };
    if refused.is_empty() {
        let policies = Policies {
            plain,
            ..Policies::default()
        };
        refused = answers(&policies);
    }
    let template = json!({
        "metadata": {"name": "a"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "A"}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": text}],
        },
    });
    match Template::parse(&template, "a") {
        Err(more) => refused.extend(more),
        Ok(template) => {
            let constraint = template.constraint(&json!({"metadata": {"name": "c"}}), "c");
            let constraint = constraint.expect("a constraint without a spec is one");
            let mut policies = Policies::default();
            let key = (constraint.kind.clone(), constraint.name.clone());
            policies.constraints.insert(key, constraint);
            policies.templates.insert("A".to_owned(), template);
            refused.extend(answers(&policies));
        }
    }
    // One is added where no package is named, and none takes away.
    let lines = text.lines().count() + 2;
    for refusal in refused {
        assert!(!refusal.message.is_empty(), "{refusal:?}");
        assert!(refusal.place.line as usize <= lines, "{refusal}");
    }
}

/// Compiles and asks: why it does not compile, if so.
fn answers(policies: &Policies) -> Vec<Refusal> {
    match policies.judge(&Inventory::default()) {
        Err(refusals) => {
            assert!(!refusals.is_empty(), "refused without a reason");
            refusals
        }
        Ok(mut judge) => {
            let text = br#"{"operation": "CREATE", "object": {"kind": "Pod", "apiVersion": "v1"}}"#;
            ask(&mut judge, text);
            Vec::new()
        }
    }
}

/// Ways in which policies look at objects.
const USUAL: &str = r#"package a
import future.keywords.in
import future.keywords.every
object := input.request.object
deny[m] { c := object.spec.containers[_]; c.securityContext.privileged; m := sprintf("%v: %v", [c.name, c]) }
deny[m] { not startswith(object.metadata.name, "a"); m := lower(object.metadata.name) }
deny[m] { count(object.metadata.labels) > 3; m := concat(",", sort([k | object.metadata.labels[k]])) }
deny[m] { some c in object.spec.containers; parts := split(c.image, ":"); m := parts[count(parts) - 1] }
deny[m] { some key, value in object.spec; is_object(value); m := sprintf("%v %v", [key, json.marshal(value)]) }
deny[m] { every c in object.spec.containers { c.resources.limits.cpu }; m := "all" }
deny[m] { n := to_number(object.spec.replicas); n > 3; m := sprintf("%d", [n]) }
deny[m] { regex.match("^[a-z]+$", object.kind); m := substring(object.kind, 0, 2) }
deny[m] { x := object.metadata.annotations[k]; y := trim(x, "-"); x != y; m := replace(k, "-", "_") }
deny[m] { a := {x | x := object.spec.a[_]}; b := {x | x := object.spec.b[_]}; m := sprintf("%v", [(a - b) | (a & b)]) }
"#;

thread_local! {
    static JUDGE: std::cell::RefCell<Judge> = {
        let mut policies = Policies::default();
        policies.plain.add("usual.rego", USUAL).expect("a module");
        let judge = policies.judge(&Inventory::default());
        std::cell::RefCell::new(judge.expect("it compiles"))
    };
}

/// A request's text: policies answer, and twice the same.
pub fn of_input(text: &[u8]) {
    JUDGE.with_borrow_mut(|judge| ask(judge, text));
}

fn ask(judge: &mut Judge, text: &[u8]) {
    let Ok(request) = json::parse(text) else {
        return;
    };
    let review = Review {
        request: &request,
        namespace: None,
    };
    let found = judge.review(&review);
    for violation in &found {
        assert!(!violation.policy.is_empty());
        assert!(
            !violation.failed || !violation.message.is_empty(),
            "{violation:?}"
        );
    }
    // Time is the only thing that two looks may not share.
    let slow = |found: &[bulkhead_rego::Violation]| {
        found
            .iter()
            .any(|v| v.failed && v.message.contains("longer"))
    };
    let again = judge.review(&review);
    assert!(
        slow(&found) || slow(&again) || found == again,
        "{found:?} {again:?}"
    );
}
