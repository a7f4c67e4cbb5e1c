//! Guards: ValidatingAdmissionPolicies. They hold inside the API server, with all of Bulkhead's
//! processes dead, and protect what makes a tenant a tenant.
//!
//! Few policies with many validations: the cost is per policy. What differs by tenant stands in
//! guarded labels and annotations of the Namespace, because parameters of our own kinds would
//! deny everything for half a minute after each start of an API server. `matchConditions` never
//! see `namespaceObject`, so none of them asks for it.

mod controller;
mod cordoned;
mod isolated;
mod ledger;
mod namespaces;
mod network;
mod nodes;
mod objects;
mod shards;
mod status;
mod system;
mod tenants;

use bulkhead_model::labels;
use serde_json::{Value, json};

/// What a cordoned tenant is told, by the guards and by the gateway.
pub const CORDONED: &str = "tenant-cordoned: the tenant is cordoned: what runs keeps running and \
     can be read, and nothing may be changed; ask the platform's administrators";

/// What the creator of a pod is told while its namespace is not open.
pub const NOT_ISOLATED: &str = "namespace-not-isolated: the namespace takes pods once everything \
     that isolates it is in place; try again in a moment, and if this stays, ask the platform's \
     administrators";

/// Every guard with its binding, policies first.
#[must_use]
pub fn policies() -> Vec<Value> {
    let guards = [
        namespaces::guard(),
        system::guard(),
        tenants::guard(),
        cordoned::guard(),
        status::guard(),
        isolated::guard(),
        network::guard(),
        shards::guard(),
        nodes::guard(),
        controller::guard(),
        ledger::guard(),
        objects::guard(),
    ];
    let bindings: Vec<Value> = guards.iter().map(Guard::binding).collect();
    guards.iter().map(Guard::policy).chain(bindings).collect()
}

/// One policy.
struct Guard {
    name: &'static str,
    /// Which requests it sees at all.
    rule: Rule,
    /// Whether only namespaces with the tenant's label count.
    in_tenants_only: bool,
    /// A CEL expression without which the guard is not asked.
    only_if: Option<&'static str>,
    /// Names for CEL expressions.
    variables: &'static [(&'static str, &'static str)],
    validations: Vec<Validation>,
}

struct Rule {
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    operations: &'static [&'static str],
    /// `Namespaced` keeps cluster-scoped objects out, which would match whatever the selector.
    scope: &'static str,
}

/// What must be true, and what is said if it is not. The words start with the control's name.
struct Validation {
    expression: &'static str,
    message: &'static str,
    /// A CEL expression that adds to the message what it was about.
    about: Option<&'static str>,
}

impl Validation {
    const fn new(expression: &'static str, message: &'static str) -> Self {
        Self {
            expression,
            message,
            about: None,
        }
    }
}

impl Guard {
    fn policy(&self) -> Value {
        let mut constraints = json!({
            "resourceRules": [{
                "apiGroups": self.rule.groups.iter().map(|group| cel(group)).collect::<Vec<_>>(),
                "apiVersions": ["*"],
                "resources": self.rule.resources,
                "operations": self.rule.operations,
                "scope": self.rule.scope,
            }],
        });
        if let (true, Some(constraints)) = (self.in_tenants_only, constraints.as_object_mut()) {
            let selector =
                json!({"matchExpressions": [{"key": labels::TENANT, "operator": "Exists"}]});
            constraints.insert("namespaceSelector".into(), selector);
        }
        let mut spec = json!({
            "failurePolicy": "Fail",
            "matchConstraints": constraints,
            "validations": self.validations.iter().map(Validation::json).collect::<Vec<_>>(),
        });
        if let Some(spec) = spec.as_object_mut() {
            if let Some(only_if) = self.only_if {
                let conditions = json!([{"name": "concerns", "expression": cel(only_if)}]);
                spec.insert("matchConditions".into(), conditions);
            }
            if !self.variables.is_empty() {
                let variables: Vec<Value> = self
                    .variables
                    .iter()
                    .map(|(name, value)| json!({"name": name, "expression": cel(value)}))
                    .collect();
                spec.insert("variables".into(), variables.into());
            }
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": self.name},
            "spec": spec,
        })
    }

    fn binding(&self) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": self.name},
            "spec": {"policyName": self.name, "validationActions": ["Deny"]},
        })
    }
}

impl Validation {
    fn json(&self) -> Value {
        let mut validation = json!({
            "expression": cel(self.expression),
            "message": self.message,
            "reason": "Forbidden",
        });
        if let (Some(about), Some(fields)) = (self.about, validation.as_object_mut()) {
            let expression = format!("'{}: ' + {}", self.message, cel(about));
            fields.insert("messageExpression".into(), expression.into());
        }
        validation
    }
}

/// Writes constants and the one phrase that stands everywhere into an expression:
/// `labels(x)` and `annotations(x)` are those of an object, empty if it has none.
fn cel(template: &str) -> String {
    let mut text = template.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, value) in [
        ("$TENANT_UID", labels::TENANT_UID),
        ("$TENANTS_GROUP", labels::TENANTS_GROUP),
        ("$TENANT", labels::TENANT),
        ("$PREFIX", labels::PREFIX),
        ("$ISOLATED", labels::ISOLATED),
        ("$CORDONED", labels::CORDONED),
        ("$EXTRA", labels::USER_EXTRA),
        ("$OURS", labels::OURS),
        ("$SYNTHETIC", labels::SYNTHETIC_PREFIX),
        ("$SYSTEM", labels::SYSTEM_NAMESPACE),
        ("$SHARD", labels::FORWARDER_SHARD_PREFIX),
        ("$GROUP", labels::GROUP),
        ("$NODE", labels::NODE_TENANT),
        ("$TAINT", labels::NODE_TAINT),
        ("$PSA", labels::PSA_PREFIX),
    ] {
        text = text.replace(name, value);
    }
    for (phrase, empty) in [
        ("labels", "{}"),
        ("annotations", "{}"),
        ("ownerReferences", "[]"),
        ("finalizers", "[]"),
    ] {
        for object in ["object", "oldObject", "namespaceObject", "variables.ns"] {
            text = text.replace(
                &format!("{phrase}({object})"),
                &format!("{object}.metadata.?{phrase}.orValue({empty})"),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests;
