//! The controls' answer, given before the request travels: the same functions that the webhook
//! calls. What only the API server can know (the old object, defaults, the result of a patch) is
//! left to the webhook.

use bulkhead_cluster::NamespaceRecord;
use bulkhead_controls::{Carriers, Facts, denial};
use bulkhead_model::admission::{AdmissionRequest, UserInfo};
use bulkhead_model::{Gvk, Gvr, Operation};
use bulkhead_scope::{Body, Denial, Path, ScopedRequest, Verb};
use serde_json::Value;

/// Judges a whole object that is created or replaced.
///
/// # Errors
/// 403 if a control refuses it or its namespace's rules are unknown, 400 if its shape is none
/// that could be judged.
pub(crate) fn early(
    request: &ScopedRequest,
    namespace: Option<&NamespaceRecord>,
    carriers: &Carriers,
) -> Result<(), Denial> {
    let Some((mut admission, about)) = admission(request, carriers) else {
        return Ok(());
    };
    let rules = namespace
        .ok_or_else(|| "the namespace is not known".to_owned())
        .and_then(|record| record.rules.clone())
        .map_err(|why| {
            tracing::warn!(namespace = ?admission.namespace, %why, "no rules to judge by");
            Denial::forbidden("the namespace is not ready: what its tenant is held to is not known yet; try again in a moment")
        })?;
    match carriers.mend_and_judge(&mut admission, &rules, Facts::NONE) {
        Ok((_, findings)) if findings.is_empty() => Ok(()),
        Ok((_, findings)) => {
            let (resource, name) = (&about.resource, &admission.name);
            let message = format!(
                "{about} \"{name}\" is forbidden: the gateway: {}",
                denial(&findings)
            );
            let refused =
                Denial::forbidden(message).about(&about.group, resource, Some(name.as_str()));
            Err(findings
                .first()
                .map(|f| refused.clone().by(f.control))
                .unwrap_or(refused))
        }
        // Another kind than the path's: the API server says so better than we could.
        Err(bulkhead_controls::Unjudged::UnknownKind { .. }) => Ok(()),
        Err(error) => Err(Denial::bad_request(format!(
            "the object cannot be judged: {error}"
        ))),
    }
}

/// The request as the webhook would see it; none if the controls do not look at it, or cannot
/// without the object as it was.
fn admission<'r>(
    request: &'r ScopedRequest,
    carriers: &Carriers,
) -> Option<(AdmissionRequest<'r>, Gvr)> {
    let Path::Resource(resource) = request.request().path() else {
        return None;
    };
    let operation = match request.request().verb() {
        Verb::Create => Operation::Create,
        Verb::Update => Operation::Update,
        _ => return None,
    };
    let about = Gvr {
        group: resource.group.clone(),
        version: resource.version.clone(),
        resource: resource.resource.clone(),
    };
    // A claim that is bound names its volume, a pod that runs its node, and only the old object
    // tells who wrote that.
    let needs_old = operation == Operation::Update
        && ["persistentvolumeclaims", "pods"].contains(&about.resource.as_str());
    if resource.subresource.is_some() || needs_old || !carriers.covers(&about, None) {
        return None;
    }
    let Body::Object(object) = request.body() else {
        return None;
    };
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
    };
    let by_path = carriers
        .iter()
        .find(|carrier| carrier.group == about.group && carrier.resource == about.resource);
    let (group, version) = match text("/apiVersion") {
        Some(api) => match api.split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), api),
        },
        None => (about.group.clone(), about.version.clone()),
    };
    let kind =
        text("/kind").or_else(|| by_path.map(|carrier| carrier.kind.clone().into_owned()))?;
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
    let admission = AdmissionRequest {
        uid: String::new(),
        kind: Gvk {
            group,
            version,
            kind,
        },
        resource: about.clone(),
        sub_resource: None,
        name: resource.name.clone().or(name).unwrap_or_default(),
        namespace: request.namespace().map(ToString::to_string),
        operation,
        user_info: UserInfo::default(),
        object: Some(object.into()),
        old_object: None,
        dry_run: false,
    };
    Some((admission, about))
}
