//! A value of a type that Kubernetes does not have there passes no rule.

use bulkhead_controls::{REGISTRY, Rule};
use serde_json::{Value, json};

use crate::admission::{admit, admit_with, strict};
use crate::pages::blocks;

/// Values of other types than the one that stands in the example.
fn odd(value: &Value) -> Vec<Value> {
    let all = [json!(false), json!(0), json!("false"), json!([]), json!({})];
    let same = |other: &Value| std::mem::discriminant(other) == std::mem::discriminant(value);
    all.into_iter().filter(|other| !same(other)).collect()
}

/// Controls that refuse what is not there. A value of any kind is judged by another.
const ABSENCE: [&str; 2] = ["missing-fs-group", "selinux-label-shared"];

#[test]
fn every_rule_fails_closed_on_odd_types() {
    let mut tried = std::collections::BTreeSet::new();
    for control in REGISTRY
        .iter()
        .filter(|control| !matches!(control.rule, Rule::Guard | Rule::Dockerfile(_)))
    {
        for block in blocks(control.page)
            .iter()
            .filter(|block| !block.marks.is_empty())
        {
            let request = block.request();
            for finding in admit_with(request.clone(), &block.rules, &block.facts).unwrap() {
                let object = Value::from(request.object.as_ref().unwrap());
                let Some(value) = object.pointer(&finding.path.pointer()) else {
                    continue;
                };
                tried.insert(finding.control);
                for odd in odd(value) {
                    let mut request = request.clone();
                    let mut changed = object.clone();
                    *changed.pointer_mut(&finding.path.pointer()).unwrap() = odd.clone();
                    request.object = Some(changed.into());
                    // Of `minAvailable` a number is as good as a text, and nothing is demanded.
                    if finding.path.to_string() == "spec.minAvailable" && odd == 0 {
                        continue;
                    }
                    let passes =
                        admit_with(request, &block.rules, &block.facts).is_ok_and(|found| {
                            !found
                                .iter()
                                .any(|f| f.control == finding.control && f.path == finding.path)
                        });
                    assert!(
                        !passes,
                        "{}: {} passes as {odd}",
                        finding.control, finding.path
                    );
                }
            }
        }
    }
    let rules = REGISTRY.iter().filter(|control| {
        !matches!(control.rule, Rule::Guard | Rule::Dockerfile(_))
            && !ABSENCE.contains(&control.name)
    });
    assert_eq!(tried, rules.map(|control| control.name).collect());
}

#[test]
fn what_holds_the_fields_must_have_its_type() {
    for pointer in [
        "/metadata",
        "/metadata/annotations",
        "/spec",
        "/spec/os",
        "/spec/securityContext",
        "/spec/securityContext/seccompProfile",
        "/spec/securityContext/windowsOptions",
        "/spec/securityContext/supplementalGroups",
        "/spec/initContainers",
        "/spec/containers",
        "/spec/ephemeralContainers",
        "/spec/containers/0",
        "/spec/containers/0/ports",
        "/spec/containers/0/ports/0",
        "/spec/containers/0/securityContext",
        "/spec/containers/0/securityContext/capabilities",
        "/spec/containers/0/securityContext/capabilities/add",
        "/spec/containers/0/securityContext/capabilities/drop",
        "/spec/containers/0/securityContext/seccompProfile",
        "/spec/containers/0/securityContext/windowsOptions",
        "/spec/securityContext/appArmorProfile",
        "/spec/securityContext/sysctls",
        "/spec/securityContext/sysctls/0",
        "/spec/containers/0/securityContext/appArmorProfile",
        "/spec/containers/0/volumeMounts",
        "/spec/containers/0/volumeMounts/0",
        "/spec/containers/0/livenessProbe",
        "/spec/containers/0/livenessProbe/httpGet",
        "/spec/containers/0/readinessProbe/tcpSocket",
        "/spec/containers/0/startupProbe",
        "/spec/containers/0/lifecycle",
        "/spec/containers/0/lifecycle/postStart",
        "/spec/containers/0/lifecycle/preStop/httpGet",
        "/spec/volumes",
        "/spec/volumes/0",
        "/spec/volumes/0/projected",
        "/spec/volumes/0/projected/sources",
        "/spec/volumes/0/projected/sources/0",
        "/spec/volumes/0/projected/sources/0/serviceAccountToken",
        "/spec/volumes/0/ephemeral",
        "/spec/volumes/0/ephemeral/volumeClaimTemplate",
        "/spec/volumes/0/ephemeral/volumeClaimTemplate/spec",
        "/spec/volumes/0/ephemeral/volumeClaimTemplate/spec/dataSourceRef",
    ] {
        let profiles = || {
            json!({
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "RuntimeDefault"}, "windowsOptions": {},
            })
        };
        let with = |mut object: Value, more: Value| {
            let more = more.as_object().unwrap().clone();
            object.as_object_mut().unwrap().extend(more);
            object
        };
        let call = json!({"httpGet": {"port": 80}});
        let container = json!({
            "name": "c", "ports": [{}], "volumeMounts": [{}],
            "livenessProbe": call, "readinessProbe": {"tcpSocket": {}}, "startupProbe": call,
            "lifecycle": {"postStart": call, "preStop": call},
            "securityContext": with(profiles(), json!({"capabilities": {"add": [], "drop": ["ALL"]}})),
        });
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "annotations": {}},
            "spec": {
                "os": {},
                "securityContext": with(profiles(), json!({
                    "supplementalGroups": [], "sysctls": [{"name": "net.ipv4.tcp_rmem"}],
                })),
                "initContainers": [container], "containers": [container],
                "ephemeralContainers": [container],
                "volumes": [{
                    "name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]},
                    "ephemeral": {"volumeClaimTemplate": {"spec": {"dataSourceRef": {}}}},
                }],
            },
        });
        let request = |pod: &Value| crate::admission::create(pod.clone());
        assert_eq!(admit(request(&pod), &strict()), Ok(vec![]), "{pointer}");
        let odd = odd(pod.pointer(pointer).unwrap());
        for odd in odd {
            *pod.pointer_mut(pointer).unwrap() = odd.clone();
            let judged = admit(request(&pod), &strict());
            assert!(judged.is_err(), "{pointer} passes as {odd}: {judged:?}");
        }
    }
}
