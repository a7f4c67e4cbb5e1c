//! A claim is as far from the node as the volume behind it, and that may be the node's own files.
//!
//! Who binds a claim changes it, so that admission sees the moment in which it gets its volume. Pods
//! are asked as well: a claim may be older than the tenant, and a volume may have been made anew under
//! its name.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{FieldPath, Json, Operation};

use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::facts::{Fact, ObjectKey, Wanted};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "host-path-claim",
    guide: Section::HostFilesystem,
    severity: Severity::Critical,
    profiles: Profiles::Confined,
    why: "a claim may be bound to a piece of the node's own file system, as if the pod mounted it by a `hostPath`",
    remedy: "name a storage class whose volumes are not on the node, and make the claim anew",
    page: include_str!("host_path_claim.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    if let Some(name) = binding(object, context) {
        let why = name
            .as_str()
            .map_or_else(|| Some(is(name)), |name| on_node(name, context));
        if let Some(why) = why {
            findings.add(FieldPath::of("spec.volumeName"), why);
        }
    }
    for pod in object.pods() {
        for (path, name) in claims(&pod, context) {
            let why = match name.as_str() {
                Some(name) => behind(name, context),
                None => Some(is(name)),
            };
            if let Some(why) = why {
                findings.add(path, why);
            }
        }
    }
}

/// The claims that the object's pods mount, and the volumes behind them.
pub(crate) fn wanted(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
    if let Some(name) = binding(object, context).and_then(Json::as_str) {
        wanted.add(ObjectKey::volume(name));
    }
    for pod in object.pods() {
        for name in claims(&pod, context)
            .into_iter()
            .filter_map(|(_, it)| it.as_str())
        {
            let key = ObjectKey::claim(context.namespace, name);
            if let Fact::Known(Some(found)) = context.facts.object(&key)
                && let Some(name) = bound_to(found)
            {
                wanted.add(ObjectKey::volume(name));
            }
            wanted.add(key);
        }
    }
}

/// The volume that a claim is being bound to: what it is bound to already it keeps.
fn binding<'a>(object: &Object<'a>, context: &Context<'_>) -> Option<&'a Json<'a>> {
    if !object.is("", "persistentvolumeclaims") {
        return None;
    }
    let name = object.spec().get("volumeName")?;
    let before = Fields::of(context.old).at("spec").get("volumeName");
    let kept = context.operation == Operation::Update && before == Some(name);
    (name.as_str() != Some("") && !kept).then_some(name)
}

/// The claims that a pod mounts. Of a Pod that is changed they stay what they are.
fn claims<'a>(pod: &Pod<'a>, context: &Context<'_>) -> Vec<(FieldPath, &'a Json<'a>)> {
    if context.old_pod_spec().is_some() {
        return Vec::new();
    }
    let named = pod.volumes().filter_map(|volume| {
        let name = volume
            .fields()
            .at("persistentVolumeClaim")
            .get("claimName")?;
        Some((volume.path("persistentVolumeClaim.claimName"), name))
    });
    named.collect()
}

/// Why the claim of this name will not do; nothing if it will, or if that is for others to say.
fn behind(name: &str, context: &Context<'_>) -> Option<String> {
    match context
        .facts
        .object(&ObjectKey::claim(context.namespace, name))
    {
        Fact::Known(Some(found)) => bound_to(found).and_then(|volume| on_node(volume, context)),
        // The pod waits for its claim, and that for a volume, which is judged when it comes.
        Fact::Known(None) | Fact::Later => None,
        Fact::Unknown => Some(format!(
            "is {}, which cannot be looked up now",
            shown(&Json::String(name.into()))
        )),
    }
}

fn bound_to<'a>(claim: &'a Json<'_>) -> Option<&'a str> {
    let name = Fields::of(Some(claim)).at("spec").str("volumeName")?;
    (!name.is_empty()).then_some(name)
}

/// Why the volume of this name will not do; nothing if it will, or if that is for others to say.
fn on_node(name: &str, context: &Context<'_>) -> Option<String> {
    let quoted = shown(&Json::String(name.into()));
    let found = match context.facts.object(&ObjectKey::volume(name)) {
        Fact::Known(Some(found)) => Fields::of(Some(found)).at("spec"),
        // Whatever will stand under this name nobody has judged.
        Fact::Known(None) => {
            return Some(format!("leads to the volume {quoted}, which is not there"));
        }
        Fact::Unknown => {
            return Some(format!(
                "leads to the volume {quoted}, which cannot be looked up now"
            ));
        }
        Fact::Later => return None,
    };
    let classes = &context.rules.exposure.storage_classes;
    let listed = |class: &str| !classes.is_empty() && classes.permits(class);
    let (kind, source) = match (found.get("hostPath"), found.get("local")) {
        (Some(_), _) => ("hostPath", found.at("hostPath")),
        (None, Some(_)) if found.str("storageClassName").is_some_and(listed) => return None,
        (None, Some(_)) => ("local", found.at("local")),
        (None, None) => return None,
    };
    let path = source.get("path").map(shown).unwrap_or_default();
    Some(format!(
        "leads to the volume {quoted}, which is `{kind}` {path} of a node"
    ))
}
