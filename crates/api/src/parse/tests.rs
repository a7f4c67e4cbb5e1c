use bulkhead_model::Placement;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tenant(spec: Value) -> Value {
    json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "acme", "uid": "0f3c-1", "generation": 3},
        "spec": spec,
    })
}

fn parsed(spec: Value) -> Tenant {
    parse_tenant(&tenant(spec)).unwrap()
}

#[test]
fn an_empty_spec_is_the_safest_one() {
    let acme = parsed(json!({}));
    assert_eq!(acme.prefix.as_str(), "acme-");
    assert_eq!(acme.generation, 3);
    assert!(acme.members.is_empty() && acme.roles.is_empty() && !acme.deleting && !acme.cordoned);
    assert!(acme.pod_security.allowed_capabilities.is_empty());
    assert!(acme.network.is_default());
    assert_eq!(acme.limits, default_limits());
    assert_eq!(acme.nodes.placement, Placement::Shared);
    assert!(acme.priority_classes.is_empty() && acme.device_classes.is_empty());
    assert!(acme.pod_security.runtime_classes.is_default());
}

#[test]
fn every_field_is_read() {
    let mut object = tenant(json!({
        "members": [
            {"kind": "User", "name": "alice@acme.example", "role": "Developer"},
            {"kind": "Group", "name": "acme-admins", "role": "Admin"},
            {"kind": "ServiceAccount", "name": "acme-ci/deployer", "role": "deployer"},
        ],
        "roles": [{"name": "deployer", "clusterRole": "acme-deployer"}],
        "namespaceOptions": {"prefix": "ac-"},
        "podSecurity": {
            "profile": "Strict", "allowedCapabilities": ["NET_BIND_SERVICE"],
            "runtimeClasses": {"allowed": ["gvisor"], "default": "kata", "required": true},
        },
        "nodes": {
            "placement": "Dedicated", "selector": {"matchLabels": {"example.com/pool": "acme"}},
            "allowedTolerations": ["nvidia.com/gpu"], "allowedSchedulers": ["batch"],
        },
        "priorityClasses": {"allowed": ["gold"], "allowedRegex": "acme-.*", "default": "plain"},
        "deviceClasses": {"allowed": ["gpu.example.com"]},
        "network": {"isolation": "Open"},
        "resources": {"limitRange": {"limits": [{"type": "Pod", "max": {"cpu": "2"}}]}},
        "cordoned": true,
    }));
    object["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    let acme = parse_tenant(&object).unwrap();
    let roles: Vec<_> = acme
        .members
        .iter()
        .map(|m| m.role.name().to_string())
        .collect();
    assert_eq!(roles, ["developer", "admin", "deployer"]);
    assert_eq!(acme.roles[0].cluster_role, "acme-deployer");
    assert_eq!(acme.prefix.as_str(), "ac-");
    assert_eq!(acme.pod_security.allowed_capabilities.len(), 1);
    let runtime = &acme.pod_security.runtime_classes;
    assert!(runtime.required && runtime.classes.permits("gvisor"));
    assert!(runtime.classes.permits("kata") && !runtime.classes.permits("runc"));
    let Placement::Dedicated(selector) = &acme.nodes.placement else {
        panic!("{:?}", acme.nodes);
    };
    let labels: Vec<_> = selector.labels().collect();
    assert_eq!(labels, [("example.com/pool", "acme")]);
    assert_eq!(acme.nodes.allowed_tolerations.len(), 1);
    assert!(acme.nodes.allowed_schedulers.contains("batch"));
    assert!(acme.priority_classes.permits("acme-1") && acme.priority_classes.permits("plain"));
    assert!(acme.device_classes.permits("gpu.example.com"));
    assert_eq!(
        acme.network.isolation,
        bulkhead_model::NetworkIsolation::Open
    );
    let security = parsed(json!({"podSecurity": {
        "userNamespaces": "Preferred", "selinuxLevel": "PerTenant",
    }}))
    .pod_security;
    assert_eq!(security.user_namespaces, UserNamespaces::Preferred);
    assert_eq!(security.selinux, SelinuxChoice::PerTenant);
    assert_eq!(acme.limits, [json!({"type": "Pod", "max": {"cpu": "2"}})]);
    assert!(acme.cordoned && acme.deleting);
}

/// What is wrong in the spec → the fields that the errors name.
#[test]
fn wrong_specs_are_refused_with_the_fields_path() {
    let member = |kind: &str, name: &str, role: &str| json!({"members": [{"kind": kind, "name": name, "role": role}]});
    let role = |name: &str, cluster_role: &str| json!({"roles": [{"name": name, "clusterRole": cluster_role}]});
    let limit = |limit: Value| json!({"resources": {"limitRange": {"limits": [limit]}}});
    let twice = json!({"kind": "User", "name": "a", "role": "Admin"});
    let nodes = |nodes: Value| json!({"nodes": nodes});
    let placed = |placement: &str, labels: Value| json!({"nodes": {"placement": placement, "selector": {"matchLabels": labels}}});
    let priority = |list: Value| json!({"priorityClasses": list});
    let runtime = |list: Value| json!({"podSecurity": {"runtimeClasses": list}});
    for (spec, path) in [
        (json!({"tier": "silo"}), "spec.tier"),
        (
            json!({"tier": "Pool", "podSecurity": {"profile": "Privileged"}}),
            "spec.podSecurity.profile",
        ),
        (
            json!({"tier": "Silo", "podSecurity": {"profile": "Lax"}}),
            "spec.podSecurity.profile",
        ),
        (nodes(json!([])), "spec.nodes"),
        (
            nodes(json!({"placement": "Fargate"})),
            "spec.nodes.placement",
        ),
        (
            nodes(json!({"placement": "Dedicated"})),
            "spec.nodes.selector.matchLabels",
        ),
        (
            nodes(json!({"selector": {"matchLabels": {"a": "b"}}})),
            "spec.nodes.selector",
        ),
        (
            placed("Dedicated", json!({})),
            "spec.nodes.selector.matchLabels",
        ),
        (
            placed("Dedicated", json!({"a": 1})),
            "spec.nodes.selector.matchLabels.a",
        ),
        (
            placed("Dedicated", json!({"a": "b c"})),
            "spec.nodes.selector.matchLabels.a",
        ),
        (
            placed(
                "Dedicated",
                json!({"node-restriction.kubernetes.io/tenant": "globex"}),
            ),
            r#"spec.nodes.selector.matchLabels["node-restriction.kubernetes.io/tenant"]"#,
        ),
        (
            placed("Labelled", json!({"pool": "acme"})),
            "spec.nodes.selector.matchLabels",
        ),
        (
            nodes(json!({"placement": "Dedicated", "selector": {"matchExpressions": []}})),
            "spec.nodes.selector.matchExpressions",
        ),
        (
            nodes(json!({"allowedTolerations": ["tenantID"]})),
            "spec.nodes.allowedTolerations[0]",
        ),
        (
            nodes(json!({"allowedTolerations": ["node.kubernetes.io/unschedulable"]})),
            "spec.nodes.allowedTolerations[0]",
        ),
        (
            nodes(json!({"allowedTolerations": [""]})),
            "spec.nodes.allowedTolerations[0]",
        ),
        (
            nodes(json!({"allowedSchedulers": [7]})),
            "spec.nodes.allowedSchedulers[0]",
        ),
        (
            nodes(json!({"allowedSchedulers": ["batch", "a\",\"b"]})),
            "spec.nodes.allowedSchedulers[1]",
        ),
        (
            nodes(json!({"allowedSchedulers": ["batch]"]})),
            "spec.nodes.allowedSchedulers[0]",
        ),
        (priority(json!("gold")), "spec.priorityClasses"),
        (
            priority(json!({"allowed": ["Gold"]})),
            "spec.priorityClasses.allowed[0]",
        ),
        (
            priority(json!({"allowed": ["a", "a"]})),
            "spec.priorityClasses.allowed[1]",
        ),
        (
            priority(json!({"allowed": vec!["a"; 101]})),
            "spec.priorityClasses.allowed",
        ),
        (
            priority(json!({"allowedRegex": "("})),
            "spec.priorityClasses.allowedRegex",
        ),
        (
            priority(json!({"allowedRegex": ""})),
            "spec.priorityClasses.allowedRegex",
        ),
        (
            priority(json!({"allowedRegex": "((a{100}){100}){100}"})),
            "spec.priorityClasses.allowedRegex",
        ),
        (
            priority(json!({"allowedRegex": "a".repeat(257)})),
            "spec.priorityClasses.allowedRegex",
        ),
        (
            priority(json!({"default": "*"})),
            "spec.priorityClasses.default",
        ),
        (
            json!({"deviceClasses": {"default": "gpu"}}),
            "spec.deviceClasses.default",
        ),
        (
            runtime(json!({"required": true})),
            "spec.podSecurity.runtimeClasses.required",
        ),
        (
            runtime(json!({"required": "no"})),
            "spec.podSecurity.runtimeClasses.required",
        ),
        (
            runtime(json!({"allowedRegex": "(a+)\\1"})),
            "spec.podSecurity.runtimeClasses.allowedRegex",
        ),
        (json!({"members": {}}), "spec.members"),
        (json!({"members": ["alice"]}), "spec.members[0]"),
        (member("Robot", "r", "Admin"), "spec.members[0].kind"),
        (member("User", "", "Admin"), "spec.members[0].name"),
        (member("User", " alice", "Admin"), "spec.members[0].name"),
        (member("User", "a\nb", "Admin"), "spec.members[0].name"),
        (
            member("User", "system:admin", "Admin"),
            "spec.members[0].name",
        ),
        (
            member("User", "bulkhead:tenant:globex:admin", "Admin"),
            "spec.members[0].name",
        ),
        (
            member("Group", "system:authenticated", "Viewer"),
            "spec.members[0].name",
        ),
        (
            member("ServiceAccount", "deployer", "Admin"),
            "spec.members[0].name",
        ),
        (
            member("ServiceAccount", "a/b/c", "Admin"),
            "spec.members[0].name",
        ),
        (
            member("ServiceAccount", "system:serviceaccount:a:b", "Admin"),
            "spec.members[0].name",
        ),
        (member("User", "alice", "admin"), "spec.members[0].role"),
        (member("User", "alice", "deployer"), "spec.members[0].role"),
        (
            json!({"members": [twice.clone(), twice]}),
            "spec.members[1].name",
        ),
        (
            json!({"members": [{"kind": "User", "name": "a", "role": "Admin", "as": 1}]}),
            "spec.members[0].as",
        ),
        (role("admin", "x"), "spec.roles[0].name"),
        (role("Deployer", "x"), "spec.roles[0].name"),
        (
            role("deployer", "cluster-admin"),
            "spec.roles[0].clusterRole",
        ),
        (role("deployer", "admin"), "spec.roles[0].clusterRole"),
        (role("deployer", "edit"), "spec.roles[0].clusterRole"),
        (role("deployer", "system:node"), "spec.roles[0].clusterRole"),
        (
            role("deployer", "bulkhead-controller"),
            "spec.roles[0].clusterRole",
        ),
        (role("deployer", ""), "spec.roles[0].clusterRole"),
        (
            json!({"roles": [{"name": "a", "clusterRole": "x"}, {"name": "a", "clusterRole": "y"}]}),
            "spec.roles[1].name",
        ),
        (
            json!({"namespaceOptions": {"prefix": "acme"}}),
            "spec.namespaceOptions.prefix",
        ),
        (json!({"serviceAccounts": []}), "spec.serviceAccounts"),
        (
            json!({"serviceAccounts": {"tokenAudiences": ["a b"]}}),
            "spec.serviceAccounts.tokenAudiences[0]",
        ),
        (
            json!({"serviceAccounts": {"tokenAudiences": ["a", "a"]}}),
            "spec.serviceAccounts.tokenAudiences[1]",
        ),
        (
            json!({"serviceAccounts": {"tokenAudiences": vec!["x"; 65]}}),
            "spec.serviceAccounts.tokenAudiences",
        ),
        (
            json!({"serviceAccounts": {"iamRoles": ["arn:aws:iam::1:role/*"]}}),
            "spec.serviceAccounts.iamRoles[0]",
        ),
        (
            json!({"serviceAccounts": {"certificateSigners": ["kubernetes.io/kube-apiserver-client"]}}),
            "spec.serviceAccounts.certificateSigners[0]",
        ),
        (
            json!({"serviceAccounts": {"certificateSigners": [1]}}),
            "spec.serviceAccounts.certificateSigners[0]",
        ),
        (
            json!({"namespaceOptions": {"prefix": "-"}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"namespaceOptions": {"prefix": 1}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"namespaceOptions": {"prefix": "kube-"}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"namespaceOptions": {"prefix": "bulkhead-x-"}}),
            "spec.namespaceOptions.prefix",
        ),
        (
            json!({"namespaceOptions": {"quota": 1}}),
            "spec.namespaceOptions.quota",
        ),
        (
            json!({"podSecurity": {"profile": "Privileged"}}),
            "spec.podSecurity.profile",
        ),
        (
            json!({"podSecurity": {"allowedCapabilities": ["SYS_ADMIN"]}}),
            "spec.podSecurity.allowedCapabilities[0]",
        ),
        (
            json!({"podSecurity": {"allowedCapabilities": ["CHOWN", "ALL"]}}),
            "spec.podSecurity.allowedCapabilities[1]",
        ),
        (
            json!({"podSecurity": {"allowedCapabilities": ["CHOWN", "CHOWN"]}}),
            "spec.podSecurity.allowedCapabilities[1]",
        ),
        (
            json!({"podSecurity": {"allowedCapabilities": "CHOWN"}}),
            "spec.podSecurity.allowedCapabilities",
        ),
        (
            json!({"podSecurity": {"allowedHostPaths": ["/srv"]}}),
            "spec.podSecurity.allowedHostPaths[0]",
        ),
        (
            json!({"podSecurity": {"allowedHostPaths": [{"pathPrefix": "/srv"}, {"pathPrefix": "/var/lib/kubelet/pods"}]}}),
            "spec.podSecurity.allowedHostPaths[1].pathPrefix",
        ),
        (
            json!({"podSecurity": {"allowedSeccompProfiles": ["a.json", "../a.json"]}}),
            "spec.podSecurity.allowedSeccompProfiles[1]",
        ),
        (
            json!({"images": {"allowedRegistries": ["registry.example", "team/app"]}}),
            "spec.images.allowedRegistries[1]",
        ),
        (
            json!({"images": {"pullPolicies": ["Sometimes"]}}),
            "spec.images.pullPolicies[0]",
        ),
        (
            json!({"images": {"pullPolicies": []}}),
            "spec.images.pullPolicies",
        ),
        (
            json!({"network": {"isolation": "open"}}),
            "spec.network.isolation",
        ),
        (json!({"network": []}), "spec.network"),
        (
            json!({"podSecurity": {"userNamespaces": "Always"}}),
            "spec.podSecurity.userNamespaces",
        ),
        (
            json!({"podSecurity": {"selinuxLevel": 3}}),
            "spec.podSecurity.selinuxLevel",
        ),
        (json!({"cordoned": "yes"}), "spec.cordoned"),
        (json!({"resources": {"quota": {}}}), "spec.resources.quota"),
        (
            json!({"resources": {"quota": {"hard": {"pods": "-1"}}}}),
            "spec.resources.quota.hard.pods",
        ),
        (
            json!({"resources": {"quota": {"hard": {"pods": "1e400"}}}}),
            "spec.resources.quota.hard.pods",
        ),
        (
            json!({"resources": {"quota": {"hard": {"potatoes": 1}}}}),
            "spec.resources.quota.hard.potatoes",
        ),
        (
            json!({"resources": {"limitRange": {}}}),
            "spec.resources.limitRange.limits",
        ),
        (
            limit(json!({"type": "Node"})),
            "spec.resources.limitRange.limits[0].type",
        ),
        (
            limit(json!({"type": "Pod", "default": {"cpu": 1}})),
            "spec.resources.limitRange.limits[0].default",
        ),
        (
            limit(json!({"type": "Pod", "max": {"cpu": "lots"}})),
            "spec.resources.limitRange.limits[0].max.cpu",
        ),
        (
            limit(json!({"type": "Container", "min": {"cpu": 2}, "max": {"cpu": "1999m"}})),
            "spec.resources.limitRange.limits[0].min.cpu",
        ),
        (
            limit(json!({"type": "PersistentVolumeClaim"})),
            "spec.resources.limitRange.limits[0]",
        ),
    ] {
        let errors = parse_tenant(&tenant(spec.clone())).expect_err(&spec.to_string());
        assert_eq!(errors[0].path.to_string(), path, "{spec}: {errors:?}");
    }
}

#[test]
fn a_silo_tenant_may_be_privileged_and_every_tenant_anything_below() {
    for profile in Profile::ALL {
        for tier in ["Pool", "Silo"] {
            let spec = json!({"tier": tier, "podSecurity": {"profile": profile}});
            let parsed = parse_tenant(&tenant(spec)).map(|tenant| tenant.pod_security.profile);
            let expect = (profile != Profile::Privileged || tier == "Silo").then_some(profile);
            assert_eq!(parsed.ok(), expect, "{tier} {profile}");
        }
    }
}

#[test]
fn wrong_objects_are_refused() {
    for (pointer, value, path) in [
        ("/apiVersion", json!("bulkhead.dev/v1"), "apiVersion"),
        ("/kind", json!("Pod"), "kind"),
        ("/metadata/name", json!("Acme"), "metadata.name"),
        ("/metadata/name", json!("a.b"), "metadata.name"),
        ("/metadata/name", json!("a".repeat(41)), "metadata.name"),
        ("/metadata/name", json!("kube"), "metadata.name"),
        ("/metadata/name", json!("bulkhead-x"), "metadata.name"),
        ("/metadata/uid", json!(null), "metadata.uid"),
        ("/spec", json!(null), "spec"),
        ("/spec", json!("x"), "spec"),
    ] {
        let mut object = tenant(json!({}));
        *object.pointer_mut(pointer).unwrap() = value;
        let errors = parse_tenant(&object).unwrap_err();
        assert_eq!(errors[0].path.to_string(), path, "{errors:?}");
    }
    for bad in [json!(null), json!([]), json!("acme"), json!({})] {
        assert!(parse_tenant(&bad).is_err());
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let errors = parse_tenant(&tenant(json!({
        "cordoned": 1, "network": {"isolation": "x"}, "namespaceOptions": {"prefix": "x"},
    })))
    .unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    spec.namespaceOptions.prefix: `x` is not a namespace prefix: expected a DNS label of at most 40 characters followed by `-`, such as `acme-`
    spec.network.isolation: expected `DefaultDeny` or `Open`
    spec.cordoned: expected `true` or `false`
    ");
}

#[test]
fn prefixes_that_share_a_name_are_found() {
    let named = |name: &str, prefix: &str| {
        let mut object = tenant(json!({"namespaceOptions": {"prefix": prefix}}));
        object["metadata"]["name"] = json!(name);
        parse_tenant(&object).unwrap()
    };
    let (acme, prod, globex) = (
        named("a", "acme-"),
        named("p", "acme-prod-"),
        named("g", "globex-"),
    );
    assert_eq!(overlapping(&acme, [&acme, &globex].into_iter()), None);
    let error = overlapping(&acme, [&globex, &prod].into_iter()).unwrap();
    insta::assert_snapshot!(
        error,
        @"spec.namespaceOptions.prefix: `acme-` overlaps with the prefix `acme-prod-` of the tenant `p`: one namespace name could be both tenants'"
    );
    assert!(overlapping(&prod, [&acme].into_iter()).is_some());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z:/-]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("members"),
        Just("roles"),
        Just("namespaceOptions"),
        Just("prefix"),
        Just("name"),
        Just("podSecurity"),
        Just("allowedCapabilities"),
        Just("resources"),
        Just("limitRange"),
        Just("limits"),
        Just("type"),
        Just("max"),
        Just("kind"),
        Just("role"),
        Just("x"),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_spec_gives_an_answer(spec in any_json()) {
        // What is accepted is what was written: no field was passed over.
        if let Ok(tenant) = parse_tenant(&tenant(spec.clone())) {
            prop_assert_eq!(tenant.members.len(), spec["members"].as_array().map_or(0, Vec::len));
            prop_assert_eq!(tenant.roles.len(), spec["roles"].as_array().map_or(0, Vec::len));
        }
    }
}
