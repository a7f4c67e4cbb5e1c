//! A policy in what Kubernetes has today: the Pod Security Standards, a Tenant's `podSecurity`, and a
//! ValidatingAdmissionPolicy for the rest. Nothing of it sets fields, and nothing asks who made the
//! pod; what is lost on the way is said.

mod cel;
mod left_out;
mod standards;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::complaints::complaints;
use crate::field::FieldError;
use crate::policy::PodSecurityPolicy;
use crate::rules::{APPARMOR_DEFAULT, Rules, SECCOMP_DEFAULT};

pub(crate) use standards::level_of;
pub use standards::{Beyond, Level};

/// The label of a namespace whose pods are held to a translated policy. Tenants cannot set it:
/// labels of `bulkhead.dev` are an administrator's.
pub const NAMESPACE_LABEL: &str = "bulkhead.dev/pod-security-policy";

/// A policy in other words.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The policy's name.
    pub name: String,
    /// The strictest of Kubernetes' standards that refuses nothing that the policy has a rule for and
    /// allows.
    pub level: Level,
    /// Labels for the namespaces whose pods the policy was for.
    pub labels: BTreeMap<String, String>,
    /// `spec.podSecurity` of a Tenant.
    pub pod_security: Value,
    /// The ValidatingAdmissionPolicy. It admits a pod if and only if `carried` admits it as it is.
    pub policy: Value,
    /// The ValidatingAdmissionPolicyBinding.
    pub binding: Value,
    /// What cannot be carried over, and why.
    pub left_out: Vec<LeftOut>,
    /// What the level refuses although the policy, which had no rule for it, did not.
    pub beyond: Vec<Beyond>,
    /// The level of the Tenant's profile. It may be higher than `level`, because a Tenant lists exceptions.
    pub tenant_level: Level,
    /// What that level refuses, as `beyond`.
    pub tenant_beyond: Vec<Beyond>,
    /// The policy without what it only sets and does not ask: what is carried over.
    pub carried: PodSecurityPolicy,
}

/// Something of a policy that its translation does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why, and what to do instead.
    pub why: String,
}

/// Why a policy cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untranslated {
    /// The API server never took such a policy.
    Invalid(Vec<FieldError>),
    /// No pod could be held to it.
    Unusable(Vec<String>),
}

/// Translates a policy.
///
/// # Errors
/// If it is not valid, or no pod could be held to it.
pub fn translate(policy: &PodSecurityPolicy) -> Result<Translation, Untranslated> {
    let wrong = complaints(policy);
    if !wrong.is_empty() {
        return Err(Untranslated::Invalid(wrong));
    }
    let carried = carried(policy);
    let rules = Rules::of(&carried).map_err(Untranslated::Unusable)?;
    let classes = policy.spec.runtime_class.as_ref();
    let default_class = classes.and_then(|classes| classes.default.as_deref());
    let standing = standards::standing(&rules, default_class);
    let bound = short(&policy.name);
    Ok(Translation {
        name: policy.name.clone(),
        level: standing.level,
        labels: labels(standing.level, &bound),
        left_out: left_out::left_out(policy, &rules, &standing),
        beyond: standing.beyond,
        tenant_level: standing.tenant,
        tenant_beyond: standing.tenant_beyond,
        pod_security: standing.pod_security,
        policy: admission_policy(&rules, &bound),
        binding: binding(&bound),
        carried,
    })
}

/// Without defaults that are not asked for as well.
fn carried(policy: &PodSecurityPolicy) -> PodSecurityPolicy {
    let mut carried = policy.clone();
    let spec = &mut carried.spec;
    if let Some(added) = spec
        .default_add_capabilities
        .take()
        .filter(|list| !list.is_empty())
    {
        spec.allowed_capabilities
            .get_or_insert_default()
            .extend(added);
    }
    spec.default_allow_privilege_escalation = None;
    if let Some(classes) = &mut spec.runtime_class {
        classes.default = None;
    }
    for key in [SECCOMP_DEFAULT, APPARMOR_DEFAULT] {
        carried.annotations.remove(key);
    }
    carried
}

/// A name as a label's value: at most 63 bytes, told apart by a hash where it is cut.
fn short(name: &str) -> String {
    const MOST: usize = 63 - "psp-".len();
    if name.len() <= MOST {
        return name.to_owned();
    }
    // FNV-1a.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let head: String = name.chars().take(MOST - 17).collect();
    format!("{head}-{hash:016x}")
}

fn labels(level: Level, bound: &str) -> BTreeMap<String, String> {
    let version = bulkhead_model::StandardsVersion::PINNED.to_string();
    let standard = |key: &str| format!("{}{key}", bulkhead_model::labels::PSA_PREFIX);
    BTreeMap::from([
        (standard("enforce"), level.to_string()),
        (standard("enforce-version"), version),
        (NAMESPACE_LABEL.to_owned(), bound.to_owned()),
    ])
}

fn admission_policy(rules: &Rules, bound: &str) -> Value {
    let validations: Vec<Value> = cel::asked(rules)
        .into_iter()
        .map(|asked| {
            json!({
                "expression": asked.expression,
                "message": message(&rules.name, &asked.message),
                "reason": "Forbidden",
            })
        })
        .collect();
    let variables: Vec<Value> = cel::VARIABLES
        .iter()
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": format!("psp-{bound}")},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["pods", "pods/ephemeralcontainers"],
            }]},
            "matchConditions": [{"name": "changes", "expression": cel::CHANGES}],
            "variables": variables,
            "validations": validations,
        },
    })
}

/// Messages are one line, and not endless.
fn message(policy: &str, asked: &str) -> String {
    let whole = format!("PodSecurityPolicy {policy}: {asked}");
    let line = whole
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    line.take(500).collect()
}

fn binding(bound: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": format!("psp-{bound}")},
        "spec": {
            "policyName": format!("psp-{bound}"),
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: bound}}},
        },
    })
}
