//! The two verbs of admission.

use bulkhead_model::view::Pod;
use bulkhead_model::{AdmissionRequest, FieldPath, Finding, Gvk, Json, Operation, TenantRules};

use crate::carriers::{Carrier, Carriers};
use crate::context::{Context, Findings};
use crate::control::{Mend, Rule};
use crate::facts::Facts;
use crate::fills::{Addition, Fills, Reach, Setting, apply};
use crate::object::Object;
use crate::pod::runs_on_linux;
use crate::registry::REGISTRY;
use crate::shape::{self, Misfit};

/// Why a request cannot be judged. Whoever gets it denies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// No rule looks at this kind or subresource.
    #[error("no rule covers {} of `{}`{}", .kind.kind, api_version(.kind), tail(.subresource.as_deref()))]
    UnknownKind {
        /// The kind.
        kind: Gvk,
        /// The subresource, if it was one.
        subresource: Option<String>,
    },
    /// Only CREATE and UPDATE carry an object.
    #[error("only CREATE and UPDATE are judged, not {}", format!("{_0:?}").to_uppercase())]
    Operation(Operation),
    /// The request lacks its object.
    #[error("the request carries no object")]
    NoObject,
    /// Something is not what Kubernetes has in its place.
    #[error("{} must {}be of type {expected}", place(path), if *missing { "be there and " } else { "" })]
    Malformed {
        /// Where.
        path: FieldPath,
        /// `object` or `list`.
        expected: &'static str,
        /// Whether there is nothing at all.
        missing: bool,
    },
}

fn api_version(kind: &Gvk) -> String {
    let Gvk { group, version, .. } = kind;
    if group.is_empty() {
        version.clone()
    } else {
        format!("{group}/{version}")
    }
}

fn place(path: &FieldPath) -> String {
    if path.segments().is_empty() {
        "the object itself".to_owned()
    } else {
        format!("`{path}`")
    }
}

fn tail(name: Option<&str>) -> String {
    name.map(|name| format!(", subresource `{name}`"))
        .unwrap_or_default()
}

/// [`Carriers::judge`], of Kubernetes' own kinds.
///
/// # Errors
/// As there.
pub fn judge(
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
    facts: &Facts,
) -> Result<Vec<Finding>, Unjudged> {
    Carriers::BUILT_IN.judge(request, rules, facts)
}

/// [`Carriers::mend_and_judge`], of Kubernetes' own kinds.
///
/// # Errors
/// As there.
pub fn mend_and_judge(
    request: &mut AdmissionRequest<'_>,
    rules: &TenantRules,
    facts: &Facts,
) -> Result<(Vec<Addition>, Vec<Finding>), Unjudged> {
    Carriers::BUILT_IN.mend_and_judge(request, rules, facts)
}

/// [`Carriers::mend`], of Kubernetes' own kinds.
#[must_use]
pub fn mend<'a>(
    request: &AdmissionRequest<'a>,
    rules: &TenantRules,
    facts: &Facts,
) -> Option<Json<'a>> {
    Carriers::BUILT_IN.mend(request, rules, facts)
}

impl Carriers {
    /// Every finding of every rule, in the registry's order. Pod templates are judged as their pods
    /// will be after mending; everything else as it stands, so a Pod has to be mended first.
    ///
    /// An UPDATE is judged with the object as it was, which a claim's volume is compared with. Whoever
    /// does not have it leaves UPDATEs to somebody who does.
    ///
    /// # Errors
    /// If no rule covers the kind, or the object has a shape that Kubernetes' objects do not have.
    pub fn judge(
        &self,
        request: &AdmissionRequest<'_>,
        rules: &TenantRules,
        facts: &Facts,
    ) -> Result<Vec<Finding>, Unjudged> {
        let (carrier, sent) = in_shape(self, request)?;
        Ok(judged(carrier, sent, &context(request, rules, facts)))
    }

    /// Mends the request's object where it stands, as [`Self::mend`] would, and judges the result. The
    /// first part of the answer is what was done, as JSON patch operations.
    ///
    /// # Errors
    /// As [`Self::judge`]; the object may have been mended nevertheless.
    pub fn mend_and_judge(
        &self,
        request: &mut AdmissionRequest<'_>,
        rules: &TenantRules,
        facts: &Facts,
    ) -> Result<(Vec<Addition>, Vec<Finding>), Unjudged> {
        let (carrier, object) = in_shape(self, request)?;
        let operations = match reach(carrier, request) {
            Some(reach) => {
                let fills = fills(carrier, object, reach, &context(request, rules, facts));
                match &mut request.object {
                    Some(object) => apply(fills, object),
                    None => Vec::new(),
                }
            }
            None => Vec::new(),
        };
        // Mends add values of the right shape, so it needs no second look.
        let object = request.object.as_ref().ok_or(Unjudged::NoObject)?;
        let findings = judged(carrier, object, &context(request, rules, facts));
        Ok((operations, findings))
    }

    /// The object with the safe values added; none if there is nothing to add. Only Pods are mended:
    /// whole on CREATE, and the ephemeral containers that an UPDATE of `pods/ephemeralcontainers`
    /// adds. Templates stay as their authors keep them.
    #[must_use]
    pub fn mend<'a>(
        &self,
        request: &AdmissionRequest<'a>,
        rules: &TenantRules,
        facts: &Facts,
    ) -> Option<Json<'a>> {
        let (carrier, object) = covered(self, request).ok()?;
        let context = context(request, rules, facts);
        mended(carrier, object, reach(carrier, request)?, &context)
    }
}

