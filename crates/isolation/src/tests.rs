use std::collections::BTreeSet;

use bulkhead_model::network::{Block, LabelSelector, Peer, Port, Protocol, TrafficRule};
use bulkhead_model::tenant::CustomRole;
use bulkhead_model::{Capability, Profile};
use bulkhead_model::{
    NamespaceName, Network, NetworkIsolation, PodSecurity, Prefix, RoleName, TenantName,
    TenantRules, Uid,
};

use super::*;

fn tenant(name: &str) -> Tenant {
    Tenant {
        name: TenantName::parse(name).unwrap(),
        uid: Uid::parse("3d5f0f5e-8f4e-4d0a-9a51-4f1d0c0d4a01").unwrap(),
        generation: 1,
        deleting: false,
        tier: bulkhead_model::Tier::Pool,
        members: vec![],
        roles: vec![],
        prefix: Prefix::parse(format!("{name}-")).unwrap(),
        nodes: Default::default(),
        priority_classes: Default::default(),
        device_classes: Default::default(),
        service_accounts: bulkhead_model::ServiceAccounts::default(),
        network: Network::default(),
        pod_security: PodSecurity::default(),
        images: bulkhead_model::Images::default(),
        exposure: Default::default(),
        limits: bulkhead_api::default_limits(),
        quota: Default::default(),
        cordoned: false,
        granted: bulkhead_model::Granted {
            ids: bulkhead_model::IdRange::new(1_000_000_000, 1_000_009_999),
            ..Default::default()
        },
    }
}

fn namespace() -> NamespaceName {
    NamespaceName::parse("acme-dev").unwrap()
}

fn yaml(objects: &[Value]) -> String {
    let texts: Vec<String> = objects
        .iter()
        .map(|object| serde_norway::to_string(object).unwrap())
        .collect();
    texts.join("---\n")
}

fn names(objects: &[Value]) -> Vec<String> {
    objects
        .iter()
        .map(|object| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!(
                "{} {}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            )
        })
        .collect()
}

#[test]
fn a_namespace_is_what_people_read() {
    let acme = tenant("acme");
    let objects = [
        vec![namespace_metadata(&acme).namespace(&namespace())],
        namespace_objects(&acme, &namespace()),
    ];
    insta::assert_snapshot!(yaml(&objects.concat()));
}

#[test]
fn a_claim_is_what_people_read() {
    insta::assert_snapshot!(yaml(&tenant_objects(&tenant("acme"))));
}

#[test]
fn the_installation_is_what_people_read() {
    // One shard shows all.
    let objects: Vec<Value> = install()
        .into_iter()
        .filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            name.strip_prefix("bulkhead-forwarder-")
                .is_none_or(|index| index == "0")
        })
        .collect();
    insta::assert_snapshot!(yaml(&objects));
}

#[test]
fn rules_in_the_annotation_are_read_back() {
    let mut acme = tenant("acme");
    acme.pod_security.allowed_capabilities = [Capability::parse("CHOWN").unwrap()].into();
    let metadata = namespace_metadata(&acme);
    let read: TenantRules = serde_json::from_str(&metadata.annotations[labels::RULES]).unwrap();
    assert_eq!(read, acme.rules());
    assert!(!metadata.annotations.contains_key(labels::ISOLATED));
}

#[test]
fn pod_security_admission_never_contradicts_the_rules() {
    use Profile::{Baseline, Privileged, Restricted, Strict};
    for (profile, capabilities, level) in [
        (Strict, &[][..], "restricted"),
        (Strict, &["NET_BIND_SERVICE"], "restricted"),
        (Strict, &["CHOWN", "NET_BIND_SERVICE"], "baseline"),
        (Strict, &["CHOWN", "SYS_PTRACE"], "privileged"),
        (Restricted, &[], "restricted"),
        (Restricted, &["CHOWN"], "baseline"),
        (Baseline, &[], "baseline"),
        (Baseline, &["NET_RAW"], "privileged"),
        (Privileged, &[], "privileged"),
    ] {
        let mut acme = tenant("acme");
        acme.pod_security.profile = profile;
        acme.pod_security.allowed_capabilities = capabilities
            .iter()
            .map(|c| Capability::parse(c).unwrap())
            .collect();
        let labels = namespace_metadata(&acme).labels;
        assert_eq!(
            labels["pod-security.kubernetes.io/enforce"], level,
            "{profile} {capabilities:?}"
        );
        assert_eq!(
            labels["pod-security.kubernetes.io/enforce-version"],
            "v1.34"
        );
    }
}

