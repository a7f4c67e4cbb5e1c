//! Mending, over pods that nobody would write.

use bulkhead_controls::{Facts, judge, mend_and_judge};
use bulkhead_model::{Profile, TenantRules};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::admission::{create, mended, mended_by, pod, strict};

/// A tenant with any choice about user namespaces and SELinux, on any cluster.
fn tenants_with_ids() -> impl Strategy<Value = TenantRules> {
    let one = |values: Vec<Value>| proptest::sample::select(values);
    (
        one(vec![
            json!("Optional"),
            json!("Preferred"),
            json!("Required"),
        ]),
        one(vec![json!("Runtime"), json!({"PerTenant": "s0:c1,c2"})]),
        one(vec![
            json!([]),
            json!(["SupplementalGroupsPolicy"]),
            json!(["HostUsers", "SupplementalGroupsPolicy"]),
        ]),
    )
        .prop_map(|(user_namespaces, selinux, unserved)| {
            let mut rules = json!(strict());
            rules["ids"]["userNamespaces"] = user_namespaces;
            rules["ids"]["selinux"] = selinux;
            rules["ids"]["unserved"] = unserved;
            serde_json::from_value(rules).unwrap()
        })
}

/// One of these values under a key, or nothing.
fn field(key: &'static str, values: Vec<Value>) -> impl Strategy<Value = Option<(String, Value)>> {
    proptest::option::of(proptest::sample::select(values).prop_map(move |v| (key.to_owned(), v)))
}

fn object(fields: Vec<BoxedStrategy<Option<(String, Value)>>>) -> impl Strategy<Value = Value> {
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>()))
}

fn values(bad: bool, good: Vec<Value>, more: Vec<Value>) -> Vec<Value> {
    let more = more.into_iter().filter(|_| bad);
    good.into_iter().chain(more).collect()
}

/// What pods and containers have in common of their security contexts. The good values alone, or
/// with bad and odd ones among them.
fn common(bad: bool) -> Vec<BoxedStrategy<Option<(String, Value)>>> {
    let mut fields = Vec::new();
    let mut add = |key, good, more| fields.push(field(key, values(bad, good, more)).boxed());
    add(
        "runAsNonRoot",
        vec![json!(true), Value::Null],
        vec![json!(false), json!("x")],
    );
    add(
        "runAsUser",
        vec![json!(1_000_000_005)],
        vec![json!(0), json!("root"), json!(1000)],
    );
    add(
        "runAsGroup",
        vec![json!(1_000_009_999), Value::Null],
        vec![json!(-1)],
    );
    add(
        "seLinuxOptions",
        vec![Value::Null],
        vec![
            json!({}),
            json!({"level": "s0:c1,c2"}),
            json!({"type": "spc_t"}),
        ],
    );
    add(
        "seccompProfile",
        vec![json!({"type": "RuntimeDefault"}), Value::Null],
        vec![
            json!({}),
            json!({"type": "Unconfined"}),
            json!({"type": "Localhost", "localhostProfile": "x"}),
            json!([]),
        ],
    );
    add(
        "appArmorProfile",
        vec![json!({"type": "RuntimeDefault"}), Value::Null],
        vec![json!({"type": "Unconfined"}), json!({"type": "Localhost"})],
    );
    add(
        "windowsOptions",
        vec![json!({"hostProcess": false}), json!({})],
        vec![json!({"hostProcess": true})],
    );
    fields
}

fn pod_context(bad: bool) -> impl Strategy<Value = Value> {
    let mut fields = common(bad);
    let sysctl = |name: &str| json!([{"name": name, "value": "1"}]);
    let good = vec![json!([]), sysctl("net.ipv4.tcp_rmem")];
    let more = vec![sysctl("kernel.core_pattern"), json!([{}])];
    fields.push(field("sysctls", values(bad, good, more)).boxed());
    object(fields)
}

fn container_context(bad: bool) -> impl Strategy<Value = Value> {
    let mut fields = common(bad);
    let mut add = |key, good, more| fields.push(field(key, values(bad, good, more)).boxed());
    add(
        "allowPrivilegeEscalation",
        vec![json!(false), Value::Null],
        vec![json!(true)],
    );
    add("privileged", vec![json!(false)], vec![json!(true)]);
    add(
        "procMount",
        vec![json!("Default"), Value::Null],
        vec![json!("Unmasked"), json!("")],
    );
    add(
        "capabilities",
        vec![
            json!({}),
            json!({"drop": ["ALL"]}),
            json!({"drop": []}),
            json!({"add": []}),
            Value::Null,
        ],
        vec![
            json!({"drop": ["KILL"]}),
            json!({"add": ["CAP_SYS_ADMIN"]}),
            json!(1),
        ],
    );
    object(fields)
}

