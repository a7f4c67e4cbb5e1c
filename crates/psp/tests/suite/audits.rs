//! What an audit says, finding by finding; and that a policy which is said to be shadowed is one.

use bulkhead_model::Json;
use bulkhead_psp::{
    AuditRule, Inventory, Pod, PodSecurityPolicy, Policies, Verdict, audit, complaints, parse,
};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::some_pods::pod;
use crate::some_policies::policy as some_policy;

const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";
const SECCOMP_DEFAULT: &str = "seccomp.security.alpha.kubernetes.io/defaultProfileName";
const APPARMOR: &str = "apparmor.security.beta.kubernetes.io/allowedProfileNames";
const APPARMOR_DEFAULT: &str = "apparmor.security.beta.kubernetes.io/defaultProfileName";

/// A policy of which nothing is said, with these differences.
fn policy(name: &str, notes: Value, spec: Value) -> PodSecurityPolicy {
    let mut all = json!({
        "metadata": {"name": name, "annotations": {
            SECCOMP: "runtime/default", SECCOMP_DEFAULT: "runtime/default",
            APPARMOR: "runtime/default", APPARMOR_DEFAULT: "runtime/default",
        }},
        "spec": {
            "allowPrivilegeEscalation": false, "volumes": ["secret"],
            "runAsUser": {"rule": "RunAsAny"}, "seLinux": {"rule": "RunAsAny"},
            "fsGroup": {"rule": "RunAsAny"}, "supplementalGroups": {"rule": "RunAsAny"},
        },
    });
    for (place, more) in [("/metadata/annotations", notes), ("/spec", spec)] {
        let fields = all.pointer_mut(place).unwrap().as_object_mut().unwrap();
        for (key, value) in more.as_object().unwrap() {
            fields.insert(key.clone(), value.clone());
        }
        fields.retain(|_, value| !value.is_null());
    }
    parse(&all).unwrap()
}

fn found(inventory: &Inventory) -> Vec<(AuditRule, String)> {
    let found = audit(inventory, None).into_iter();
    found.map(|it| (it.rule, it.message)).collect()
}

#[test]
fn each_policy_is_told_what_surprises() {
    use AuditRule::{AppArmorSurprise, Contradictory, SeccompSurprise};
    let none = || json!({});
    let cases = [
        (none(), none(), None),
        (
            none(),
            json!({"volumes": []}),
            Some((Contradictory, "allows none")),
        ),
        (
            none(),
            json!({"allowedHostPaths": [{"pathPrefix": "/a"}]}),
            Some((Contradictory, "`allowedHostPaths` has no effect")),
        ),
        (
            none(),
            json!({"allowedCSIDrivers": [{"name": "a"}]}),
            Some((Contradictory, "`allowedCSIDrivers` has no effect")),
        ),
        (
            none(),
            json!({"privileged": true}),
            Some((Contradictory, "`privileged: true` has no effect")),
        ),
        (
            none(),
            json!({"runtimeClass": {"allowedRuntimeClassNames": [], "defaultRuntimeClassName": "a"}}),
            Some((Contradictory, "Kubernetes refuses such a policy")),
        ),
        (
            none(),
            json!({"requiredDropCapabilities": ["CAP_KILL"]}),
            Some((Contradictory, "compared as they are written")),
        ),
        (
            none(),
            json!({"seLinux": {"rule": "MustRunAs"}}),
            Some((Contradictory, "MustRunAs requires SELinuxOptions")),
        ),
        (
            none(),
            json!({"requiredDropCapabilities": ["KILL"], "allowedCapabilities": ["KILL"]}),
            Some((Contradictory, "Kubernetes refuses such a policy")),
        ),
        (
            json!({SECCOMP: null}),
            none(),
            Some((SeccompSurprise, "refuses every pod")),
        ),
        (
            json!({SECCOMP: null, SECCOMP_DEFAULT: null}),
            none(),
            Some((SeccompSurprise, "not even `RuntimeDefault`")),
        ),
        (
            json!({SECCOMP: "*", SECCOMP_DEFAULT: null}),
            none(),
            Some((SeccompSurprise, "run unconfined")),
        ),
        (
            json!({SECCOMP_DEFAULT: null}),
            none(),
            Some((SeccompSurprise, "has no default")),
        ),
        (
            json!({SECCOMP: "localhost/a"}),
            none(),
            Some((SeccompSurprise, "does not allow it")),
        ),
        (
            json!({SECCOMP: "runtime/default,unconfined"}),
            none(),
            Some((SeccompSurprise, "`unconfined`")),
        ),
        (
            json!({APPARMOR: null}),
            none(),
            Some((AppArmorSurprise, "allows any")),
        ),
        (
            json!({APPARMOR: null, APPARMOR_DEFAULT: null}),
            none(),
            Some((AppArmorSurprise, "may choose")),
        ),
        (
            json!({APPARMOR_DEFAULT: null}),
            none(),
            Some((AppArmorSurprise, "has no default")),
        ),
        (
            json!({APPARMOR: "localhost/a"}),
            none(),
            Some((AppArmorSurprise, "does not allow it")),
        ),
        (
            json!({APPARMOR: "runtime/default,unconfined"}),
            none(),
            Some((AppArmorSurprise, "`unconfined`")),
        ),
    ];
    for (notes, spec, wanted) in cases {
        let shown = format!("{notes} {spec}");
        let inventory = Inventory {
            policies: vec![policy("a", notes, spec)],
            ..Inventory::default()
        };
        let found = found(&inventory);
        match wanted {
            None => assert_eq!(found, [], "{shown}"),
            Some((rule, words)) => {
                let hit = found
                    .iter()
                    .any(|(one, said)| *one == rule && said.contains(words));
                assert!(hit && found.len() == 1, "{shown}: {found:?}");
            }
        }
    }
}

