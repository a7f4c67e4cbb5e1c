use super::*;

fn narrowed(path: &str, mut value: Value) -> Value {
    match Path::parse(path).unwrap() {
        Path::Document(document) => narrow_document(&document, &mut value),
        Path::Resource(_) => panic!("{path}"),
    }
    value
}

#[test]
fn groups_of_the_platforms_are_not_there() {
    let address = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": "192.0.2.2:6443"}]);
    let group = |name: &str| json!({"name": name, "serverAddressByClientCIDRs": address});
    let document = json!({"kind": "APIGroupList", "groups": [
        group("apps"), group("bulkhead.dev"), group("node.k8s.io"), group("authentication.k8s.io"),
        group("flowcontrol.apiserver.k8s.io"), group("example.com"),
    ]});
    let left = narrowed("/apis", document);
    let names: Vec<&str> = left["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| text(group, "name"))
        .collect();
    assert_eq!(
        names,
        [
            "apps",
            "node.k8s.io",
            "authentication.k8s.io",
            "example.com"
        ]
    );
    assert!(!left.to_string().contains("192.0.2.2"));
    for (path, hidden) in [
        ("/apis/bulkhead.dev", true),
        ("/apis/bulkhead.dev/v1alpha1", true),
        ("/openapi/v3/apis/bulkhead.dev/v1alpha1", true),
        ("/openapi/v3/api/v1", false),
        ("/apis/apps/v1", false),
        ("/api/v1", false),
        ("/version", false),
    ] {
        let Path::Document(document) = Path::parse(path).unwrap() else {
            panic!("{path}")
        };
        assert_eq!(is_hidden(&document), hidden, "{path}");
    }
}

#[test]
fn resources_have_the_verbs_that_work() {
    let resource = |name: &str, namespaced: bool, verbs: &[&str]| json!({"name": name, "namespaced": namespaced, "verbs": verbs});
    let all = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let document = json!({"kind": "APIResourceList", "resources": [
        resource("bindings", true, &["create"]),
        resource("namespaces", false, &["create", "delete", "get", "list", "patch", "update", "watch"]),
        resource("namespaces/status", false, &["get", "patch", "update"]),
        resource("nodes", false, &all),
        resource("nodes/proxy", false, &["create", "get"]),
        resource("persistentvolumes", false, &all),
        resource("pods", true, &all),
        resource("pods/exec", true, &["create", "get"]),
        resource("pods/log", true, &["get"]),
        resource("pods/proxy", true, &["create", "get"]),
        resource("pods/status", true, &["get", "patch", "update"]),
    ]});
    let left = narrowed("/api/v1", document);
    assert_eq!(
        left["resources"],
        json!([
            resource(
                "namespaces",
                false,
                &[
                    "create", "delete", "get", "list", "patch", "update", "watch"
                ]
            ),
            resource("nodes", false, &["get", "list", "watch"]),
            resource("pods", true, &all),
            resource("pods/exec", true, &["create", "get"]),
            resource("pods/log", true, &["get"]),
        ])
    );
    // A cluster-scoped kind of somebody else's is not known to the table.
    let document = json!({"resources": [
        resource("things", true, &["get", "approve"]), resource("globals", false, &all),
    ]});
    let left = narrowed("/apis/example.com/v1", document);
    assert_eq!(
        left["resources"],
        json!([resource("things", true, &["get"])])
    );
}

#[test]
fn both_forms_of_discovery_say_the_same() {
    let part = |name: &str, verbs: &[&str]| json!({"subresource": name, "verbs": verbs});
    let document = json!({"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": "bulkhead.dev"}, "versions": [{"version": "v1alpha1", "resources": [
            {"resource": "tenants", "scope": "Cluster", "verbs": ["get"]},
        ]}]},
        {"metadata": {"name": "example.com"}, "versions": [{"version": "v1", "resources": [
            {"resource": "globals", "scope": "Cluster", "verbs": ["get"], "subresources": [part("status", &["get"])]},
        ]}]},
        {"metadata": {"name": "stale.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
            {"resource": "deployments", "scope": "Namespaced", "verbs": ["get", "list"], "subresources": [
                part("scale", &["get", "patch"]), part("status", &["get"]),
            ]},
        ]}]},
        {"metadata": {"name": "storage.k8s.io"}, "versions": [{"version": "v1", "resources": [
            {"resource": "storageclasses", "scope": "Cluster", "verbs": ["create", "list"]},
            {"resource": "volumeattachments", "scope": "Cluster", "verbs": ["create", "list"]},
        ]}]},
    ]});
    let left = narrowed("/apis", document);
    assert_eq!(
        left["items"],
        json!([
            {"metadata": {"name": "stale.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
                {"resource": "deployments", "scope": "Namespaced", "verbs": ["get", "list"],
                 "subresources": [part("scale", &["get", "patch"])]},
            ]}]},
            {"metadata": {"name": "storage.k8s.io"}, "versions": [{"version": "v1", "resources": [
                {"resource": "storageclasses", "scope": "Cluster", "verbs": ["list"]},
            ]}]},
        ])
    );
}

