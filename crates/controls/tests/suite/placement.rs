//! Where pods run: who may say so, when it is too late to say anything, and what mending adds.

use bulkhead_controls::{Facts, judge, mend_and_judge};
use bulkhead_model::{AdmissionRequest, Finding, TenantRules};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::admission::{admit, create, mended_by, names, pod, strict, update};

const DAEMON_SET_CONTROLLER: &str = "system:serviceaccount:kube-system:daemon-set-controller";

fn rules(nodes: Value) -> TenantRules {
    TenantRules {
        nodes: serde_json::from_value(nodes).unwrap(),
        ..strict()
    }
}

fn dedicated() -> TenantRules {
    rules(json!({"placement": {"Dedicated": {"pool": "acme"}}}))
}

fn labelled() -> TenantRules {
    rules(json!({"placement": {"Labelled": {"node-restriction.kubernetes.io/pool": "acme"}}}))
}

/// A pod without anything wrong, and these fields.
fn good(spec: Value) -> Value {
    let mut whole = json!({
        "securityContext": {
            "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
            "runAsUser": 1_000_000_000, "runAsGroup": 1_000_000_000, "fsGroup": 1_000_000_000,
            "supplementalGroups": [1_000_000_000], "supplementalGroupsPolicy": "Strict",
        },
        "containers": [{"name": "c", "image": "registry.example/c:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    });
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    pod(whole)
}

fn of_daemon_set(mut pod: Value) -> Value {
    pod["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u", "controller": true},
    ]);
    pod
}

fn by(user: &str, object: Value) -> AdmissionRequest<'static> {
    let mut request = create(object);
    request.user_info.username = user.to_owned();
    request
}

fn paths(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|f| format!("{} {}", f.control, f.path))
        .collect()
}

/// As the DaemonSet controller makes it, for a template that says where it runs.
fn daemon_sets_pod(node: &str) -> Value {
    of_daemon_set(good(json!({
        "nodeSelector": {"node-restriction.kubernetes.io/tenant": "acme"},
        "tolerations": [
            {"key": "tenantID", "value": "acme"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
        ],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [node]}]}]}}},
    })))
}

#[test]
fn a_daemon_sets_pods_pass_as_their_controller_makes_them_and_from_nobody_else() {
    let rules = dedicated();
    let request = by(DAEMON_SET_CONTROLLER, daemon_sets_pod("worker-1"));
    assert_eq!(
        mended_by(&request, &rules, Facts::NONE),
        None,
        "nothing is added"
    );
    assert_eq!(judge(&request, &rules, Facts::NONE), Ok(vec![]));
    for user in [
        "system:serviceaccount:acme-dev:daemon-set-controller",
        "bulkhead:tenant:acme:admin",
        "system:serviceaccount:kube-system:replicaset-controller",
    ] {
        let found = judge(&by(user, daemon_sets_pod("worker-1")), &rules, Facts::NONE).unwrap();
        assert_eq!(
            names(&found).into_iter().collect::<Vec<_>>(),
            ["foreign-toleration", "node-name-set"],
            "{user}"
        );
    }
    // The controller manager's one identity makes all kinds of pods.
    let mut of_others = daemon_sets_pod("worker-1");
    of_others["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
    let request = by("system:kube-controller-manager", of_others);
    assert!(!admit(request, &rules).unwrap().is_empty());
}

#[test]
fn the_daemon_set_controller_picks_one_node_and_nothing_else() {
    const TERMS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    for (pointer, value) in [
        ("/0/matchFields/0/values", json!(["worker-1", "worker-2"])),
        ("/0/matchFields/0/operator", json!("NotIn")),
        ("/0/matchFields/0/key", json!("metadata.namespace")),
        (
            "/0/matchExpressions",
            json!([{"key": "a", "operator": "Exists"}]),
        ),
    ] {
        let mut pod = daemon_sets_pod("worker-1");
        let terms = pod.pointer_mut(TERMS).unwrap();
        match terms.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => terms[0]["matchExpressions"] = value,
        }
        let found = admit(by(DAEMON_SET_CONTROLLER, pod), &dedicated()).unwrap();
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
        assert_eq!(found[0].control, "node-name-set");
    }
}

#[test]
fn a_daemon_sets_pod_that_does_not_say_where_it_runs_is_refused_and_not_mended() {
    for rules in [dedicated(), labelled()] {
        let request = by(DAEMON_SET_CONTROLLER, of_daemon_set(good(json!({}))));
        assert_eq!(mended_by(&request, &rules, Facts::NONE), None);
        let found = judge(&request, &rules, Facts::NONE).unwrap();
        assert!(!found.is_empty());
        let told = "nothing is added, so the template must say it";
        assert!(found.iter().all(|f| f.detail.ends_with(told)), "{found:?}");
    }
}

