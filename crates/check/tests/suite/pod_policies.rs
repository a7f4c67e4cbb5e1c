//! PodSecurityPolicies beside what takes their place: the level and the Tenant that `psp translate`
//! names, and the profile `Strict` beside the policy of the guide's appendix.
#![expect(
    clippy::indexing_slicing,
    reason = "assigning by index makes what is missing"
)]

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_api::parse_tenant;
use bulkhead_check::Settings;
use bulkhead_controls::{Facts, by_name, judge, mend_and_judge};
use bulkhead_model::{AdmissionRequest, Json, TenantRules};
use bulkhead_psp::{
    Beyond, Denied, Level, Pod, PodSecurityPolicy, Policies, Verdict, apply, parse, translate,
};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::pod_policy_objects::{pod, policy};

/// The rules of a Tenant with this `podSecurity`, which must be one that a Tenant takes.
fn rules(pod_security: &Value) -> TenantRules {
    let tenant = json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": "acme", "uid": "u-1"},
        "spec": {"tier": "Silo", "podSecurity": pod_security},
    });
    parse_tenant(&tenant).unwrap().rules()
}

fn create(pod: &Value) -> AdmissionRequest<'static> {
    serde_json::from_value(json!({
        "uid": "1", "operation": "CREATE", "namespace": "acme-dev",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": pod,
    }))
    .unwrap()
}

/// What the controls refuse of a pod as it is: those that are one of Kubernetes' standards.
fn standards(pod: &Value, rules: &TenantRules) -> BTreeSet<&'static str> {
    let findings = judge(&create(pod), rules, Facts::NONE).unwrap();
    let names = findings.iter().map(|finding| finding.control);
    names
        .filter(|name| by_name(name).is_some_and(|control| control.profiles.is_standard()))
        .collect()
}

fn admits(policies: &Policies, pod: &Value) -> bool {
    let object = Json::from(pod);
    let read = Pod::read(&object).unwrap().as_stored();
    matches!(
        policies.validate(&read, &|_| Some(true)),
        Verdict::Admitted(_)
    )
}

fn read(written: &Value) -> PodSecurityPolicy {
    parse(written).unwrap()
}

/// The pod with what the policy sets.
fn mutated(policies: &Policies, mut pod: Value) -> Value {
    let object = Json::from(&pod);
    let verdict = policies.admit(&Pod::read(&object).unwrap(), &|_| Some(true));
    if let Verdict::Admitted(admitted) = verdict {
        apply(&mut pod, &admitted.changes);
        apply(&mut pod, &admitted.fields);
    }
    // Nobody reads these any more.
    if let Some(notes) = pod["metadata"]["annotations"].as_object_mut() {
        notes.retain(|key, _| !key.contains("seccomp.security.alpha"));
    }
    pod
}

#[test]
fn a_translations_level_refuses_only_what_it_says() {
    let mut rng = Rng::with_seed(1);
    let mut levels: BTreeMap<Level, usize> = BTreeMap::new();
    let (mut admitted, mut refused_above) = (0, BTreeSet::new());
    let mut met = BTreeSet::new();
    for index in 0..300 {
        let policy = if index % 4 != 0 {
            harsh(&mut rng)
        } else {
            policy(&mut rng, "p")
        };
        let translation = translate(&read(&policy)).unwrap();
        *levels.entry(translation.level).or_default() += 1;
        let carried = Policies::new([&translation.carried]);
        let by_level = rules(&json!({"profile": translation.level.profile()}));
        let by_tenant = rules(&translation.pod_security);
        let above = match translation.level {
            Level::Privileged => "Baseline",
            Level::Baseline | Level::Restricted => "Restricted",
        };
        let above = rules(&json!({"profile": above}));
        let names = |list: &[Beyond]| list.iter().map(|it| it.control).collect::<BTreeSet<_>>();
        let said = names(&translation.beyond);
        let said_of_tenant = names(&translation.tenant_beyond);
        let pods = if translation.level == Level::Privileged {
            8
        } else {
            60
        };
        for _ in 0..pods {
            let wild = rng.choice([5, 10, 20]).unwrap();
            let pod = mutated(&carried, pod(&mut rng, wild));
            if !admits(&carried, &pod) {
                continue;
            }
            admitted += 1;
            for (rules, said) in [(&by_level, &said), (&by_tenant, &said_of_tenant)] {
                let refused = standards(&pod, rules);
                met.extend(refused.iter().copied());
                let unsaid: Vec<_> = refused.difference(said).collect();
                assert!(
                    unsaid.is_empty(),
                    "{unsaid:?}: {pod}\n{policy}\n{translation:?}"
                );
            }
            if !standards(&pod, &above).is_subset(&said) {
                refused_above.insert(index);
            }
        }
    }
    println!(
        "translated: {admitted} pods admitted, {levels:?}, {} narrower",
        refused_above.len()
    );
    let met: Vec<&str> = met.into_iter().collect();
    assert_eq!(
        met,
        [
            "apparmor-unconfined",
            "probe-host",
            "runs-as-root",
            "selinux-label-chosen"
        ]
    );
    let seen = |level| levels.get(&level).copied().unwrap_or_default() > 20;
    assert!(
        seen(Level::Privileged) && seen(Level::Baseline) && seen(Level::Restricted),
        "{levels:?}"
    );
    // A level that is lower than it had to be would be refused nothing above.
    assert!(refused_above.len() > 20, "{refused_above:?}");
}

