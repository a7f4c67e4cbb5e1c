//! What a rule may ask, and where it puts what it finds.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Finding, Json, Operation, Profile, TenantRules, UserInfo, labels};

use crate::facts::Facts;

/// What a rule may ask beside the view that it is given.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What the tenant is held to.
    pub rules: &'a TenantRules,
    /// What was looked up for this request.
    pub facts: &'a Facts,
    /// The namespace that the request is for; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// The plural name of what the request is about.
    pub resource: &'a str,
    /// What is done.
    pub operation: Operation,
    /// Who asks.
    pub user: &'a UserInfo,
    /// The object as it was; none on CREATE.
    pub old: Option<&'a Json<'a>>,
}

impl<'a> Context<'a> {
    /// The `spec` of the Pod that is changed, as it was; none for all else. Most of it cannot
    /// change: to refuse what stays would refuse every label that the pod ever gets, and mend
    /// nothing.
    #[must_use]
    pub fn old_pod_spec(&self) -> Option<Fields<'a>> {
        let spec = Fields::of(self.old).at("spec");
        (self.resource == "pods" && self.operation == Operation::Update).then_some(spec)
    }

    /// Whether a Namespace is the tenant's: by name and UID, both guarded.
    #[must_use]
    pub fn owns(&self, namespace: &Json<'_>) -> bool {
        let found = Fields::of(namespace.get("metadata")).at("labels");
        found.str(labels::TENANT) == Some(self.rules.tenant.as_str())
            && found.str(labels::TENANT_UID) == Some(self.rules.uid.as_str())
    }

    /// Whether the tenant is held to more than Kubernetes' Pod Security Standards ask.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.rules.profile == Profile::Strict
    }

    /// Whether the standards of Kubernetes 1.`minor` count for the tenant: a rule that Kubernetes
    /// has changed over time asks this under `Restricted` and `Baseline`.
    #[must_use]
    pub fn since(&self, minor: u16) -> bool {
        self.rules.standards.since(minor)
    }
}

/// Collects what the rules find. Costs nothing as long as there is nothing.
#[derive(Debug, Default)]
pub struct Findings {
    control: &'static str,
    list: Vec<Finding>,
}

impl Findings {
    /// Says whose findings come next.
    pub(crate) fn of(&mut self, control: &'static str) {
        self.control = control;
    }

    /// Adds a finding of the control that is being judged. `detail` follows the path, as in
    /// "is `true`".
    pub fn add(&mut self, path: FieldPath, detail: impl Into<String>) {
        self.list.push(Finding {
            control: self.control,
            path,
            detail: detail.into(),
        });
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.list
    }
}

/// The longest value that a finding repeats.
const SHOWN: usize = 64;

/// A value of the manifest as a finding shows it: JSON in backticks, cut if it is long. Control
/// characters come out escaped, so that nobody's terminal obeys them.
pub(crate) fn shown(value: &Json<'_>) -> String {
    // By name, so that the same object is shown alike whoever has read it.
    let text = serde_json::Value::from(value).to_string();
    if text.chars().count() <= SHOWN {
        return format!("`{text}`");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("`{start}…`")
}

/// `is VALUE`, for the values that need no more words.
pub(crate) fn is(value: &Json<'_>) -> String {
    format!("is {}", shown(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shown_value_is_short_and_obeyed_by_no_terminal() {
        assert_eq!(is(&json!(true).into()), "is `true`");
        assert_eq!(shown(&json!("\u{1b}[2J\n").into()), r#"`"\u001b[2J\n"`"#);
        let long = shown(&json!("ä".repeat(1000)).into());
        assert_eq!(long.chars().count(), SHOWN + 3);
    }
}
