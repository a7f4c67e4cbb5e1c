use super::*;

fn of_kind(kind: &str) -> Vec<Value> {
    policies()
        .into_iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

#[test]
fn the_guards_are_what_people_read() {
    let text: Vec<String> = policies()
        .iter()
        .map(|guard| serde_json::to_string_pretty(guard).unwrap())
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn every_policy_is_bound_and_denies() {
    let (policies, bindings) = (
        of_kind("ValidatingAdmissionPolicy"),
        of_kind("ValidatingAdmissionPolicyBinding"),
    );
    assert_eq!(policies.len(), bindings.len());
    for (policy, binding) in policies.iter().zip(&bindings) {
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    }
}

/// `namespaceObject` is null there, and a guard against null would switch the policy off.
#[test]
fn no_match_condition_asks_for_the_namespace() {
    for policy in of_kind("ValidatingAdmissionPolicy") {
        let conditions = policy["spec"]["matchConditions"].to_string();
        assert!(!conditions.contains("namespaceObject"), "{conditions}");
    }
}

/// Whoever meets a guard reads first which control it is, and the request counts as forbidden.
#[test]
fn every_validation_names_its_control() {
    for policy in of_kind("ValidatingAdmissionPolicy") {
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            let message = validation["message"].as_str().unwrap();
            let (control, words) = message.split_once(": ").unwrap();
            assert!(
                control.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{message}"
            );
            assert!(!words.contains('\n'), "{message}");
            assert_eq!(validation["reason"], "Forbidden");
            if let Some(expression) = validation["messageExpression"].as_str() {
                // A quote in the words would end the CEL string.
                assert!(!message.contains('\''), "{message}");
                assert!(
                    expression.starts_with(&format!("'{message}")),
                    "{expression}"
                );
            }
        }
    }
}

#[test]
fn no_placeholder_and_no_phrase_is_left() {
    let text = policies().iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains('$') || text.matches('$').count() == text.matches("]+$'").count());
    for phrase in ["labels(", "annotations(", "ownerReferences(", "finalizers("] {
        assert!(!text.contains(phrase), "{phrase}");
    }
    assert_eq!(
        cel("labels(object)['$TENANT_UID'] == '$TENANT'"),
        "object.metadata.?labels.orValue({})['bulkhead.dev/tenant-uid'] == 'bulkhead.dev/tenant'"
    );
}