fn role(name: &str, policies: &[&str]) -> Value {
    json!({
        "kind": "ClusterRole", "metadata": {"name": name}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
            {"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "verbs": ["use"], "resourceNames": policies},
        ],
    })
}

fn binding(namespace: Option<&str>, role: &str, subjects: Value) -> Value {
    json!({
        "kind": if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" },
        "metadata": {"name": format!("to-{role}"), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    })
}

#[test]
fn rights_decide_what_is_open_unused_and_shadowed() {
    let wide = json!({
        "privileged": true, "allowPrivilegeEscalation": true, "volumes": ["*"],
        "allowedCapabilities": ["*"], "hostNetwork": true, "hostPorts": [{"min": 0, "max": 65535}],
    });
    let notes =
        json!({SECCOMP: "*", SECCOMP_DEFAULT: null, APPARMOR: null, APPARMOR_DEFAULT: null});
    let policies = || {
        vec![
            policy("a-wide", notes.clone(), wide.clone()),
            policy("b-narrow", json!({}), json!({})),
        ]
    };
    let group = |name: &str| json!([{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}]);
    let account = json!([{"kind": "ServiceAccount", "name": "s", "namespace": "team"}]);
    let roles = || vec![role("wide", &["a-wide"]), role("narrow", &["b-narrow"])];
    let of_rights = |bindings: Vec<Value>| -> Vec<AuditRule> {
        let inventory = Inventory {
            policies: policies(),
            roles: roles(),
            bindings,
        };
        let found = found(&inventory).into_iter().map(|(rule, _)| rule);
        let own = [AuditRule::SeccompSurprise, AuditRule::AppArmorSurprise];
        found.filter(|rule| !own.contains(rule)).collect()
    };
    use AuditRule::{OpenToEveryone, Shadowed, Unused};
    for (bindings, wanted) in [
        (vec![binding(None, "wide", group("admins"))], vec![Unused]),
        (
            vec![binding(None, "wide", group("system:authenticated"))],
            vec![Unused, OpenToEveryone],
        ),
        (
            vec![binding(
                Some("team"),
                "wide",
                group("system:serviceaccounts"),
            )],
            vec![Unused, OpenToEveryone],
        ),
        // A narrow policy is meant for everybody.
        (
            vec![
                binding(None, "narrow", group("system:authenticated")),
                binding(None, "wide", group("admins")),
            ],
            vec![],
        ),
        (
            vec![
                binding(None, "narrow", group("admins")),
                binding(None, "wide", group("admins")),
            ],
            vec![Shadowed],
        ),
        (
            vec![
                binding(Some("team"), "narrow", account.clone()),
                binding(None, "wide", group("system:serviceaccounts:team")),
            ],
            vec![Shadowed],
        ),
        (
            vec![
                binding(Some("team"), "narrow", account.clone()),
                binding(None, "wide", group("system:serviceaccounts:other")),
            ],
            vec![],
        ),
        (
            vec![
                binding(None, "narrow", account.clone()),
                binding(Some("team"), "wide", account.clone()),
            ],
            vec![],
        ),
        // A binding to a role that is not there gives nothing.
        (
            vec![binding(None, "gone", group("system:authenticated"))],
            vec![Unused, Unused],
        ),
    ] {
        let shown = json!(bindings);
        assert_eq!(of_rights(bindings), wanted, "{shown}");
    }
}

#[test]
fn a_shadowed_policy_admits_no_pod_that_the_other_does_not() {
    let mut draw = Draw(5);
    let all = json!([{"kind": "Group", "name": "admins"}]);
    let (mut shadowed, mut compared) = (0, 0);
    for _ in 0..1500 {
        let strictness = *draw.one(&[5, 10, 20]);
        let first = some_policy(&mut draw, "a", strictness);
        let mut second = some_policy(&mut draw, "b", strictness * 3);
        if draw.chance(50) {
            // Close relatives, so that some cover each other.
            second = first.clone();
            second["metadata"]["name"] = json!("b");
            let other = some_policy(&mut draw, "b", 60);
            for _ in 0..draw.below(4) {
                let keys: Vec<String> =
                    other["spec"].as_object().unwrap().keys().cloned().collect();
                let key = draw.one(&keys);
                second["spec"][key.as_str()] = other["spec"][key.as_str()].clone();
            }
        }
        let policies: Vec<PodSecurityPolicy> =
            [&first, &second].map(|it| parse(it).unwrap()).into();
        if policies.iter().any(|policy| !complaints(policy).is_empty()) {
            continue;
        }
        let inventory = Inventory {
            policies: policies.clone(),
            roles: vec![role("both", &["a", "b"])],
            bindings: vec![binding(None, "both", all.clone())],
        };
        if !found(&inventory)
            .iter()
            .any(|(rule, _)| *rule == AuditRule::Shadowed)
        {
            continue;
        }
        shadowed += 1;
        let by = |index: usize, pod: &Pod<'_>| {
            let one = Policies::new([&policies[index]]);
            matches!(one.validate(pod, &|_| Some(true)), Verdict::Admitted(_))
        };
        for _ in 0..60 {
            let wild = *draw.one(&[0, 10, 30, 60]);
            let pod = pod(&mut draw, wild);
            let object = Json::from(&pod);
            let pod = Pod::read(&object).unwrap();
            if by(1, &pod) {
                compared += 1;
                assert!(by(0, &pod), "{first}\n{second}\n{}", Value::from(&object));
            }
        }
    }
    assert!(shadowed > 20 && compared > 200, "{shadowed} {compared}");
}
