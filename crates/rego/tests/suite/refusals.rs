//! What is refused at load, by which rule and where, and what denies at evaluation.

use bulkhead_model::Json;
use bulkhead_rego::{Inventory, Plain, Policies, Refusal, Review, Template};
use serde_json::{Value, json};

fn refused(rego: &str) -> Vec<Refusal> {
    let mut plain = Plain::default();
    match plain.add("a.rego", rego) {
        Err(refusal) => vec![refusal],
        Ok(()) => plain.lint().err().unwrap_or_default(),
    }
}

fn template(change: impl FnOnce(&mut Value)) -> Result<Template, Vec<Refusal>> {
    let mut object = json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "metadata": {"name": "a"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "A"}, "validation": {"openAPIV3Schema": {
                "type": "object", "properties": {"n": {"type": "integer", "default": 3}},
            }}}},
            "targets": [{
                "target": "admission.k8s.gatekeeper.sh",
                "rego": "package a\nviolation[{\"msg\": \"no\"}] { input.parameters.n > 2 }",
            }],
        },
    });
    change(&mut object);
    Template::parse(&object, "a")
}

/// Each rule of the lint, at a line and column of a policy that breaks it.
#[test]
fn each_lint_says_where() {
    for (rule, line, column, body) in [
        ("syntax", 3, 5, "x := := 1"),
        ("unknown-function", 3, 8, "x := frobnicate(1)"),
        ("unsupported-function", 3, 8, "x := http.send({})"),
        ("unsupported-function", 3, 8, "x := time.now_ns()"),
        ("unsupported-function", 3, 8, "x := external_data({})"),
        (
            "unsupported-function",
            3,
            3,
            "strings.count(input.x, \"\") == 0",
        ),
        (
            "unsupported-function",
            3,
            3,
            "startswith(input.x, \"a\", y)",
        ),
        ("call-over-lines", 3, 3, "count\n  (input.x) > 0"),
        ("format-arguments", 3, 8, "x := sprintf(\"%v %v\", [1])"),
        ("format-arguments", 3, 8, "x := sprintf(\"%v\", [1, 2])"),
        ("format-arguments", 3, 8, "x := sprintf(\"%x\", [1])"),
        ("format-arguments", 3, 8, "x := sprintf(input.x, [1])"),
        ("bad-pattern", 3, 16, "regex.match(\"(\", input.x)"),
        (
            "bad-pattern",
            3,
            16,
            "regex.match(\"(((a{100}){100}){100}){100}\", input.x)",
        ),
        ("foreign-data", 3, 3, "data.other.x == 1"),
        ("foreign-data", 3, 3, "data.inventory.x == 1"),
        ("syntax", 3, 20, "not startswith(x[_], \"a\")"),
    ] {
        let found = refused(&format!(
            "package a\ndeny[message] {{\n  {body}\n  message := \"m\"\n}}"
        ));
        let first = found.first().unwrap_or_else(|| panic!("`{body}` is taken"));
        assert_eq!(first.rule, rule, "{first}");
        if rule != "syntax" || column != 5 {
            assert_eq!(
                (first.place.line, first.place.column),
                (line, column),
                "{first}"
            );
        } else {
            assert_eq!(first.place.line, line, "{first}");
        }
    }
}

#[test]
fn what_is_no_set_of_messages_is_refused() {
    for rego in [
        "package a\ndeny = true { input.x }",
        "package a\ndeny = [1] { input.x }",
        "package a\nallow[x] { x := 1 }",
        "package a\nimport foo.bar\nx = 1",
    ] {
        let found = refused(rego);
        assert!(!found.is_empty(), "{rego} is taken");
    }
    for rego in [
        "package a\nviolation[\"no\"] { true }",
        "package a\nviolation[{\"message\": \"no\"}] { true }",
        "package a\nviolation = true { true }",
        "package a\ndeny[{\"msg\": \"no\"}] { true }",
    ] {
        let found = template(|t| t["spec"]["targets"][0]["rego"] = json!(rego)).unwrap_err();
        assert_eq!(found[0].rule, "not-a-set", "{rego}: {found:?}");
    }
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    let long = format!("package a\ndeny[m] {{ m := \"{}\" }}", "a".repeat(1 << 20));
    assert_eq!(refused(&long)[0].rule, "too-large");
    let deep = format!(
        "package a\ndeny[m] {{ m := {}1{} }}",
        "[".repeat(1000),
        "]".repeat(1000)
    );
    assert_eq!(refused(&deep)[0].rule, "too-large");
    let chain = format!("package a\ndeny[m] {{ m := input{} }}", ".a".repeat(1000));
    assert!(!refused(&chain).is_empty());
}