/// What cannot change any more is no reason to refuse a label; what can is judged every time.
#[test]
fn a_pod_that_runs_keeps_what_it_has_and_gets_nothing_worse() {
    let fields = json!({
        "nodeName": "shared-1", "schedulerName": "old-scheduler", "priorityClassName": "old",
        "runtimeClassName": "old", "terminationGracePeriodSeconds": 90000,
        "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["shared-1"]}]}]}},
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "namespaceSelector": {}}]},
        },
    });
    let before = good(fields);
    let mut labelled = before.clone();
    labelled["metadata"]["labels"] = json!({"app": "web"});
    let relabel = update(before.clone(), labelled.clone(), None);
    assert_eq!(judge(&relabel, &dedicated(), Facts::NONE), Ok(vec![]));

    for (pointer, value, expect) in [
        (
            "/spec/nodeName",
            json!("other"),
            "node-name-set spec.nodeName",
        ),
        (
            "/spec/schedulerName",
            json!("mine"),
            "node-name-set spec.schedulerName",
        ),
        (
            "/spec/priorityClassName",
            json!("mine"),
            "priority-class-unlisted spec.priorityClassName",
        ),
        (
            "/spec/runtimeClassName",
            json!("mine"),
            "missing-runtime-class spec.runtimeClassName",
        ),
        (
            "/spec/tolerations/0/key",
            json!("tenantID"),
            "foreign-toleration spec.tolerations[0]",
        ),
        (
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0",
            json!("other"),
            "node-name-set spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields",
        ),
    ] {
        let mut worse = labelled.clone();
        *worse.pointer_mut(pointer).unwrap() = value;
        let found = judge(
            &update(before.clone(), worse, None),
            &dedicated(),
            Facts::NONE,
        )
        .unwrap();
        assert_eq!(paths(&found), [expect], "{pointer}");
    }
}

/// While a gate holds a pod back its selectors and affinity may change, so it is judged as if new.
#[test]
fn a_gated_pod_is_judged_whenever_it_changes() {
    let gated = good(json!({
        "schedulingGates": [{"name": "acme.example/wait"}],
        "nodeSelector": {"node-restriction.kubernetes.io/tenant": "acme"},
        "tolerations": [{"key": "tenantID", "value": "acme"}],
    }));
    let mut released = gated.clone();
    released["spec"]["schedulingGates"] = json!([]);
    let release = update(gated.clone(), released.clone(), None);
    assert_eq!(judge(&release, &dedicated(), Facts::NONE), Ok(vec![]));

    released["spec"]["affinity"] = json!({"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["globex-1"]}]}]}}});
    let found = judge(&update(gated, released, None), &dedicated(), Facts::NONE).unwrap();
    assert_eq!(
        names(&found).into_iter().collect::<Vec<_>>(),
        ["node-name-set"]
    );

    // One that was gated before the tenant had nodes of its own does not slip through.
    let old = good(json!({"schedulingGates": [{"name": "acme.example/wait"}]}));
    let found = judge(
        &update(old, good(json!({})), None),
        &dedicated(),
        Facts::NONE,
    )
    .unwrap();
    assert_eq!(
        names(&found).into_iter().collect::<Vec<_>>(),
        ["shared-node"]
    );
}

#[test]
fn an_earlier_version_of_a_device_claim_is_judged_too() {
    for version in ["v1beta1", "v1beta2", "v1"] {
        let request = if version == "v1beta1" {
            json!({"name": "r", "deviceClassName": "gpu", "adminAccess": true})
        } else {
            json!({"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": true}})
        };
        let object = json!({
            "apiVersion": format!("resource.k8s.io/{version}"), "kind": "ResourceClaim",
            "metadata": {"name": "c"}, "spec": {"devices": {"requests": [request]}},
        });
        let found = admit(create(object), &strict()).unwrap();
        assert_eq!(
            names(&found).into_iter().collect::<Vec<_>>(),
            ["device-admin-access", "device-class-unlisted"],
            "{version}"
        );
    }
}

#[test]
fn numbers_that_the_api_server_computed_make_way_for_a_default_class_and_others_stay() {
    let mut rules = strict();
    rules.priority_classes = serde_json::from_value(json!({"default": "plain"})).unwrap();
    let computed = good(json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}));
    let mended = mended_by(&create(computed), &rules, Facts::NONE).unwrap();
    assert_eq!(mended["spec"]["priorityClassName"], "plain");
    assert!(mended["spec"]["priority"].is_null() && mended["spec"]["preemptionPolicy"].is_null());
    let chosen = good(json!({"priority": 7, "preemptionPolicy": "Never"}));
    let mended = mended_by(&create(chosen), &rules, Facts::NONE).unwrap();
    assert_eq!(mended["spec"]["priority"], 7);
    assert_eq!(mended["spec"]["preemptionPolicy"], "Never");
    let named = good(json!({"priorityClassName": "plain", "priority": 0}));
    assert_eq!(mended_by(&create(named), &rules, Facts::NONE), None);
}