fn containers(bad: bool) -> impl Strategy<Value = Value> {
    let call = |host: Value| json!({"httpGet": {"port": 80, "host": host}});
    let probe = values(
        bad,
        vec![
            json!({"tcpSocket": {"port": 80}}),
            call(json!("")),
            Value::Null,
        ],
        vec![call(json!("10.0.0.1")), call(json!(1))],
    );
    let policy = values(
        bad,
        vec![json!("Always"), json!("IfNotPresent"), Value::Null],
        vec![json!("Never"), json!(1)],
    );
    let container = object(vec![
        Just(Some(("name".to_owned(), json!("c")))).boxed(),
        proptest::option::of(container_context(bad).prop_map(|it| ("securityContext".into(), it)))
            .boxed(),
        field("livenessProbe", probe.clone()).boxed(),
        field("startupProbe", probe).boxed(),
        field("imagePullPolicy", policy).boxed(),
    ]);
    proptest::collection::vec(container, 0..3).prop_map(Value::Array)
}

fn volumes(bad: bool) -> impl Strategy<Value = Value> {
    let volume = values(
        bad,
        vec![
            json!({"name": "v"}),
            json!({"name": "v", "emptyDir": {}}),
            json!({"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}),
        ],
        vec![
            json!({"name": "v", "hostPath": {"path": "/"}}),
            json!({"name": "v", "image": {"reference": "x"}}),
            json!({"name": "v", "quantumDisk": {}}),
        ],
    );
    proptest::collection::vec(proptest::sample::select(volume), 0..2).prop_map(Value::Array)
}

fn pods(bad: bool) -> impl Strategy<Value = Value> {
    let system = values(
        bad,
        vec![json!({"name": "linux"})],
        vec![json!({"name": "windows"})],
    );
    let beyond = values(bad, vec![json!(false), Value::Null], vec![json!(true)]);
    let spec = object(vec![
        proptest::option::of(pod_context(bad).prop_map(|it| ("securityContext".into(), it)))
            .boxed(),
        containers(bad)
            .prop_map(|it| Some(("initContainers".into(), it)))
            .boxed(),
        containers(bad)
            .prop_map(|it| Some(("containers".into(), it)))
            .boxed(),
        volumes(bad)
            .prop_map(|it| Some(("volumes".into(), it)))
            .boxed(),
        field("os", system).boxed(),
        field("hostPID", beyond.clone()).boxed(),
        field("shareProcessNamespace", beyond).boxed(),
    ]);
    (spec, proptest::bool::ANY).prop_map(move |(spec, annotated)| {
        let mut pod = pod(spec);
        if bad && annotated {
            pod["metadata"]["annotations"] =
                json!({"seccomp.security.alpha.kubernetes.io/pod": "unconfined"});
        }
        pod
    })
}

/// The tenants of each profile.
fn tenants() -> impl Strategy<Value = TenantRules> {
    proptest::sample::select(Profile::ALL.to_vec()).prop_map(|profile| TenantRules {
        profile,
        ..strict()
    })
}

/// Whether everything that is set in `before` stands unchanged in `after`.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Array(list), _) if list.is_empty() => after.is_array(),
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| {
            value.is_null() || after.get(key).is_some_and(|after| kept(value, after))
        }),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(b, a)| kept(b, a))
        }
        _ => before == after,
    }
}