#[test]
fn parts_of_gatekeeper_that_are_not_done_are_refused_by_name() {
    let cel = template(|t| {
        let source = json!({"validations": []});
        t["spec"]["targets"][0]["code"] =
            json!([{"engine": "K8sNativeValidation", "source": source}]);
    });
    assert_eq!(cel.unwrap_err()[0].rule, "unsupported-policy");
    let template = template(|_| {}).unwrap();
    let constraint = |spec: Value| {
        let object = json!({"kind": "A", "metadata": {"name": "c"}, "spec": spec});
        template
            .constraint(&object, "c")
            .map_err(|refusal| refusal.rule)
    };
    assert!(constraint(json!({})).is_ok());
    assert_eq!(
        constraint(json!({"enforcementAction": "scoped"})).unwrap_err(),
        "unsupported-policy"
    );
    assert_eq!(
        constraint(json!({"scopedEnforcementActions": []})).unwrap_err(),
        "unsupported-policy"
    );
    assert_eq!(
        constraint(json!({"enforcementAction": "audit"})).unwrap_err(),
        "bad-object"
    );
    assert_eq!(
        constraint(json!({"parameters": {"n": "3"}})).unwrap_err(),
        "bad-parameters"
    );
    assert_eq!(
        constraint(json!({"parameters": {"m": 3}})).unwrap_err(),
        "bad-parameters"
    );
    assert_eq!(
        constraint(json!({"match": {"kind": []}})).unwrap_err(),
        "bad-object"
    );
    assert_eq!(
        constraint(json!({"match": {"scope": "cluster"}})).unwrap_err(),
        "bad-object"
    );
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    assert_eq!(
        constraint(json!({"match": {"labelSelector": selector}})).unwrap_err(),
        "bad-object"
    );
}

#[test]
fn a_template_with_a_bad_schema_is_refused() {
    for schema in [
        json!({"type": "objekt"}),
        json!({"type": "object", "properties": {"a": {"pattern": "("}}}),
        json!({"type": "object", "properties": []}),
        json!({"oneOf": []}),
        json!("object"),
    ] {
        let at = "/spec/crd/spec/validation/openAPIV3Schema";
        let found = template(|t| *t.pointer_mut(at).unwrap() = schema.clone()).unwrap_err();
        assert_eq!(found[0].rule, "bad-object", "{schema}: {found:?}");
    }
}

fn judged(rego: &str, object: Value) -> Vec<String> {
    let mut policies = Policies::default();
    policies.plain.add("a.rego", rego).unwrap();
    policies.plain.lint().unwrap();
    let mut judge = policies
        .judge(&Inventory::default())
        .unwrap_or_else(|r| panic!("{r:?}"));
    let request = json!({
        "operation": "CREATE", "kind": {"kind": object["kind"]}, "object": object,
    });
    let request = Json::from(&request);
    let found = judge.review(&Review {
        request: &request,
        namespace: None,
    });
    found.iter().map(ToString::to_string).collect()
}

/// The guide's own example, as it is printed there but for the line break in its text.
const GUIDE: &str = r#"deny[message] {
    # match only if a Pod is being created
    input.request.kind.kind == "Pod"

    # examine each container
    container := input.request.object.spec.containers[_]
    # match if privileged is set
    container.securityContext.privileged
    message := sprintf("Container %v runs in privileged mode.", [container.name])
}"#;

#[test]
fn the_guides_example_is_taken_as_it_is() {
    let pod = |privileged: bool| {
        let context = json!({"privileged": privileged});
        json!({"kind": "Pod", "spec": {"containers": [{"name": "c", "securityContext": context}]}})
    };
    assert_eq!(
        judged(GUIDE, pod(true)),
        ["[a.rego] Container c runs in privileged mode."]
    );
    assert_eq!(judged(GUIDE, pod(false)), [""; 0]);
}

#[test]
fn a_policy_that_gives_no_answer_denies() {
    let big: Vec<u32> = (0..2000).collect();
    let endless = "package a\ndeny[m] { x := input.request.object.l[_]; y := input.request.object.l[_]; z := input.request.object.l[_]; x + y + z == -1; m := \"m\" }";
    let found = judged(endless, json!({"kind": "A", "l": big}));
    assert_eq!(
        found,
        ["[a.rego] gives no answer, which denies: takes longer than it may (2000 ms)"]
    );
    let conflict = "package a\nv = 1 { input.request.object.x }\nv = 2 { input.request.object.x }\ndeny[m] { v > 0; m := \"m\" }";
    let found = judged(conflict, json!({"kind": "A", "x": true}));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("gives no answer, which denies"),
        "{found:?}"
    );
    let number = "package a\ndeny[m] { m := input.request.object.x }";
    let found = judged(number, json!({"kind": "A", "x": 7}));
    assert!(found[0].contains("no message but `7`"), "{found:?}");
}
