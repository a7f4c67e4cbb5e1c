//! What the webhook looks up for the rules, against what it may read.

use std::collections::BTreeSet;

use bulkhead_model::counted::CountedKind;
use serde_json::Value;

#[test]
fn the_webhook_may_read_exactly_what_its_rules_look_up_and_quotas_count() {
    let objects = bulkhead_isolation::install();
    let role = objects
        .iter()
        .find(|object| {
            object["kind"] == "ClusterRole" && object["metadata"]["name"] == "bulkhead-webhook"
        })
        .unwrap();
    let list = |value: &Value| -> Vec<String> {
        let values = value.as_array().unwrap().iter();
        values.map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut may = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        // Whether somebody may `use` a policy is asked, not read.
        if list(&rule["resources"]) == ["subjectaccessreviews"] {
            assert_eq!(list(&rule["verbs"]), ["create"]);
            continue;
        }
        assert!(list(&rule["verbs"]).contains(&"get".to_owned()), "{rule}");
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                may.insert((group.clone(), resource));
            }
        }
    }
    // Policies in Rego are watched, for all that they match.
    for (group, resource) in [
        ("config.gatekeeper.sh", "configs"),
        ("constraints.gatekeeper.sh", "*"),
        ("templates.gatekeeper.sh", "constrainttemplates"),
    ] {
        may.remove(&(group.to_owned(), resource.to_owned()));
    }
    // The tenants are watched, for the judgement of Tenants, and the policies, for pods; from the
    // ledger it leases.
    for resource in ["tenants", "ledgerentries", "podsecuritypolicies"] {
        may.remove(&("bulkhead.dev".to_owned(), resource.to_owned()));
    }
    let mut looks_up: BTreeSet<(String, String)> = bulkhead_controls::LOOKED_UP
        .iter()
        .map(|kind| (kind.group.to_owned(), kind.resource.to_owned()))
        .collect();
    looks_up.extend(CountedKind::all().map(|kind| (kind.group, kind.resource)));
    assert_eq!(may, looks_up);
}
