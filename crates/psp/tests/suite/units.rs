//! What the original cannot be asked: how policies are read, who is asked about rights, and what
//! has changed in Kubernetes since.

use std::cell::RefCell;

use bulkhead_model::Json;
use bulkhead_psp::{
    Denied, Pod, PodSecurityPolicy, Policies, Verdict, apply, complaints,
    only_owners_and_finalizers, parse,
};
use serde_json::{Value, json};

fn policy(name: &str, spec: &Value) -> PodSecurityPolicy {
    let mut whole = json!({
        "runAsUser": {"rule": "RunAsAny"}, "seLinux": {"rule": "RunAsAny"},
        "fsGroup": {"rule": "RunAsAny"}, "supplementalGroups": {"rule": "RunAsAny"},
        "volumes": ["*"],
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    parse(&json!({"metadata": {"name": name}, "spec": whole})).unwrap()
}

fn pod(spec: &Value) -> Value {
    let mut whole = json!({"containers": [{"name": "c", "image": "nginx"}]});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"metadata": {"name": "p"}, "spec": whole})
}

fn yes(_: &str) -> Option<bool> {
    Some(true)
}

#[test]
fn what_is_no_policy_is_said_with_its_path() {
    for (spec, at, words) in [
        (
            json!({"privilegd": false}),
            "spec.privilegd",
            "unknown field `privilegd`",
        ),
        (
            json!({"runAsUser": {"rules": "RunAsAny"}}),
            "spec.runAsUser.rules",
            "unknown field",
        ),
        (
            json!({"privileged": "false"}),
            "spec.privileged",
            "must be a boolean",
        ),
        (
            json!({"volumes": "*"}),
            "spec.volumes",
            "must be a list of strings",
        ),
        (
            json!({"hostPorts": [{"min": 1, "max": 3_000_000_000_i64}]}),
            "spec.hostPorts[0].max",
            "32 bits",
        ),
        (
            json!({"fsGroup": {"ranges": [{"min": 1.5}]}}),
            "spec.fsGroup.ranges[0].min",
            "whole number",
        ),
        (json!({"seLinux": []}), "spec.seLinux", "must be an object"),
        (
            json!({"allowedHostPaths": ["/a"]}),
            "spec.allowedHostPaths[0]",
            "must be an object",
        ),
    ] {
        let wrong = parse(&json!({"metadata": {"name": "a"}, "spec": spec})).unwrap_err();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_eq!(wrong[0].path.to_string(), at);
        assert!(wrong[0].message.contains(words), "{}", wrong[0]);
    }
    let nothing = parse(&json!({"metadata": {"name": "a"}})).unwrap_err();
    assert_eq!(nothing[0].path.to_string(), "spec");
    assert!(parse(&json!({"kind": "PodSecurityPolicy", "spec": {"privileged": null}})).is_ok());
}

#[test]
fn a_policy_that_no_pod_can_be_held_to_is_left_out_and_named() {
    let broken = policy(
        "a",
        &json!({"runAsUser": {"rule": "MustRunAs"}, "fsGroup": {}}),
    );
    let policies = Policies::new([&broken]);
    let object = pod(&json!({}));
    let object = Json::from(&object);
    let verdict = policies.admit(&Pod::read(&object).unwrap(), &yes);
    assert_eq!(verdict, Verdict::Denied(Denied::NoPolicies));
    assert_eq!(
        policies.unusable()[0].reasons,
        [
            "Unrecognized FSGroup strategy type ",
            "MustRunAs requires at least one range"
        ]
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
    );
    assert!(!policies.is_empty() && policies.names().next().is_none());
}

