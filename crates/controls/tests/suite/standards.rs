//! `Restricted` and `Baseline` are Kubernetes' Pod Security Standards, version by version. The judge
//! is Kubernetes' own library, which `oracles/` wraps: it is asked about every fixture of upstream's
//! and about pods that a generator makes.

use std::collections::BTreeSet;

use bulkhead_controls::{Facts, REGISTRY, judge};
use bulkhead_model::{Profile, StandardsVersion, TenantRules};
use bulkhead_oracle::Oracle;
use serde_json::{Value, json};

use crate::admission::{create, strict};
use crate::corpora::{corpus, files, parts};
use crate::some_pods::Pods;

/// The newest version that the library knows.
const NEWEST: u16 = 37;
/// How many pods the generator makes.
const GENERATED: usize = 100_000;
/// How many of them one process is asked about.
const PER_PROCESS: usize = 10_000;

/// What the library says when a check fails, and our controls that say the same. One reason of
/// theirs may be several controls of ours, and the other way round.
const REASONS: [(&str, &[&str]); 18] = [
    (
        "allowPrivilegeEscalation != false",
        &["privilege-escalation"],
    ),
    ("forbidden AppArmor profile", &["apparmor-unconfined"]),
    ("forbidden AppArmor profiles", &["apparmor-unconfined"]),
    ("forbidden sysctls", &["unsafe-sysctl"]),
    ("host namespaces", HOST),
    ("hostPath volumes", VOLUMES),
    ("hostPort", &["host-port"]),
    ("hostProcess", &["host-process"]),
    ("non-default capabilities", CAPABILITIES),
    ("probe or lifecycle host", &["probe-host"]),
    ("privileged", &["privileged-container"]),
    ("procMount", &["unmasked-proc"]),
    ("restricted volume types", VOLUMES),
    ("runAsNonRoot != true", &["runs-as-root"]),
    ("runAsUser=0", &["runs-as-root"]),
    ("seLinuxOptions", &["selinux-label-chosen"]),
    ("seccompProfile", &["seccomp-unconfined"]),
    ("unrestricted capabilities", CAPABILITIES),
];
const HOST: &[&str] = &["host-ipc", "host-network", "host-pid"];
const VOLUMES: &[&str] = &["host-path-volume", "unsafe-volume-type"];
const CAPABILITIES: &[&str] = &["capabilities-kept", "forbidden-capability"];

/// A level and version to hold a pod to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy(pub Profile, pub u16);

impl Policy {
    fn name(self) -> String {
        format!("{}:v1.{}", self.0.to_string().to_lowercase(), self.1)
    }

    fn tenant(self) -> TenantRules {
        TenantRules {
            profile: self.0,
            standards: StandardsVersion::minor(self.1),
            ..strict()
        }
    }

    /// The groups of our standard controls that refuse the pod.
    fn ours(self, pod: &Value) -> BTreeSet<&'static str> {
        let found = judge(&create(pod.clone()), &self.tenant(), Facts::NONE).unwrap();
        let standard = |name: &str| {
            let control = REGISTRY.iter().find(|control| control.name == name);
            control.is_some_and(|control| control.profiles.is_standard())
        };
        let names = found.into_iter().map(|finding| finding.control);
        names.filter(|name| standard(name)).map(group).collect()
    }
}

/// The first control of those that one reason of the library's stands for.
fn group(control: &'static str) -> &'static str {
    [HOST, VOLUMES, CAPABILITIES]
        .iter()
        .find(|group| group.contains(&control))
        .map_or(control, |group| group[0])
}

fn theirs(reasons: &[String]) -> BTreeSet<&'static str> {
    let controls = |reason: &String| {
        let known = REASONS.iter().find(|(theirs, _)| theirs == reason);
        known
            .unwrap_or_else(|| panic!("a reason that is new: {reason}"))
            .1[0]
    };
    reasons.iter().map(controls).map(group).collect()
}

/// Pod Security Admission's own library.
static ORACLE: Oracle = Oracle::new("oracles", "./cmd/pod-security", env!("CARGO_TARGET_TMPDIR"));

/// The library's verdicts: for each pod and each policy the reasons to refuse it.
fn ask(cases: &[(Value, Vec<Policy>)]) -> Vec<Vec<Vec<String>>> {
    let question = |(pod, policies): &(Value, Vec<Policy>)| {
        let policies: Vec<String> = policies.iter().map(|policy| policy.name()).collect();
        json!({"policies": policies, "pod": as_stored(pod)})
    };
    let questions: Vec<Value> = cases.iter().map(question).collect();
    let answers = ORACLE.ask(&questions).into_iter();
    answers
        .map(|answer| serde_json::from_value(answer).unwrap())
        .collect()
}

/// The pod as the API server stores it, which is what Pod Security Admission sees: a volume
/// without a source is an `emptyDir`.
fn as_stored(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        if volume
            .as_object()
            .is_some_and(|fields| fields.keys().all(|key| key == "name"))
        {
            volume["emptyDir"] = json!({});
        }
    }
    pod
}