fn judged(carrier: &Carrier, sent: &Json<'_>, context: &Context<'_>) -> Vec<Finding> {
    let mended = carrier
        .is_template()
        .then(|| mended(carrier, sent, Reach::Whole, context))
        .flatten();
    findings(carrier, mended.as_ref().unwrap_or(sent), context)
}

/// What carries pods, Services or claims in the request, and the object, if it has the shape of one.
pub(crate) fn in_shape<'c, 'r, 'a>(
    carriers: &'c Carriers,
    request: &'r AdmissionRequest<'a>,
) -> Result<(&'c Carrier, &'r Json<'a>), Unjudged> {
    let (carrier, sent) = covered(carriers, request)?;
    shape::check(carrier, sent).map_err(
        |Misfit {
             path,
             expected,
             missing,
         }| {
            Unjudged::Malformed {
                path,
                expected,
                missing,
            }
        },
    )?;
    Ok((carrier, sent))
}

pub(crate) fn context<'a>(
    request: &'a AdmissionRequest<'_>,
    rules: &'a TenantRules,
    facts: &'a Facts,
) -> Context<'a> {
    Context {
        rules,
        facts,
        namespace: request.namespace.as_deref().unwrap_or_default(),
        resource: &request.resource.resource,
        operation: request.operation,
        user: &request.user_info,
        old: request.old_object.as_ref().filter(|old| !old.is_null()),
    }
}

pub(crate) fn findings(
    carrier: &Carrier,
    object: &Json<'_>,
    context: &Context<'_>,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let pods: Vec<_> = carrier.pods(object).collect();
    let holding = REGISTRY
        .iter()
        .filter(|control| control.profiles.hold(context.rules));
    for control in holding {
        findings.of(control.name);
        match control.rule {
            Rule::Pod(rule) => {
                for pod in &pods {
                    rule(pod, context, &mut findings);
                }
            }
            Rule::Service(rule) => {
                carrier
                    .services(object)
                    .for_each(|it| rule(&it, context, &mut findings));
            }
            Rule::Claim(rule) => {
                carrier
                    .claims(object)
                    .for_each(|it| rule(&it, context, &mut findings));
            }
            Rule::Object(rule) => {
                let it = Object::new(carrier, object);
                rule(&it, context, &mut findings);
            }
            Rule::Guard | Rule::Dockerfile(_) => {}
        }
    }
    findings.into_vec()
}

/// What of the request's object may be mended; none if nothing.
fn reach<'a>(carrier: &Carrier, request: &'a AdmissionRequest<'_>) -> Option<Reach<'a>> {
    let subresource = request
        .sub_resource
        .as_deref()
        .filter(|name| !name.is_empty());
    match (request.operation, subresource) {
        _ if carrier.is_template() => None,
        (Operation::Create, None) => Some(Reach::Whole),
        (Operation::Update, Some("ephemeralcontainers")) => Some(Reach::NewEphemeral {
            old: request.old_object.as_ref(),
        }),
        _ => None,
    }
}

pub(crate) fn covered<'c, 'r, 'a>(
    carriers: &'c Carriers,
    request: &'r AdmissionRequest<'a>,
) -> Result<(&'c Carrier, &'r Json<'a>), Unjudged> {
    let carrier = carriers.of(request).ok_or_else(|| Unjudged::UnknownKind {
        kind: request.kind.clone(),
        subresource: request.sub_resource.clone(),
    })?;
    if !matches!(request.operation, Operation::Create | Operation::Update) {
        return Err(Unjudged::Operation(request.operation));
    }
    let object = request.object.as_ref().filter(|object| !object.is_null());
    Ok((carrier, object.ok_or(Unjudged::NoObject)?))
}

fn mended<'a>(
    carrier: &Carrier,
    object: &Json<'a>,
    reach: Reach<'_>,
    context: &Context<'_>,
) -> Option<Json<'a>> {
    let fills = fills(carrier, object, reach, context);
    if fills.is_empty() {
        return None;
    }
    let mut object = object.clone();
    let operations = apply(fills, &mut object);
    (!operations.is_empty()).then_some(object)
}

fn fills(
    carrier: &Carrier,
    object: &Json<'_>,
    reach: Reach<'_>,
    context: &Context<'_>,
) -> Vec<Setting> {
    let mut fills = Fills::new(reach);
    for pod in carrier.pods(object) {
        fill(&pod, context, &mut fills);
    }
    fills.into_list()
}

/// A pod of another system than Linux cannot have the fields that mends set: the API server
/// would refuse it in words that nobody understands. The rules refuse it in ours.
fn fill(pod: &Pod<'_>, context: &Context<'_>, fills: &mut Fills<'_>) {
    if !runs_on_linux(pod) {
        return;
    }
    for control in REGISTRY {
        match control.mend {
            // What nobody is held to is nobody's to fill in: it would break pods that are right.
            Mend::Fill(mend) if control.profiles.hold(context.rules) => mend(pod, context, fills),
            _ => {}
        }
    }
}