/// A policy near `restricted`.
fn harsh(rng: &mut Rng) -> Value {
    let mut policy = policy(rng, "p");
    let spec = policy["spec"].as_object_mut().unwrap();
    for (key, value) in [
        ("hostNetwork", json!(false)),
        ("hostPID", json!(false)),
        ("hostIPC", json!(false)),
        ("privileged", json!(false)),
        ("allowPrivilegeEscalation", json!(false)),
        (
            "volumes",
            json!(["emptyDir", "configMap", "secret", "projected"]),
        ),
        ("runAsUser", json!({"rule": "MustRunAsNonRoot"})),
        ("hostPorts", json!([])),
        ("allowedUnsafeSysctls", json!([])),
        ("allowedProcMountTypes", json!([])),
        ("seLinux", json!({"rule": "RunAsAny"})),
    ] {
        // One of them may be what keeps it from the level.
        if rng.u8(0..100) < 93 {
            spec.insert(key.to_owned(), value);
        }
    }
    let added = rng.choice(["NET_BIND_SERVICE", "NET_BIND_SERVICE", "CHOWN"]);
    spec.insert("requiredDropCapabilities".into(), json!(["ALL"]));
    spec.insert("allowedCapabilities".into(), json!([added]));
    for key in [
        "defaultAddCapabilities",
        "defaultAllowPrivilegeEscalation",
        "allowedUnsafeSysctls",
    ] {
        spec.remove(key);
    }
    let notes = policy["metadata"]["annotations"].as_object_mut().unwrap();
    let key = "seccomp.security.alpha.kubernetes.io/allowedProfileNames";
    notes.insert(key.to_owned(), json!("runtime/default,localhost/a.json"));
    policy
}

/// The guide's appendix.
fn appendix() -> PodSecurityPolicy {
    read(&json!({
        "metadata": {"name": "tenant", "annotations": {
            "seccomp.security.alpha.kubernetes.io/allowedProfileNames": "docker/default,runtime/default",
            "seccomp.security.alpha.kubernetes.io/defaultProfileName": "runtime/default",
        }},
        "spec": {
            "privileged": false, "allowPrivilegeEscalation": false,
            "requiredDropCapabilities": ["ALL"],
            "volumes": ["configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim"],
            "hostNetwork": false, "hostIPC": false, "hostPID": false,
            "runAsUser": {"rule": "MustRunAsNonRoot"}, "seLinux": {"rule": "RunAsAny"},
            "supplementalGroups": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]},
            "fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]},
        },
    }))
}

/// What `Strict` refuses and the appendix's policy admits, by control; each stands in `docs/psp.md`
/// with its reason.
const STRICT_SAYS_MORE: [&str; 8] = [
    "apparmor-unconfined",
    "capabilities-kept",
    "missing-fs-group",
    "missing-runtime-class",
    "probe-host",
    "runs-as-root",
    "selinux-label-chosen",
    "token-audience-chosen",
];
/// What the appendix's policy refuses and `Strict` admits.
const APPENDIX_SAYS_MORE: [&str; 1] =
    ["supplementalGroups: Invalid value: []int64{}: unable to validate empty groups"];

#[test]
fn strict_and_the_appendix_differ_only_where_the_document_says() {
    let appendix = Policies::new([&appendix()]);
    let strict = Settings::of_profile(bulkhead_model::Profile::Strict).unwrap();
    let mut rng = Rng::with_seed(2);
    let mut ours: BTreeSet<&str> = BTreeSet::new();
    let mut theirs: BTreeSet<&str> = BTreeSet::new();
    let (mut both, mut neither) = (0, 0);
    for _ in 0..8_000 {
        let wild = rng.choice([0, 1, 2, 4, 8, 16]).unwrap();
        let pod = pod(&mut rng, wild);
        let mut request = create(&pod);
        let (_, findings) = mend_and_judge(&mut request, &strict.tenant, Facts::NONE).unwrap();
        let controls: BTreeSet<&str> = findings.iter().map(|finding| finding.control).collect();
        let object = Json::from(&pod);
        let verdict = appendix.admit(&Pod::read(&object).unwrap(), &|_| Some(true));
        match (controls.is_empty(), verdict) {
            (true, Verdict::Admitted(_)) => both += 1,
            (false, Verdict::Denied(_)) => neither += 1,
            (false, _) => ours.extend(controls),
            (true, Verdict::Denied(Denied::Refused { by, .. })) => {
                for error in by.iter().flat_map(|(_, errors)| errors) {
                    let words = error.to_string();
                    let known = APPENDIX_SAYS_MORE
                        .iter()
                        .find(|known| words.contains(**known));
                    theirs.insert(known.unwrap_or_else(|| panic!("{words}: {pod}")));
                }
            }
            (true, other) => panic!("{other:?}"),
        }
    }
    assert!(both > 500 && neither > 500, "{both} {neither}");
    assert_eq!(ours, BTreeSet::from(STRICT_SAYS_MORE));
    assert_eq!(theirs, BTreeSet::from(APPENDIX_SAYS_MORE));
    let document = include_str!("../../../../docs/psp.md");
    for control in STRICT_SAYS_MORE {
        assert!(document.contains(&format!("| `{control}` |")), "{control}");
    }
    assert!(document.contains("| `supplementalGroups: []` |"));
}