/// Selectors and tolerations that somebody might write; with others' among them, or not.
fn placed(foreign: bool) -> impl Strategy<Value = Value> {
    let selectors = [
        json!(null),
        json!({}),
        json!({"disk": "fast"}),
        json!({"node-restriction.kubernetes.io/tenant": "acme"}),
        json!({"node-restriction.kubernetes.io/pool": "acme", "disk": "fast"}),
    ];
    let bad_selectors = [
        json!({"node-restriction.kubernetes.io/tenant": "globex"}),
        json!({"node-restriction.kubernetes.io/pool": ""}),
        json!({"node-restriction.kubernetes.io/tenant": 7}),
    ];
    let tolerations = [
        json!({"key": "tenantID", "value": "acme"}),
        json!({"key": "tenantID", "operator": "Equal", "value": "acme", "effect": "NoSchedule"}),
        json!({"key": "tenantID", "value": "acme", "effect": "NoExecute", "tolerationSeconds": 5}),
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists"}),
    ];
    let bad_tolerations = [
        json!({"operator": "Exists"}),
        json!({"key": "tenantID", "operator": "Exists"}),
        json!({"key": "tenantID", "value": "globex"}),
        json!({"key": "gpu", "operator": "Exists"}),
    ];
    let pick = |good: &[Value], bad: &[Value]| {
        let bad = bad.iter().filter(|_| foreign);
        good.iter().chain(bad).cloned().collect::<Vec<_>>()
    };
    (
        proptest::sample::select(pick(&selectors, &bad_selectors)),
        proptest::collection::vec(
            proptest::sample::select(pick(&tolerations, &bad_tolerations)),
            0..4,
        ),
        proptest::option::of(Just(())),
    )
        .prop_map(|(selector, tolerations, unset)| {
            let mut spec = json!({"nodeSelector": selector, "tolerations": tolerations});
            if unset.is_some() {
                spec["tolerations"] = Value::Null;
            }
            good(spec)
        })
}

/// Whether all that stands in `before` stands in `after`, lists from their beginning.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| value.is_null() || after.get(key).is_some_and(|a| kept(value, a))),
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(b, a)| kept(b, a))
        }
        _ => before == after,
    }
}

fn any_rules() -> impl Strategy<Value = TenantRules> {
    proptest::sample::select(vec![strict(), dedicated(), labelled()])
}

proptest! {
    #[test]
    fn a_pod_without_anything_foreign_passes_once_mended(pod in placed(false), rules in any_rules()) {
        let mended = mended_by(&create(pod.clone()), &rules, Facts::NONE).unwrap_or(pod);
        prop_assert_eq!(judge(&create(mended.clone()), &rules, Facts::NONE), Ok(vec![]), "{}", mended);
        prop_assert_eq!(mended_by(&create(mended), &rules, Facts::NONE), None, "mended twice");
    }

    #[test]
    fn nothing_that_is_written_is_overridden_and_what_is_foreign_is_refused(pod in placed(true), rules in any_rules()) {
        let mended = mended_by(&create(pod.clone()), &rules, Facts::NONE).unwrap_or(pod.clone());
        prop_assert!(kept(&pod, &mended), "{pod}\n{mended}");
        let foreign = mended["spec"]["tolerations"].as_array().into_iter().flatten().any(|t| {
            t["key"].is_null() || t["key"] == "gpu"
                || (t["key"] == "tenantID" && (t["operator"] == "Exists" || t["value"] != "acme"))
        });
        let found = judge(&create(mended.clone()), &rules, Facts::NONE).unwrap();
        prop_assert_eq!(names(&found).contains("foreign-toleration"), foreign, "{}", mended);
        // Where a pod of a tenant with nodes of its own is let in, it can land there alone.
        if rules == dedicated() && found.is_empty() {
            prop_assert_eq!(&mended["spec"]["nodeSelector"]["node-restriction.kubernetes.io/tenant"], "acme");
        }
    }

    #[test]
    fn the_patch_is_the_mend(pod in placed(true), rules in any_rules()) {
        let mut request = create(pod.clone());
        let (operations, _) = mend_and_judge(&mut request, &rules, Facts::NONE).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(json!(operations)).unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(Value::from(request.object.unwrap()), patched);
    }

    /// A template is judged as its pods will be.
    #[test]
    fn a_deployment_is_judged_as_its_pods(pod in placed(true), rules in any_rules()) {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"metadata": {}, "spec": pod["spec"]}},
        });
        let of_pod = names(&admit(create(pod), &rules).unwrap());
        prop_assert_eq!(names(&admit(create(deployment), &rules).unwrap()), of_pod);
    }
}
