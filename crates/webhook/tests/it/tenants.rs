//! Tenants as administrators write them.

use serde_json::{Value, json};

use crate::reviews::{ask, refusal, review, tenant};

fn tenant_review(tenant: Value) -> Value {
    let mut review = review(tenant);
    let request = &mut review["request"];
    request["name"] = request["object"]["metadata"]["name"].clone();
    request["namespace"] = json!(null);
    request["kind"] = json!({"group": "bulkhead.dev", "version": "v1alpha1", "kind": "Tenant"});
    request["resource"] =
        json!({"group": "bulkhead.dev", "version": "v1alpha1", "resource": "tenants"});
    review
}

#[tokio::test]
async fn a_right_spec_is_let_in() {
    for (name, prefix) in [("acme", "acme-"), ("glob", "glob-"), ("globex", "globex-")] {
        let right = tenant(name, json!({"namespaceOptions": {"prefix": prefix}}));
        let response = ask("/tenants", &tenant_review(right)).await;
        assert_eq!(response["allowed"], true, "{response}");
    }
}

#[tokio::test]
async fn a_wrong_spec_is_refused_by_field() {
    for (spec, field) in [
        (
            json!({"namespaceOptions": {"prefix": "NO"}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"members": [{"kind": "User", "name": "system:admin", "role": "admin"}]}),
            "spec.members[0]",
        ),
        (json!({"surprise": 1}), "spec.surprise"),
        (
            json!({"namespaceOptions": {"prefix": "globex-prod-"}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"namespaceOptions": {"prefix": "glo-"}, "podSecurity": {"allowedCapabilities": ["SYS_ADMIN"]}}),
            "spec.podSecurity.allowedCapabilities[0]",
        ),
    ] {
        let response = ask("/tenants", &tenant_review(tenant("acme", spec))).await;
        assert!(refusal(&response).contains(field), "{response}");
        assert_eq!(response["status"]["code"], 422);
        assert_eq!(response["status"]["reason"], "Invalid");
        let details = &response["status"]["details"];
        assert_eq!(details["kind"], "Tenant");
        assert_eq!(details["name"], "acme");
        let causes = details["causes"].as_array().unwrap();
        assert!(
            causes
                .iter()
                .any(|cause| cause["field"].as_str().unwrap().starts_with(field)),
            "{response}"
        );
    }
}

#[tokio::test]
async fn an_overlap_names_the_other_tenant() {
    let overlapping = tenant(
        "acme",
        json!({"namespaceOptions": {"prefix": "globex-prod-"}}),
    );
    let response = ask("/tenants", &tenant_review(overlapping)).await;
    insta::assert_snapshot!(refusal(&response));
}

#[tokio::test]
async fn a_regex_that_blows_up_is_refused_by_field() {
    let spec = json!({
        "namespaceOptions": {"prefix": "acme-"},
        "priorityClasses": {"allowedRegex": "((a{100}){100}){100}"},
    });
    let response = ask("/tenants", &tenant_review(tenant("acme", spec))).await;
    let text = refusal(&response);
    assert!(
        text.starts_with("spec.priorityClasses.allowedRegex: ") && text.contains("too large"),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_but_tenants_is_judged_there() {
    let mut pod = tenant_review(tenant("acme", json!({})));
    pod["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    assert!(refusal(&ask("/tenants", &pod).await).contains("not pods"));
    let mut delete = tenant_review(tenant("acme", json!({})));
    delete["request"]["operation"] = json!("DELETE");
    assert!(refusal(&ask("/tenants", &delete).await).contains("only CREATE and UPDATE"));
    let mut nothing = tenant_review(tenant("acme", json!({})));
    nothing["request"]["object"] = json!(null);
    assert!(refusal(&ask("/tenants", &nothing).await).contains("no object"));
}