#[test]
fn a_tenant_that_may_read_the_node_is_beyond_every_level() {
    let mut acme = tenant("acme");
    let path = bulkhead_model::HostPathPrefix::parse("/srv/models").unwrap();
    acme.pod_security.allowed_host_paths = vec![path];
    let labels = namespace_metadata(&acme).labels;
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "privileged");
}

#[test]
fn a_cordoned_tenant_makes_no_namespaces_and_is_marked() {
    let mut acme = tenant("acme");
    assert!(
        !namespace_metadata(&acme)
            .annotations
            .contains_key(labels::CORDONED)
    );
    acme.cordoned = true;
    assert_eq!(
        namespace_metadata(&acme).annotations[labels::CORDONED],
        "true"
    );
    assert!(tenant_objects(&acme).is_empty());
    assert!(!namespace_objects(&acme, &namespace()).is_empty());
}

#[test]
fn nothing_of_a_tenant_that_is_being_deleted_is_reachable() {
    let mut acme = tenant("acme");
    acme.deleting = true;
    assert!(tenant_objects(&acme).is_empty());
    assert_eq!(
        names(&namespace_objects(&acme, &namespace())),
        [
            "NetworkPolicy bulkhead-isolation",
            "LimitRange bulkhead-limits"
        ]
    );
    assert!(
        !forwarder_shards(&[&acme])
            .roles
            .iter()
            .any(|role| role.to_string().contains("acme"))
    );
}

#[test]
fn networks_are_what_people_read() {
    let networks = [
        Network {
            within_tenant: false,
            allow_ingress: vec![TrafficRule {
                peers: vec![Peer::pods(
                    Some(LabelSelector::of(&[(
                        "kubernetes.io/metadata.name",
                        "ingress",
                    )])),
                    None,
                )],
                ports: vec![Port::number(Protocol::Tcp, 8080)],
            }],
            allow_egress: vec![TrafficRule {
                peers: vec![Peer::IpBlock(Block::parse("10.1.0.0/16", &[]).unwrap())],
                ports: vec![],
            }],
            ..Network::default()
        },
        Network {
            block_instance_metadata: false,
            ..Network::default()
        },
        Network {
            isolation: NetworkIsolation::Open,
            ..Network::default()
        },
    ];
    let policies: Vec<Value> = networks
        .into_iter()
        .filter_map(|network| {
            let mut acme = tenant("acme");
            acme.network = network;
            network::isolation(&acme, &namespace())
        })
        .map(|policy| policy["spec"].clone())
        .collect();
    assert_eq!(policies.len(), 3);
    insta::assert_snapshot!(yaml(&policies));
}

#[test]
fn an_open_tenant_has_no_network_policy() {
    let mut acme = tenant("acme");
    acme.network = Network {
        isolation: NetworkIsolation::Open,
        block_instance_metadata: false,
        ..Network::default()
    };
    acme.limits = vec![];
    assert!(
        names(&namespace_objects(&acme, &namespace()))
            .iter()
            .all(|name| name.starts_with("RoleBinding"))
    );
}

/// A binding's role cannot be changed in place, so another ClusterRole is another binding.
#[test]
fn a_custom_role_is_bound_under_a_name_of_its_own() {
    let bound = |cluster_role: &str| {
        let mut acme = tenant("acme");
        let name = RoleName::parse("deployer").unwrap();
        acme.roles = vec![CustomRole {
            name,
            cluster_role: cluster_role.to_owned(),
        }];
        namespace_objects(&acme, &namespace()).swap_remove(3)
    };
    let binding = bound("acme-deployer");
    assert_eq!(binding["roleRef"]["name"], "acme-deployer");
    assert_eq!(
        binding["subjects"][0]["name"],
        "bulkhead:tenant:acme:deployer"
    );
    assert_ne!(
        binding["metadata"]["name"],
        bound("other")["metadata"]["name"]
    );
}

