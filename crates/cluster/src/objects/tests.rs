use serde_json::json;

use super::*;

fn binding(namespace: &str, name: &str, tenant: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("u-{name}"), "resourceVersion": "7",
            "labels": {labels::TENANT: tenant}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [
                {"manager": "bulkhead", "operation": "Apply", "fieldsV1": {"f:roleRef": {}}},
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:subjects": {}}},
            ],
        },
        "roleRef": {"kind": "ClusterRole", "name": "x"},
    })
}

fn cache() -> (ObjectCache, Keeper) {
    let cache = ObjectCache {
        shared: Arc::default(),
        _watches: Arc::default(),
    };
    let kind = Kind::new("rbac.authorization.k8s.io/v1", "RoleBinding");
    let keeper = cache.keeper(kind, true);
    (cache, keeper)
}

fn kept(namespace: &str, name: &str, tenant: &str) -> Kept {
    Kept::of(&binding(namespace, name, tenant))
}

fn names(objects: &[Value]) -> Vec<&str> {
    let names = objects
        .iter()
        .map(|object| object["metadata"]["name"].as_str());
    names.map(Option::unwrap).collect()
}

#[test]
fn what_is_compared_survives_and_the_rest_does_not() {
    let (cache, mut keeper) = cache();
    keeper.hear(Event::Applied(kept("a", "x", "acme")));
    let mut expected = binding("a", "x", "acme");
    let metadata = expected["metadata"].as_object_mut().unwrap();
    metadata.remove("creationTimestamp");
    metadata["managedFields"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    assert_eq!(cache.in_namespace("a"), [expected]);
}

#[test]
fn objects_are_found_by_namespace_and_by_tenant() {
    let (cache, mut keeper) = cache();
    keeper.hear(Event::Listed(vec![
        kept("a", "x", "acme"),
        kept("a", "y", "globex"),
        kept("ab", "z", "acme"),
    ]));
    assert_eq!(names(&cache.in_namespace("a")), ["x", "y"]);
    assert_eq!(names(&cache.of_tenant("a", "acme")), ["x"]);
    keeper.hear(Event::Applied(kept("a", "x", "globex")));
    assert!(cache.of_tenant("a", "acme").is_empty(), "it was relabelled");
    assert_eq!(names(&cache.of_tenant("a", "globex")), ["x", "y"]);
    keeper.hear(Event::Deleted(kept("a", "y", "globex")));
    assert_eq!(names(&cache.in_namespace("a")), ["x"]);
}

#[test]
fn a_list_replaces_what_its_kind_had_and_names_what_went() {
    let (cache, mut keeper) = cache();
    let mut other = cache.keeper(Kind::namespace(), false);
    other.hear(Event::Listed(vec![Kept::of(
        &json!({"metadata": {"name": "a"}}),
    )]));
    keeper.hear(Event::Listed(vec![
        kept("a", "x", "acme"),
        kept("b", "y", "acme"),
    ]));
    let mut touched = cache.touched();
    let mut heard = || -> Vec<String> {
        std::iter::from_fn(|| touched.try_recv().ok())
            .map(|one| one.namespace)
            .collect()
    };
    assert_eq!(heard(), ["a", "b"], "Namespaces are not announced here");
    keeper.hear(Event::Listed(vec![kept("b", "y", "acme")]));
    assert_eq!(heard(), ["b", "a"]);
    let left = cache.in_namespace("a");
    assert_eq!(names(&left), ["a"], "the other kind's stay");
    assert_eq!(left[0]["kind"], "Namespace");
}

#[test]
fn a_cache_is_ready_once_every_kind_is() {
    let (cache, mut keeper) = cache();
    let mut other = cache.keeper(Kind::namespace(), false);
    keeper.hear(Event::Listed(vec![]));
    assert!(!cache.is_ready());
    other.hear(Event::Listed(vec![]));
    assert!(cache.is_ready());
    other.hear(Event::Lost("gone".to_owned()));
    assert!(!cache.is_ready(), "what is known may be old");
    other.hear(Event::Connected);
    assert!(cache.is_ready());
}