/// Asks both about every case, and returns how many verdicts of each kind agreed.
fn compare(cases: &[(Value, Vec<Policy>)]) -> (usize, usize) {
    let (mut allowed, mut refused) = (0, 0);
    for ((pod, policies), verdicts) in cases.iter().zip(ask(cases)) {
        for (policy, reasons) in policies.iter().zip(verdicts) {
            let ours = policy.ours(pod);
            assert_eq!(ours, theirs(&reasons), "{policy:?} of {pod}");
            *(if ours.is_empty() {
                &mut allowed
            } else {
                &mut refused
            }) += 1;
        }
    }
    (allowed, refused)
}

#[test]
fn every_fixture_of_upstreams_gets_upstreams_verdict() {
    let Some(corpus) = corpus("pod-security-standards") else {
        return;
    };
    let mut seen = 0;
    for (file, pod) in files(&corpus) {
        let [level, version, verdict, _] = parts(&file);
        let profile = match level {
            "baseline" => Profile::Baseline,
            _ => Profile::Restricted,
        };
        let minor = version.strip_prefix("v1.").unwrap().parse().unwrap();
        let refused = !Policy(profile, minor).ours(&pod).is_empty();
        assert_eq!(refused, verdict == "fail", "{file}");
        seen += 1;
    }
    assert!(seen > 2000, "only {seen}");
}

#[test]
fn each_version_judges_upstreams_fixtures_as_the_library_does() {
    let Some(corpus) = corpus("pod-security-standards") else {
        return;
    };
    let versions = 0..=NEWEST + 1;
    let policies: Vec<Policy> = versions
        .flat_map(|minor| {
            [
                Policy(Profile::Baseline, minor),
                Policy(Profile::Restricted, minor),
            ]
        })
        .collect();
    // Many fixtures are the same in each version's folder.
    let pods: BTreeSet<String> = files(&corpus)
        .iter()
        .map(|(_, pod)| pod.to_string())
        .collect();
    let cases: Vec<_> = pods
        .iter()
        .map(|pod| (serde_json::from_str(pod).unwrap(), policies.clone()))
        .collect();
    let (allowed, refused) = compare(&cases);
    assert!(allowed > 1000 && refused > 1000, "{allowed} {refused}");
}

#[test]
fn generated_pods_get_the_librarys_verdict() {
    let chunks: Vec<u64> = (0..(GENERATED / PER_PROCESS) as u64).collect();
    let judged = std::thread::scope(|scope| {
        let halves = chunks.chunks(chunks.len().div_ceil(2));
        let threads: Vec<_> = halves
            .map(|seeds| scope.spawn(|| seeds.iter().map(|seed| generated(*seed)).collect()))
            .collect();
        let all = threads.into_iter().map(|thread| thread.join().unwrap());
        all.collect::<Vec<Vec<_>>>().concat()
    });
    let allowed: usize = judged.iter().map(|(allowed, _)| allowed).sum();
    let refused: usize = judged.iter().map(|(_, refused)| refused).sum();
    assert_eq!(allowed + refused, GENERATED);
    assert!(
        allowed > GENERATED / 20 && refused > GENERATED / 20,
        "one-sided: {allowed} allowed, {refused} refused"
    );
}

/// Makes pods and asks about them: how many both allow, and how many both refuse.
fn generated(seed: u64) -> (usize, usize) {
    let mut pods = Pods::new(seed);
    let pinned = (0..=NEWEST).find(|minor| StandardsVersion::minor(*minor).is_pinned());
    let pinned = pinned.unwrap();
    let cases: Vec<_> = (0..PER_PROCESS)
        .map(|_| {
            let pod = pods.next_pod();
            let profile = *pods.one(&[Profile::Baseline, Profile::Restricted]);
            // Every other pod is held to the version that tenants are held to.
            let any = u16::try_from(pods.below(usize::from(NEWEST) + 2)).unwrap();
            let minor = *pods.one(&[any, pinned]);
            (pod, vec![Policy(profile, minor)])
        })
        .collect();
    compare(&cases)
}

/// What `Strict` admits, `Restricted` admits at the version that namespaces are labelled with: the
/// second line never contradicts the first.
#[test]
fn strict_implies_restricted_at_the_pinned_version() {
    let mut pods = Pods::new(0x57_1c_70);
    let restricted = TenantRules {
        profile: Profile::Restricted,
        ..strict()
    };
    let mut passed = 0;
    for _ in 0..20_000 {
        let pod = pods.next_pod();
        let Ok(found) = crate::admission::admit(create(pod.clone()), &strict()) else {
            continue;
        };
        if found.is_empty() {
            let mended = crate::admission::mended_by(&create(pod.clone()), &strict(), Facts::NONE);
            let pod = mended.unwrap_or(pod);
            let found = judge(&create(pod.clone()), &restricted, Facts::NONE).unwrap();
            assert_eq!(found, [], "{pod}");
            passed += 1;
        }
    }
    assert!(passed > 200, "only {passed} passed");
}