/// What tenants may never hold: each of these leads out of the namespace, or past a control.
#[test]
fn tenants_roles_hold_nothing_that_leads_out() {
    let roles: Vec<Value> = install()
        .into_iter()
        .filter(|object| {
            object["kind"] == "ClusterRole"
                && object["metadata"]["name"]
                    .as_str()
                    .unwrap()
                    .starts_with("bulkhead-tenant-")
        })
        .collect();
    assert_eq!(roles.len(), 4);
    for role in roles {
        for rule in role["rules"].as_array().unwrap() {
            let list = |field: &str| -> Vec<&str> {
                rule[field]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|value| value.as_str().unwrap())
                    .collect()
            };
            let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs"));
            let writes = verbs
                .iter()
                .any(|verb| !["get", "list", "watch"].contains(verb));
            for text in groups.iter().chain(&resources).chain(&verbs) {
                assert!(!text.contains('*'), "{rule}");
            }
            for verb in [
                "impersonate",
                "escalate",
                "bind",
                "approve",
                "sign",
                "proxy",
            ] {
                assert!(!verbs.contains(&verb), "{rule}");
            }
            for group in [
                "admissionregistration.k8s.io",
                labels::GROUP,
                "authentication.k8s.io",
                "certificates.k8s.io",
            ] {
                assert!(!groups.contains(&group), "{rule}");
            }
            for resource in &resources {
                for part in ["/proxy", "/status", "/finalize", "/binding"] {
                    assert!(!resource.ends_with(part), "{rule}");
                }
                let name = role["metadata"]["name"].as_str().unwrap();
                match *resource {
                    "roles" | "rolebindings" if writes => {
                        assert_eq!(name, "bulkhead-tenant-admin", "{rule}");
                    }
                    "serviceaccounts" | "serviceaccounts/token" | "secrets" if writes => {
                        assert_ne!(name, "bulkhead-tenant-viewer", "{rule}");
                    }
                    "clusterroles" | "clusterrolebindings" => panic!("{rule}"),
                    _ => {}
                }
                if [
                    "endpoints",
                    "endpointslices",
                    "limitranges",
                    "resourcequotas",
                    "nodes",
                    "bindings",
                ]
                .contains(resource)
                {
                    assert!(!writes, "{rule}");
                }
                if *resource == "secrets" {
                    assert_ne!(role["metadata"]["name"], "bulkhead-tenant-viewer");
                }
            }
        }
    }
}

#[test]
fn every_binding_has_its_role_and_its_account() {
    let objects = install();
    let all: BTreeSet<String> = names(&objects).into_iter().collect();
    for binding in objects.iter().filter(|object| !object["roleRef"].is_null()) {
        let role = format!(
            "{} {}",
            binding["roleRef"]["kind"].as_str().unwrap(),
            binding["roleRef"]["name"].as_str().unwrap()
        );
        assert!(all.contains(&role), "{role}");
        let subject = &binding["subjects"][0];
        if subject["kind"] == "ServiceAccount" {
            assert!(all.contains(&format!(
                "ServiceAccount {}",
                subject["name"].as_str().unwrap()
            )));
        }
    }
}

/// The forwarder's every right is `impersonate`, and none is without a name but the extra's.
#[test]
fn the_forwarder_only_impersonates() {
    let objects = install();
    for binding in objects
        .iter()
        .filter(|object| object["subjects"][0]["name"] == "gateway-forwarder")
    {
        let role = &binding["roleRef"]["name"];
        let role = objects
            .iter()
            .find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == *role)
            .unwrap();
        for rule in role["rules"].as_array().into_iter().flatten() {
            assert_eq!(rule["verbs"], json!(["impersonate"]));
            let extra = rule["resources"] == json!(["userextras/bulkhead.dev/user"]);
            assert!(
                extra || rule["resourceNames"] == json!(["bulkhead:tenants"]),
                "{rule}"
            );
        }
    }
}