/// Any JSON at all.
fn json() -> impl Strategy<Value = Value> {
    let keys = proptest::sample::select(vec![
        "metadata",
        "annotations",
        "spec",
        "os",
        "name",
        "containers",
        "initContainers",
        "volumes",
        "securityContext",
        "capabilities",
        "add",
        "drop",
        "seccompProfile",
        "type",
        "privileged",
        "hostUsers",
        "runAsUser",
        "fsGroup",
        "supplementalGroups",
        "seLinuxOptions",
        "level",
        "template",
        "jobTemplate",
        "ports",
        "hostPort",
        "hostPath",
        "projected",
        "sources",
        "ephemeral",
        "volumeClaimTemplate",
        "volumeClaimTemplates",
        "volumeName",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z~/]{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn mending_twice_is_mending_once(pod in pods(true), tenant in tenants()) {
        if let Some(once) = mended_by(&create(pod), &tenant, Facts::NONE) {
            prop_assert_eq!(mended_by(&create(once), &tenant, Facts::NONE), None);
        }
    }

    #[test]
    fn mending_changes_nothing_that_is_set(pod in pods(true), tenant in tenants()) {
        if let Some(mended) = mended_by(&create(pod.clone()), &tenant, Facts::NONE) {
            prop_assert!(kept(&pod, &mended), "{pod}\n{mended}");
            prop_assert_ne!(pod, mended);
        }
    }

    #[test]
    fn the_patch_does_what_mending_does(pod in pods(true)) {
        let mut request = create(pod.clone());
        match mend_and_judge(&mut request, &strict(), Facts::NONE) {
            Ok((operations, _)) => {
                let operations: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
                let mut patched = pod.clone();
                json_patch::patch(&mut patched, &operations).unwrap();
                prop_assert_eq!(request.object.as_ref(), Some(&patched.clone().into()));
                prop_assert_eq!(mended(&create(pod.clone()), Facts::NONE).unwrap_or(pod), patched);
            }
            Err(unjudged) => prop_assert_eq!(judge(&create(pod), &strict(), Facts::NONE), Err(unjudged)),
        }
    }

    /// What a profile lets pass as it is, mending under that profile leaves passing, and a profile
    /// that asks for nothing changes nothing.
    #[test]
    fn mending_spoils_no_pod_that_was_right(pod in pods(true), tenant in tenants()) {
        let before = judge(&create(pod.clone()), &tenant, Facts::NONE);
        let mended = mended_by(&create(pod.clone()), &tenant, Facts::NONE);
        if tenant.profile == Profile::Privileged {
            prop_assert_eq!(&mended, &None);
        }
        if let (Ok(found), Some(mended)) = (before, mended) {
            let after = judge(&create(mended.clone()), &tenant, Facts::NONE).unwrap();
            for finding in &after {
                prop_assert!(found.contains(finding), "{:?} is new in {}", finding, mended);
            }
        }
    }

    /// The weaker the profile, the less it refuses. Kubernetes' own standards break this rule for
    /// pods of Windows, to which `restricted` asks less about seccomp than `baseline`.
    #[test]
    fn each_profile_implies_the_next(pod in pods(true)) {
        prop_assume!(pod["spec"]["os"]["name"] != "windows");
        let refused = |profile| {
            let tenant = TenantRules { profile, ..strict() };
            judge(&create(pod.clone()), &tenant, Facts::NONE).map(|found| !found.is_empty())
        };
        for pair in Profile::ALL.windows(2) {
            if let (Ok(stricter), Ok(weaker)) = (refused(pair[0]), refused(pair[1])) {
                prop_assert!(stricter || !weaker, "{} refuses what {} lets pass: {}", pair[1], pair[0], pod);
            }
        }
    }

    #[test]
    fn a_pod_with_nothing_bad_in_it_passes_once_mended(pod in pods(false)) {
        let mended = mended(&create(pod.clone()), Facts::NONE).unwrap_or(pod);
        prop_assert_eq!(judge(&create(mended.clone()), &strict(), Facts::NONE), Ok(vec![]), "{}", mended);
    }

    #[test]
    fn what_ids_a_tenant_has_a_mend_only_fills_and_twice_is_once(pod in pods(true), tenant in tenants_with_ids()) {
        if let Some(mended) = mended_by(&create(pod.clone()), &tenant, Facts::NONE) {
            prop_assert!(kept(&pod, &mended), "{pod}\n{mended}");
            prop_assert_eq!(mended_by(&create(mended), &tenant, Facts::NONE), None);
        }
    }

    /// Unless the tenant asks for what the cluster does not have.
    #[test]
    fn a_pod_that_names_no_ids_passes_once_mended(
        init in proptest::bool::ANY, users in proptest::option::of(Just(false)), tenant in tenants_with_ids(),
    ) {
        let mut bare = pod(json!({"containers": [{"name": "c"}, {"name": "d"}]}));
        if init {
            bare["spec"]["initContainers"] = json!([{"name": "i"}]);
        }
        if let Some(users) = users {
            bare["spec"]["hostUsers"] = json!(users);
        }
        let mended = mended_by(&create(bare), &tenant, Facts::NONE).unwrap();
        let found = judge(&create(mended.clone()), &tenant, Facts::NONE).unwrap();
        let rules = json!(tenant.ids);
        let unserved = rules["unserved"].as_array().is_some_and(|list| list.contains(&json!("HostUsers")));
        let impossible = unserved && rules["userNamespaces"] == "Required";
        prop_assert_eq!(found.iter().all(|f| f.control == "host-user-namespace"), true, "{:?}", found);
        prop_assert_eq!(found.is_empty(), !impossible, "{}: {:?}", mended, found);
    }

    #[test]
    fn any_object_gets_an_answer(object in json(), kind in proptest::sample::select(vec![
        ("v1", "Pod"), ("apps/v1", "StatefulSet"), ("batch/v1", "CronJob"), ("v1", "Service"),
        ("v1", "PersistentVolumeClaim"), ("v1", "PodTemplate"),
    ])) {
        let mut request = create(json!({"apiVersion": kind.0, "kind": kind.1}));
        request.object = Some(object.into());
        let _ = crate::admission::admit(request, &strict());
    }
}