#[test]
fn schemas_have_the_operations_that_work() {
    let index = json!({"paths": {
        "api/v1": {}, "apis/apps/v1": {}, "apis/bulkhead.dev/v1alpha1": {}, "logs": {}, "version": {},
        ".well-known/openid-configuration": {},
    }});
    let left = narrowed("/openapi/v3", index);
    assert_eq!(
        left,
        json!({"paths": {"api/v1": {}, "apis/apps/v1": {}, "version": {}}})
    );
    let operations = |methods: &[&str]| {
        let pairs = methods
            .iter()
            .map(|method| ((*method).to_owned(), json!({})));
        Value::Object(pairs.collect())
    };
    let document = json!({"paths": {
        "/api/v1/namespaces/{namespace}/pods/{name}": operations(&["get", "put", "parameters"]),
        "/api/v1/namespaces/{namespace}/pods/{name}/status": operations(&["get", "parameters"]),
        "/api/v1/namespaces/{namespace}/pods/{name}/proxy/{path}": operations(&["get"]),
        "/api/v1/namespaces/{name}": operations(&["get", "delete"]),
        "/api/v1/pods": operations(&["get"]),
        "/api/v1/watch/pods": operations(&["get"]),
        "/api/v1/nodes": operations(&["get", "post", "delete"]),
        "/api/v1/persistentvolumes": operations(&["get"]),
        "/apis/example.com/v1/globals": operations(&["get"]),
        "/apis/example.com/v1/globals/{name}": operations(&["get"]),
        "/apis/example.com/v1/things": operations(&["get"]),
        "/apis/bulkhead.dev/": operations(&["get"]),
        "/logs/": operations(&["get"]),
        "/version/": operations(&["get"]),
    }, "definitions": {"io.k8s.api.core.v1.Pod": {}, "dev.bulkhead.v1alpha1.Tenant": {}, "dev.bulkheads.v1.X": {}}});
    let left = narrowed("/openapi/v2", document);
    assert_eq!(
        left,
        json!({"paths": {
            "/api/v1/namespaces/{namespace}/pods/{name}": operations(&["get", "put", "parameters"]),
            "/api/v1/namespaces/{name}": operations(&["get", "delete"]),
            "/api/v1/pods": operations(&["get"]),
            "/api/v1/nodes": operations(&["get"]),
            "/apis/example.com/v1/things": operations(&["get"]),
            "/version/": operations(&["get"]),
        }, "definitions": {"io.k8s.api.core.v1.Pod": {}, "dev.bulkheads.v1.X": {}}})
    );
}

#[test]
fn rights_are_those_that_the_gateway_lets_through() {
    let mut review = json!({"status": {
        "resourceRules": [
            {"verbs": ["*"], "apiGroups": [""], "resources": ["pods", "pods/exec", "pods/proxy", "bindings"]},
            {"verbs": ["use"], "apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "resourceNames": ["x"]},
            {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews", "subjectaccessreviews"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"]},
        ],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/api", "/openapi", "/metrics"]}],
        "incomplete": false,
    }});
    narrow_rules(&mut review);
    let rules = review["status"]["resourceRules"].as_array().unwrap();
    let shown: Vec<String> = rules
        .iter()
        .map(|rule| {
            let part = |field: &str| texts(&rule[field]).join(",");
            format!(
                "{} {} {}",
                part("apiGroups"),
                part("resources"),
                part("verbs")
            )
        })
        .collect();
    assert_eq!(
        shown[..6],
        [
            " pods get,list,watch,create,update,patch,delete,deletecollection",
            " pods/exec get,create",
            "authorization.k8s.io selfsubjectrulesreviews create",
            " secrets get",
            " namespaces list,watch",
            " nodes get,list,watch",
        ]
    );
    assert_eq!(rules[3]["resourceNames"], json!(["x"]));
    assert_eq!(
        review["status"]["nonResourceRules"],
        json!([{"verbs": ["get"], "nonResourceURLs": ["/api"]}])
    );
}