#[test]
fn shards_hold_every_user_once_and_move_nobody() {
    let tenants: Vec<Tenant> = (0..3_000).map(|i| tenant(&format!("t{i}"))).collect();
    let all: Vec<&Tenant> = tenants.iter().collect();
    let before = forwarder_shards(&all[1..]);
    let after = forwarder_shards(&all);
    assert_eq!(after.roles.len(), SHARDS);
    assert_eq!(after.left_out, []);
    let changed = before
        .roles
        .iter()
        .zip(&after.roles)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(changed, 1, "one tenant more changes one shard");
    let mut seen = BTreeSet::new();
    for role in &after.roles {
        let users = role["rules"][0]["resourceNames"].as_array().unwrap();
        assert!(users.len() <= SHARD_NAMES);
        for user in users {
            assert!(seen.insert(user.as_str().unwrap().to_owned()), "{user}");
        }
        assert!(users.is_sorted_by(|a, b| a.as_str() < b.as_str()));
    }
    assert_eq!(seen.len(), 9_000);
    let reversed: Vec<&Tenant> = tenants.iter().rev().collect();
    assert_eq!(forwarder_shards(&reversed), after);
}

#[test]
fn full_shards_say_whom_they_leave_out() {
    let room = SHARDS * (SHARD_NAMES / 3);
    let tenants: Vec<Tenant> = (0..room + 2).map(|i| tenant(&format!("t{i:06}"))).collect();
    let shards = forwarder_shards(&tenants.iter().collect::<Vec<_>>());
    let left: Vec<&str> = shards.left_out.iter().map(TenantName::as_str).collect();
    assert_eq!(left, [format!("t{room:06}"), format!("t{:06}", room + 1)]);
    let held = |role: &Value| role["rules"][0]["resourceNames"].as_array().unwrap().len();
    assert!(shards.roles.iter().all(|role| held(role) <= SHARD_NAMES));
}

/// A rule without names would be a rule for every name.
#[test]
fn an_empty_shard_has_no_rule() {
    for role in forwarder_shards(&[]).roles {
        assert_eq!(role["rules"], json!([]));
    }
}

#[test]
fn what_the_api_server_adds_is_no_drift() {
    let acme = tenant("acme");
    for wanted in namespace_objects(&acme, &namespace())
        .into_iter()
        .chain(install())
    {
        let mut live = wanted.clone();
        live["metadata"]["uid"] = json!("x");
        live["metadata"]["labels"]["theirs"] = json!("x");
        live["status"] = json!({"phase": "Active"});
        if live["rules"].is_null() && live["kind"] == "ClusterRole" {
            live["rules"] = json!([{"verbs": ["bind"]}]);
        }
        assert_eq!(drift(&wanted, &live), None, "{wanted}");
    }
    let wanted = json!({"kind": "LimitRange", "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "1000m"}, "min": {"memory": "1Mi"}},
        {"type": "Pod", "max": {"cpu": 2}},
    ]}});
    let live = json!({"kind": "LimitRange", "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"},
         "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1", "memory": "1Mi"}},
        {"type": "Pod", "max": {"cpu": "2"}},
    ]}});
    assert_eq!(drift(&wanted, &live), None);
}

/// The limits in a quota's status are the control plane's to write, some time after the spec: no
/// drift, but a namespace does not open before.
#[test]
fn a_quota_that_is_not_taken_up_yet_is_no_drift() {
    let quota = |hard: Value, taken: Value| json!({"kind": "ResourceQuota", "spec": {"hard": hard}, "status": taken});
    let wanted = json!({"kind": "ResourceQuota", "spec": {"hard": {"cpu": "1000m", "pods": "4"}}});
    let hard = json!({"cpu": "1", "pods": "4"});
    for (taken, up) in [
        (Value::Null, false),
        (json!({}), false),
        (json!({"hard": {"cpu": "1", "pods": "2"}}), false),
        (json!({"hard": {"cpu": "1"}}), false),
        (
            json!({"hard": {"cpu": "1", "pods": "4", "secrets": "1"}}),
            false,
        ),
        (
            json!({"hard": {"cpu": "1000m", "pods": "4"}, "used": {"pods": "3"}}),
            true,
        ),
    ] {
        let live = quota(hard.clone(), taken);
        assert_eq!(drift(&wanted, &live), None, "{live}");
        assert_eq!(is_taken_up(&live), up, "{live}");
    }
    let other = json!({"cpu": "1", "pods": "2"});
    let live = quota(other.clone(), json!({"hard": other}));
    let path = drift(&wanted, &live).map(|path| path.to_string());
    assert_eq!(path.as_deref(), Some("spec.hard.pods"));
    assert!(is_taken_up(
        &json!({"kind": "LimitRange", "spec": {"hard": {"pods": "4"}}})
    ));
}

