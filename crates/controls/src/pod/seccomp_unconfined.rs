//! Without a profile a container may make every system call, and each is a way into the kernel
//! that all tenants of the node share.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, Profile};
use serde_json::json;

use super::{NOT_LINUX, OS, System, system};
use crate::context::{Context, Findings, is, shown};
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
    cel: Some(
        r#"variables.linux && variables.contexts.all(s, s.?seccompProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault'
        || (s.seccompProfile.type == 'Localhost'
        && s.seccompProfile.?localhostProfile.orValue('').matches('^[-A-Za-z0-9._/]+$')
        && variables.rules.find('"allowedSeccompProfiles":[^\\]]*')
        .contains('"' + s.seccompProfile.localhostProfile + '"')))
        && (has(variables.context.seccompProfile)
        || variables.containers.all(c, c.?securityContext.?seccompProfile.hasValue()))"#,
    ),
    mend: Mend::Fill(fill),
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    if !context.is_strict() && !context.since(19) {
        return old_annotations(pod, findings);
    }
    match system(pod, context) {
        System::Foreign => return findings.add(pod.path(OS), NOT_LINUX),
        System::Excused if must_be_set(context) => return,
        System::Linux | System::Excused => {}
    }
    chosen(
        pod.security_context(),
        context,
        || pod.path("spec.securityContext"),
        findings,
    );
    for container in pod.containers() {
        let own = container.security_context();
        chosen(own, context, || container.path("securityContext"), findings);
        if must_be_set(context) && container.effective(FIELD).is_none() {
            let why = contradiction(pod).map_or_else(
                || "is unset, which means unconfined".to_owned(),
                |(key, value)| format!("is unset, and the annotation `{key}` is {}", shown(value)),
            );
            findings.add(container.path("securityContext").then(FIELD), why);
        }
    }
}

/// At `Baseline` a pod may leave it open.
fn must_be_set(context: &Context<'_>) -> bool {
    context.rules.profile != Profile::Baseline
}

/// A profile that somebody chose. The pod's counts even where each container overrides it: an
/// ephemeral container of tomorrow would inherit it.
fn chosen(
    own: Fields<'_>,
    context: &Context<'_>,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    let Some(profile) = own.get(FIELD) else {
        return;
    };
    let profile = Fields::of(Some(profile));
    let path = || path().then(FIELD);
    match profile.str("type") {
        Some("RuntimeDefault") => {}
        Some("Localhost") if !context.is_strict() => {}
        Some("Localhost") if !context.rules.allowed_seccomp_profiles.is_empty() => {
            let name = profile.get("localhostProfile");
            let listed = name
                .and_then(Json::as_str)
                .is_some_and(|name| context.rules.allowed_seccomp_profiles.contains(name));
            if !listed {
                let detail = name.map_or_else(|| "is unset".to_owned(), is);
                findings.add(path().then("localhostProfile"), detail);
            }
        }
        _ => {
            let kind = profile.get("type");
            findings.add(
                path().then("type"),
                kind.map_or_else(|| "is unset".to_owned(), is),
            );
        }
    }
}

/// Before Kubernetes 1.19 there was no field.
fn old_annotations(pod: &Pod<'_>, findings: &mut Findings) {
    let annotations = pod.metadata().at("annotations");
    let of_containers = pod.containers().map(|container| {
        let name = container.fields().str("name").unwrap_or_default();
        format!("{CONTAINER_ANNOTATION}{name}")
    });
    for key in std::iter::once(POD_ANNOTATION.to_owned()).chain(of_containers) {
        let Some(value) = annotations.get(&key) else {
            continue;
        };
        let confined = value.as_str().is_some_and(|value| {
            matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
        });
        if !confined {
            findings.add(pod.path("metadata.annotations").key(key), is(value));
        }
    }
}

fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    let wanted = must_be_set(context) && (context.is_strict() || context.since(19));
    if wanted && contradiction(pod).is_none() {
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
