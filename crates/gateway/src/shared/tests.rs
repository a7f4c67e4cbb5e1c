use bulkhead_model::tenant::Person;
use bulkhead_scope::{Caller, Membership, Outcome, parse, scope};
use http::StatusCode;

use super::*;

/// Somebody whose tenant may use the StorageClass `gold`.
fn caller() -> Caller {
    let tenant = bulkhead_cluster::TenantCache::fixed(vec![json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "acme", "uid": "u-acme", "generation": 1},
        "spec": {
            "members": [{"kind": "User", "name": "alice", "role": "Viewer"}],
            "storageClasses": {"allowed": ["gold"]},
        },
    })]);
    let person = Person::User {
        name: "alice",
        groups: &[],
    };
    Caller {
        person: "alice".into(),
        memberships: tenant
            .tenants()
            .iter()
            .filter_map(|tenant| Membership::of(tenant, &person, []))
            .collect(),
    }
}

fn lens(target: &str, accept: &str) -> (Lens, String, Verb) {
    let asked = parse("GET", target).unwrap();
    let verb = asked.verb();
    match scope(asked, &caller(), bulkhead_scope::Body::Empty).unwrap() {
        Outcome::Forward(scoped) => {
            let (lens, accept) = Lens::of(&scoped, accept).unwrap();
            (lens, accept, verb)
        }
        other => panic!("{other:?}"),
    }
}

const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const NAMES: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

async fn seen(target: &str, accept: &str, upstream: &str) -> Result<String, u16> {
    let (lens, _, verb) = lens(target, accept);
    let response = Response::new(full(upstream.to_owned()));
    match lens.narrow(response, verb).await {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::OK);
            let bytes = read_body(response.into_body(), 9999).await.unwrap();
            Ok(String::from_utf8(bytes.to_vec()).unwrap())
        }
        Err(denial) => Err(denial.status),
    }
}

fn class(name: &str) -> Value {
    json!({"metadata": {"name": name}, "parameters": {"a": "b"}, "provisioner": "p"})
}

#[tokio::test]
async fn lists_hold_what_is_seen() {
    let (gold, silver) = (class("gold"), class("silver"));
    let list = json!({"kind": "L", "metadata": {"resourceVersion": "7"}, "items": [silver, gold]});
    let whole = seen(CLASSES, "application/json", &list.to_string()).await;
    let expected = json!({"kind": "L", "metadata": {"resourceVersion": "7"}, "items": [
        {"metadata": {"name": "gold"}, "provisioner": "p"},
    ]});
    assert_eq!(whole.unwrap(), expected.to_string());

    let names = seen(CLASSES, NAMES, &list.to_string()).await;
    let expected = json!({
        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"},
        "items": [{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "gold"}}],
    });
    assert_eq!(
        serde_json::from_str::<Value>(&names.unwrap()).unwrap(),
        expected
    );

    let row = |object: &Value| json!({"cells": ["x"], "object": object});
    let table = json!({"kind": "Table", "rows": [row(&silver), row(&gold)]}).to_string();
    for (include, object) in [
        ("None", Value::Null),
        ("Metadata", metadata(&mut class("gold"), "v1")),
        (
            "Object",
            json!({"metadata": {"name": "gold"}, "provisioner": "p"}),
        ),
    ] {
        let target = format!("{CLASSES}?includeObject={include}");
        let got = seen(&target, TABLE, &table).await.unwrap();
        let expected = json!({"kind": "Table", "rows": [row(&object)]});
        assert_eq!(serde_json::from_str::<Value>(&got).unwrap(), expected);
    }
    assert_eq!(seen(CLASSES, TABLE, "{}").await, Err(404));
    assert_eq!(seen(CLASSES, "application/json", "{").await, Err(500));
}

#[tokio::test]
async fn an_object_is_seen_or_not_there() {
    // Whatever upstream answers: the name was looked at before, and is again.
    let target = format!("{CLASSES}/gold");
    let silver = class("silver").to_string();
    assert_eq!(seen(&target, "application/json", &silver).await, Err(404));
    let gold = seen(&target, "application/json", &class("gold").to_string()).await;
    assert!(!gold.unwrap().contains("parameters"));
}

#[tokio::test]
async fn watches_tell_of_what_is_seen_and_keep_the_columns() {
    let target = format!("{CLASSES}?watch=true");
    let event =
        |kind: &str, object: Value| format!("{}\n", json!({"type": kind, "object": object}));
    let end = event("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}}));
    let events = [
        event("ADDED", class("silver")),
        event("MODIFIED", class("gold")),
        end.clone(),
        event("ERROR", json!({"code": 410})),
        "{\"cut\":".into(),
    ]
    .concat();
    let got = seen(&target, "application/json", &events).await.unwrap();
    let shown: Vec<Value> = got
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&Value> = shown.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["MODIFIED", "BOOKMARK", "ERROR"]);
    assert!(
        !got.contains("silver") && !got.contains("parameters"),
        "{got}"
    );

    let table = |columns: Value, name: &str| json!({"kind": "Table", "columnDefinitions": columns, "rows": [{"cells": [name], "object": class(name)}]});
    let events = [
        event("ADDED", table(json!([{"name": "Name"}]), "silver")),
        event("ADDED", table(Value::Null, "gold")),
        event("ADDED", table(Value::Null, "gold")),
    ]
    .concat();
    let got = seen(&target, TABLE, &events).await.unwrap();
    let columns: Vec<Value> = got
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["object"]["columnDefinitions"].clone()
        })
        .collect();
    assert_eq!(columns, [json!([{"name": "Name"}]), Value::Null]);
}

#[test]
fn upstream_is_asked_for_what_can_be_looked_at() {
    for (accept, form, asked) in [
        ("application/json", Form::Whole, "application/json"),
        (NAMES, Form::Metadata("v1".into()), "application/json"),
        (
            TABLE,
            Form::Table,
            "application/json;as=Table;v=v1;g=meta.k8s.io",
        ),
    ] {
        let (lens, upstream, _) = lens(CLASSES, accept);
        assert_eq!((lens.form, upstream.as_str()), (form, asked), "{accept}");
    }
}
