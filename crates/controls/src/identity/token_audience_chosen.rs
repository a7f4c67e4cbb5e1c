//! A token for another audience is the ServiceAccount's identity elsewhere: in a cloud, a vault,
//! another cluster.

use bulkhead_model::view::{Fields, Volume};
use bulkhead_model::{FieldPath, Json, TenantRules, labels};

use crate::context::{Context, Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "token-audience-chosen",
    guide: Section::DirectAccess,
    severity: Severity::High,
    profiles: Profiles::Every,
    why: "a token for an audience is the right to act there, and one that lives long outlives its owner",
    remedy: "leave the audience out, or have it added to the Tenant's `spec.serviceAccounts.tokenAudiences`; at most 86400 seconds",
    page: include_str!("token_audience_chosen.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// The longest life of a token, in seconds: what cloud providers' webhooks ask for.
const LONGEST: u64 = 86_400;

/// Annotations by which EKS' webhook makes a projected token: audience, life.
const AUDIENCE: &str = "eks.amazonaws.com/audience";
const LIFE: &str = "eks.amazonaws.com/token-expiration";

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    if object.is_sub("", "serviceaccounts", "token") {
        return request(object.spec(), context.rules, findings);
    }
    if object.is("", "serviceaccounts") {
        let path = || FieldPath::of("metadata.annotations");
        annotated(object.metadata(), path, context.rules, findings);
    }
    for pod in object.pods() {
        let path = || pod.path("metadata.annotations");
        annotated(pod.metadata(), path, context.rules, findings);
        for volume in pod.volumes() {
            projected(volume, context.rules, findings);
        }
    }
}

/// A TokenRequest as it was sent: an audience that is left out is the API server's.
fn request(spec: Fields<'_>, rules: &TenantRules, findings: &mut Findings) {
    for (index, audience) in spec.list("audiences").iter().enumerate() {
        let path = FieldPath::of("spec.audiences").index(index);
        check_audience(audience, path, rules, findings);
    }
    let path = || FieldPath::of("spec.expirationSeconds");
    check_life(spec.get("expirationSeconds"), path, findings);
}

fn projected(volume: Volume<'_>, rules: &TenantRules, findings: &mut Findings) {
    let sources: &[Json<'_>] = volume.fields().at("projected").list("sources");
    for (index, source) in sources.iter().enumerate() {
        let token = Fields::of(Some(source)).at("serviceAccountToken");
        let path = |key| {
            let source = volume.path("projected.sources").index(index);
            source.then("serviceAccountToken").then(key)
        };
        if let Some(audience) = token.get("audience").filter(|a| a.as_str() != Some("")) {
            check_audience(audience, path("audience"), rules, findings);
        }
        let seconds = token.get("expirationSeconds");
        check_life(seconds, || path("expirationSeconds"), findings);
    }
}

fn annotated(
    metadata: Fields<'_>,
    path: impl Fn() -> FieldPath,
    rules: &TenantRules,
    findings: &mut Findings,
) {
    let annotations = metadata.at("annotations");
    if let Some(audience) = annotations.get(AUDIENCE) {
        check_audience(audience, path().key(AUDIENCE), rules, findings);
    }
    if let Some(text) = annotations.get(LIFE) {
        let seconds = text.as_str().and_then(|text| text.parse::<u64>().ok());
        if seconds.is_none_or(|seconds| seconds > LONGEST) {
            findings.add(path().key(LIFE), too_long(text));
        }
    }
}

fn check_audience(
    audience: &Json<'_>,
    path: FieldPath,
    rules: &TenantRules,
    findings: &mut Findings,
) {
    let allowed = audience.as_str().is_some_and(|audience| {
        audience == labels::AUDIENCE || rules.service_accounts.token_audiences.contains(audience)
    });
    if !allowed {
        let text = format!(
            "is {}, which is on no list of the tenant's",
            shown(audience)
        );
        findings.add(path, text);
    }
}

fn check_life(seconds: Option<&Json<'_>>, path: impl Fn() -> FieldPath, findings: &mut Findings) {
    if let Some(value) = seconds
        && value.as_u64().is_none_or(|seconds| seconds > LONGEST)
    {
        findings.add(path(), too_long(value));
    }
}

fn too_long(value: &Json<'_>) -> String {
    format!("is {}: expected at most {LONGEST}", shown(value))
}
