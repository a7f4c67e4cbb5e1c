//! AppArmor confines a container by itself where the node has it. A pod may ask for less.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

/// What follows is a container's name. The API server makes the container's own field of it,
/// which beats the pod's.
const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(crate) const CONTROL: Control = Control {
    name: "apparmor-unconfined",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Baseline(0),
    why: "without the runtime's AppArmor profile a container mounts file systems and writes to `/proc` and `/sys`",
    remedy: "remove the profile and the old annotations, or set `appArmorProfile: {type: RuntimeDefault}`",
    page: include_str!("apparmor_unconfined.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.contexts.all(s,
        s.?appArmorProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault')
        && variables.annotations.all(k, !k.startsWith('container.apparmor.security.beta.kubernetes.io/')
        || variables.annotations[k] == 'runtime/default')"#,
    ),
    mend: Mend::ByHand,
};

fn check(pod: &Pod<'_>, context: &Context<'_>, findings: &mut Findings) {
    chosen(
        pod.security_context(),
        context,
        || pod.path("spec.securityContext"),
        findings,
    );
    for container in pod.containers() {
        let path = || container.path("securityContext");
        chosen(container.security_context(), context, path, findings);
    }
    for (key, value) in pod.metadata().at("annotations").iter() {
        if key.starts_with(ANNOTATION) && !is_confined(value, context) {
            findings.add(pod.path("metadata.annotations").key(key), is(value));
        }
    }
}

fn chosen(
    own: Fields<'_>,
    context: &Context<'_>,
    path: impl Fn() -> FieldPath,
    findings: &mut Findings,
) {
    let Some(profile) = own.get("appArmorProfile") else {
        return;
    };
    let kind = Fields::of(Some(profile)).get("type");
    match kind.and_then(Json::as_str) {
        Some("RuntimeDefault") => {}
        // A file on the node says nothing about what is in it.
        Some("Localhost") if !context.is_strict() => {}
        _ => {
            let detail = kind.map_or_else(|| "is unset".to_owned(), is);
            findings.add(path().then("appArmorProfile.type"), detail);
        }
    }
}

fn is_confined(value: &Json<'_>, context: &Context<'_>) -> bool {
    let standard = |value: &str| value.is_empty() || value.starts_with("localhost/");
    value.as_str().is_some_and(|value| {
        value == "runtime/default" || (!context.is_strict() && standard(value))
    })
}