/// What somebody does to an object → the field that is named.
#[test]
fn every_change_is_drift() {
    let acme = tenant("acme");
    let object = |kind: &str| {
        let all = [
            vec![namespace_metadata(&acme).namespace(&namespace())],
            namespace_objects(&acme, &namespace()),
            tenant_objects(&acme),
        ];
        all.concat()
            .into_iter()
            .find(|object| object["kind"] == kind)
            .unwrap()
    };
    let tampered = |kind: &str, pointer: &str, value: Value| {
        let wanted = object(kind);
        let mut live = wanted.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match live.pointer_mut(parent).unwrap() {
            Value::Array(items) if key == "-" => items.push(value),
            parent => parent[key.replace("~1", "/")] = value,
        }
        drift(&wanted, &live).map(|path| path.to_string())
    };
    for (kind, pointer, value, path) in [
        (
            "RoleBinding",
            "/subjects/-",
            json!({"kind": "Group", "name": "system:authenticated"}),
            "subjects",
        ),
        (
            "RoleBinding",
            "/subjects/0/name",
            json!("bulkhead:tenant:globex:admin"),
            "subjects[0].name",
        ),
        (
            "RoleBinding",
            "/roleRef/name",
            json!("admin"),
            "roleRef.name",
        ),
        ("Role", "/rules/-", json!({"verbs": ["*"]}), "rules"),
        (
            "Role",
            "/rules/0/resourceNames",
            json!([]),
            "rules[0].resourceNames",
        ),
        (
            "NetworkPolicy",
            "/spec/podSelector/matchLabels",
            json!({"app": "x"}),
            "spec.podSelector.matchLabels",
        ),
        (
            "NetworkPolicy",
            "/spec/policyTypes",
            json!(["Ingress"]),
            "spec.policyTypes",
        ),
        (
            "NetworkPolicy",
            "/spec/ingress/-",
            json!({}),
            "spec.ingress",
        ),
        (
            "NetworkPolicy",
            "/spec/egress/2/to/0/ipBlock/except",
            json!(null),
            "spec.egress[2].to[0].ipBlock.except",
        ),
        (
            "LimitRange",
            "/spec/limits/0/default/cpu",
            json!("501m"),
            "spec.limits[0].default.cpu",
        ),
        ("LimitRange", "/spec/limits", json!(null), "spec.limits"),
        (
            "Namespace",
            "/metadata/labels/bulkhead.dev~1tenant",
            json!("globex"),
            r#"metadata.labels["bulkhead.dev/tenant"]"#,
        ),
        (
            "Namespace",
            "/metadata/annotations/bulkhead.dev~1rules",
            json!(null),
            r#"metadata.annotations["bulkhead.dev/rules"]"#,
        ),
        (
            "Namespace",
            "/metadata/annotations/bulkhead.dev~1cordoned",
            json!("true"),
            r#"metadata.annotations["bulkhead.dev/cordoned"]"#,
        ),
        (
            "Namespace",
            "/metadata/labels/pod-security.kubernetes.io~1audit",
            json!("x"),
            r#"metadata.labels["pod-security.kubernetes.io/audit"]"#,
        ),
        (
            "Namespace",
            "/metadata/labels/x.bulkhead.dev~1y",
            json!("x"),
            r#"metadata.labels["x.bulkhead.dev/y"]"#,
        ),
    ] {
        assert_eq!(
            tampered(kind, pointer, value).as_deref(),
            Some(path),
            "{kind} {pointer}"
        );
    }
    for (kind, pointer, value) in [
        (
            "Namespace",
            "/metadata/annotations/bulkhead.dev~1isolated",
            json!("x"),
        ),
        ("Namespace", "/metadata/labels/team", json!("x")),
        (
            "Namespace",
            "/metadata/labels/notbulkhead.dev~1y",
            json!("x"),
        ),
        ("Namespace", "/spec", json!({"finalizers": ["kubernetes"]})),
        ("RoleBinding", "/metadata/resourceVersion", json!("1")),
    ] {
        assert_eq!(tampered(kind, pointer, value), None, "{kind} {pointer}");
    }
    assert_eq!(
        drift(&object("Role"), &Value::Null)
            .map(|p| p.to_string())
            .as_deref(),
        Some("metadata.name")
    );
}
