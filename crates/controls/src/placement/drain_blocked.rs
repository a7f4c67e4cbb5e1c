//! A node that cannot be emptied cannot be repaired, replaced, or given to a tenant.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, Json};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "drain-blocked",
    guide: Section::Since,
    severity: Severity::Medium,
    profiles: Profiles::Every,
    why: "a pod that nobody may move keeps its node from being patched, replaced, or made another tenant's",
    remedy: "let one pod at a time be moved (`maxUnavailable: 1`), within an hour, and remove the annotation",
    page: include_str!("drain_blocked.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// Annotations that keep autoscalers from moving a pod, and the value at which they do not.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("karpenter.sh/do-not-disrupt", "false"),
    ("karpenter.sh/do-not-evict", "false"),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"),
];

/// How long a pod may take to end, in seconds. An eviction, and the taint that follows it, wait
/// as long as the pod asks.
const LONGEST_GRACE: i64 = 3600;

/// Finalizers of the control plane's, which it takes away itself.
const FINALIZERS: [&str; 3] = [
    "batch.kubernetes.io/job-tracking",
    "foregroundDeletion",
    "orphan",
];

/// A share is rounded up to whole pods: with more than this, none of ten may go.
const LARGEST_SHARE: i64 = 90;

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    if object.is("policy", "poddisruptionbudgets") {
        return check_budget(object.spec(), findings);
    }
    object
        .pods()
        .for_each(|pod| check_pod(&pod, context, findings));
}

fn check_budget(spec: Fields<'_>, findings: &mut Findings) {
    let path = |field| FieldPath::of("spec").then(field);
    if let Some(value) = spec.get("maxUnavailable")
        && amount(value).is_none_or(|amount| amount == 0)
    {
        findings.add(path("maxUnavailable"), is(value));
    }
    // A number of pods may be all or a few; only a share tells.
    if let Some(value) = spec.get("minAvailable")
        && value.as_i64().is_none()
        && amount(value).is_none_or(|share| share > LARGEST_SHARE)
    {
        findings.add(path("minAvailable"), is(value));
    }
}

/// A number, or the number of a percentage; none for what is neither.
fn amount(value: &Json<'_>) -> Option<i64> {
    match value.as_str() {
        None => value.as_i64(),
        Some(text) => text.strip_suffix('%')?.parse().ok(),
    }
}

fn check_pod(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    let annotations = pod.metadata().at("annotations");
    for (key, harmless) in ANNOTATIONS {
        if let Some(value) = annotations.get(key)
            && value.as_str() != Some(harmless)
        {
            findings.add(pod.path("metadata.annotations").key(key), is(value));
        }
    }
    // An eviction waits for whoever has to take a finalizer away.
    let before = Fields::of(context.old).at("metadata").list("finalizers");
    for (index, value) in pod.metadata().list("finalizers").iter().enumerate() {
        let known = value
            .as_str()
            .is_some_and(|name| FINALIZERS.contains(&name));
        let kept = context.old_pod_spec().is_some() && before.contains(value);
        if !known && !kept {
            findings.add(pod.path("metadata.finalizers").index(index), is(value));
        }
    }
    const GRACE: &str = "terminationGracePeriodSeconds";
    let kept = |value| {
        context
            .old_pod_spec()
            .is_some_and(|old| old.get(GRACE) == Some(value))
    };
    if let Some(value) = pod.spec().get(GRACE)
        && value.as_i64().is_none_or(|seconds| seconds > LONGEST_GRACE)
        && !kept(value)
    {
        let detail = format!("{}, more than {LONGEST_GRACE}", is(value));
        findings.add(pod.path("spec").then(GRACE), detail);
    }
}