#[test]
fn rights_are_asked_of_policies_that_fit_and_when_denying_of_the_others() {
    let policies = Policies::new(&[
        policy("fits", &json!({})),
        policy(
            "mutates",
            &json!({"fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 5, "max": 5}]}}),
        ),
        policy("refuses", &json!({"volumes": []})),
    ]);
    let object = pod(&json!({"volumes": [{"name": "v", "emptyDir": {}}]}));
    let object = Json::from(&object);
    let pod = Pod::read(&object).unwrap();
    let asked = RefCell::new(Vec::new());
    let ask = |answer| {
        asked.borrow_mut().clear();
        let may_use = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            answer
        };
        policies.admit(&pod, &may_use)
    };
    assert_eq!(
        ask(None),
        Verdict::Ask(vec!["fits".into(), "mutates".into()])
    );
    assert!(matches!(ask(Some(true)), Verdict::Admitted(admitted) if admitted.policy == "fits"));
    assert_eq!(*asked.borrow(), ["fits"]);
    let Verdict::Denied(denied) = ask(Some(false)) else {
        panic!("nobody may use anything");
    };
    assert_eq!(*asked.borrow(), ["fits", "mutates", "refuses"]);
    assert_eq!(
        denied.to_string(),
        "PodSecurityPolicy: unable to admit pod: []"
    );
    let known = |name: &str| (name != "refuses").then_some(false);
    assert_eq!(
        policies.admit(&pod, &known),
        Verdict::Ask(vec!["refuses".into()])
    );
}

#[test]
fn profiles_that_stood_in_annotations_are_set_in_the_fields_of_today() {
    let mut noted = policy("a", &json!({}));
    for (key, value) in [
        (
            "seccomp.security.alpha.kubernetes.io/defaultProfileName",
            "docker/default",
        ),
        (
            "seccomp.security.alpha.kubernetes.io/allowedProfileNames",
            "*",
        ),
        (
            "apparmor.security.beta.kubernetes.io/defaultProfileName",
            "localhost/web",
        ),
    ] {
        noted.annotations.insert(key.into(), value.into());
    }
    let policies = Policies::new([&noted]);
    let mut written = pod(&json!({}));
    let object = Json::from(&written).into_owned();
    let Verdict::Admitted(admitted) = policies.admit(&Pod::read(&object).unwrap(), &yes) else {
        panic!("it is admitted");
    };
    apply(&mut written, &admitted.changes);
    apply(&mut written, &admitted.fields);
    assert_eq!(
        written["spec"]["securityContext"]["seccompProfile"],
        json!({"type": "RuntimeDefault"})
    );
    assert_eq!(
        written["spec"]["containers"][0]["securityContext"]["appArmorProfile"],
        json!({"type": "Localhost", "localhostProfile": "web"})
    );
    assert_eq!(
        written["metadata"]["annotations"],
        json!({
            "kubernetes.io/psp": "a",
            "seccomp.security.alpha.kubernetes.io/pod": "docker/default",
            "container.apparmor.security.beta.kubernetes.io/c": "localhost/web",
        })
    );
    // The field alone counts as its annotation, where both were kept in step.
    let mut stored = written.clone();
    stored["metadata"] = json!({"name": "p"});
    let object = Json::from(&stored);
    let wordless = policies.validate(&Pod::read(&object).unwrap(), &yes);
    assert!(
        matches!(wordless, Verdict::Denied(_)),
        "the original would mutate: {wordless:?}"
    );
    let stored = policies.validate(&Pod::read(&object).unwrap().as_stored(), &yes);
    assert!(matches!(stored, Verdict::Admitted(_)), "{stored:?}");
}

#[test]
fn a_volume_of_a_kind_that_came_later_fits_no_policy() {
    let policies = Policies::new([&policy("a", &json!({}))]);
    let object = pod(&json!({"volumes": [{"name": "v", "image": {"reference": "x"}}]}));
    let object = Json::from(&object);
    let verdict = policies.admit(&Pod::read(&object).unwrap(), &yes);
    let Verdict::Denied(denied) = verdict else {
        panic!("{verdict:?}");
    };
    assert!(
        denied.to_string().contains("unknown volume type"),
        "{denied}"
    );
}

#[test]
fn a_pod_with_fields_of_wrong_types_is_no_pod() {
    for spec in [
        json!({"hostNetwork": "true"}),
        json!({"containers": {}}),
        json!({"securityContext": {"runAsUser": "0"}}),
        json!({"containers": [{"name": "c", "securityContext": {"privileged": 1}}]}),
        json!({"volumes": [{"name": "v", "hostPath": "/"}]}),
    ] {
        let object = pod(&spec);
        assert!(Pod::read(&Json::from(&object)).is_err(), "{spec}");
    }
}

#[test]
fn only_the_garbage_collectors_fields_may_change_unseen() {
    let old = json!({"metadata": {"name": "p", "annotations": {}}, "spec": {"volumes": []}});
    let mut new = old.clone();
    new["metadata"] = json!({"name": "p", "finalizers": ["a/b"], "managedFields": [{}]});
    new["spec"] = json!({"volumes": null});
    assert!(only_owners_and_finalizers(
        &Json::from(&old),
        &Json::from(&new)
    ));
    new["metadata"]["labels"] = json!({"a": "b"});
    assert!(!only_owners_and_finalizers(
        &Json::from(&old),
        &Json::from(&new)
    ));
}

#[test]
fn a_space_after_a_comma_belongs_to_the_profiles_name() {
    // The appendix of the guide writes its list so.
    let mut appendix = policy("Tenant", &json!({}));
    let key = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";
    appendix
        .annotations
        .insert(key.into(), "docker/default, runtime/default".into());
    let said: Vec<String> = complaints(&appendix)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("metadata.name: Invalid value: \"Tenant\": a lowercase RFC 1123"));
    assert_eq!(
        said[1],
        format!(
            "metadata.annotations[{key}]: Invalid value: \" runtime/default\": must be a valid seccomp profile"
        )
    );
}
