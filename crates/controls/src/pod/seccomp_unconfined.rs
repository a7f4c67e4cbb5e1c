//! Without a profile a container may make every system call, and each is a way into the kernel
//! that all tenants of the node share.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};
use serde_json::json;

use super::{NOT_LINUX, OS, runs_on_linux};
use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::fills::Fills;
use crate::profiles::Profiles;

const FIELD: &str = "seccompProfile";
/// Dead since Kubernetes 1.27, but the API server still demands that it agrees with the field.
const POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

pub(crate) const CONTROL: Control = Control {
    name: "seccomp-unconfined",
    guide: Section::Seccomp,
    severity: Severity::Medium,
    profiles: Profiles::Baseline(0),
    why: "without the runtime's profile every system call of the shared kernel is open",
    remedy: "set `seccompProfile: {type: RuntimeDefault}`, and remove the old seccomp annotations",
    page: include_str!("seccomp_unconfined.md"),
    rule: Rule::Pod(check),
    cel: None,
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    if !runs_on_linux(pod) {
        return findings.add(pod.path(OS), NOT_LINUX);
    }
    chosen(
        pod.security_context(),
        || pod.path("spec.securityContext"),
        findings,
    );
    for container in pod.containers() {
        let own = container.security_context();
        chosen(own, || container.path("securityContext"), findings);
        if container.effective(FIELD).is_none() {
            let why = contradiction(pod).map_or_else(
                || "is unset, which means unconfined".to_owned(),
                |(key, value)| format!("is unset, and the annotation `{key}` is {}", shown(value)),
            );
            findings.add(container.path("securityContext").then(FIELD), why);
        }
    }
}

/// A profile that somebody chose. The pod's counts even where each container overrides it: an
/// ephemeral container of tomorrow would inherit it.
fn chosen(context: Fields<'_>, path: impl Fn() -> FieldPath, findings: &mut Findings) {
    let Some(profile) = context.get(FIELD) else {
        return;
    };
    let kind = Fields::of(Some(profile)).get("type");
    if kind.and_then(Json::as_str) != Some("RuntimeDefault") {
        let detail = kind.map_or_else(
            || "is unset".to_owned(),
            |kind| format!("is {}", shown(kind)),
        );
        findings.add(path().then(FIELD).then("type"), detail);
    }
}

fn fill(pod: &Pod<'_>, _: &Context<'_>, fills: &mut Fills<'_>) {
    if contradiction(pod).is_none() {
        fills.set_for_all(pod, FIELD, json!({"type": "RuntimeDefault"}));
    }
}

/// An old annotation that chooses another profile: the API server would refuse a mended pod in
/// words that do not say who mended it.
fn contradiction<'a>(pod: &Pod<'a>) -> Option<(&'a str, &'a Json<'a>)> {
    pod.metadata()
        .at("annotations")
        .iter()
        .find(|(key, value)| {
            let about_seccomp = *key == POD_ANNOTATION || key.starts_with(CONTAINER_ANNOTATION);
            about_seccomp && !matches!(value.as_str(), Some("runtime/default" | "docker/default"))
        })
}
