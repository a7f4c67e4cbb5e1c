//! Policies of old files as objects of ours. What Kubernetes took then and does not take now is
//! mended where there is one way to mend it, and each mend is said.

use serde_json::{Map, Value, json};

use crate::complaints::complaints;
use crate::field::FieldError;
use crate::policy::PodSecurityPolicy;
use crate::read::{Misread, parse};
use crate::rules::{SECCOMP_ALLOWED, SECCOMP_DEFAULT};
use crate::{API_VERSION, GROUP, KIND, ORIGINAL, RESOURCE};

/// An object of ours, and what was mended on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The object.
    pub object: Value,
    /// What differs from what was written, a sentence each.
    pub mended: Vec<String>,
}

/// Why an object cannot be imported.
#[derive(Debug, Clone, PartialEq)]
pub enum ImportError {
    /// It is not what it says it is.
    Misread(Vec<Misread>),
    /// The API server never took such a policy.
    Invalid(Vec<FieldError>),
}

/// A PodSecurityPolicy, in one of the original's versions or ours, as an object of ours.
///
/// # Errors
/// If a field is unknown or of a wrong type, or the policy is not valid once it is mended.
pub fn import(object: &Value) -> Result<Imported, ImportError> {
    let mut policy = parse(object).map_err(ImportError::Misread)?;
    let mut mended = Vec::new();
    if let Some(name) = mended_name(&policy.name) {
        let old = &policy.name;
        mended.push(format!(
            "its name is `{name}`: Kubernetes takes no name like `{old}`"
        ));
        policy.name = name;
    }
    trim_profiles(&mut policy, &mut mended);
    let wrong = complaints(&policy);
    if !wrong.is_empty() {
        return Err(ImportError::Invalid(wrong));
    }
    let mut metadata = Map::from_iter([("name".to_owned(), json!(policy.name))]);
    if let Some(labels) = policy.written.pointer("/metadata/labels") {
        metadata.insert("labels".into(), labels.clone());
    }
    // What `kubectl apply` has noted of the old object is not true of the new one.
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    policy.annotations.remove(applied);
    if !policy.annotations.is_empty() {
        metadata.insert("annotations".into(), json!(policy.annotations));
    }
    Ok(Imported {
        object: json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": metadata,
            "spec": policy.written.get("spec"),
        }),
        mended,
    })
}

/// A name that Kubernetes takes, if this one is not: lower case, words joined by `-`.
fn mended_name(name: &str) -> Option<String> {
    let mut mended = String::new();
    let mut before_small = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && before_small {
            mended.push('-');
        }
        before_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        mended.push(match character.to_ascii_lowercase() {
            small @ ('a'..='z' | '0'..='9' | '.' | '-') => small,
            _ => '-',
        });
    }
    let labels = mended.split('.').map(|label| label.trim_matches('-'));
    let labels: Vec<&str> = labels.filter(|label| !label.is_empty()).collect();
    let mended = labels.join(".");
    (!mended.is_empty() && mended != name).then_some(mended)
}

/// A space after a comma belongs to the name of the profile, which no profile has.
fn trim_profiles(policy: &mut PodSecurityPolicy, mended: &mut Vec<String>) {
    for key in [SECCOMP_ALLOWED, SECCOMP_DEFAULT] {
        let Some(written) = policy.annotations.get_mut(key) else {
            continue;
        };
        let names: Vec<&str> = written.split(',').map(str::trim).collect();
        let trimmed = names.join(",");
        if trimmed != *written {
            mended.push(format!(
                "spaces are gone from the annotation `{key}`: they would belong to the names"
            ));
            *written = trimmed;
        }
    }
}

/// A Role or ClusterRole with rights to `use` policies, as rights to use ours; none if it has
/// none. Names are mended as the policies' are.
#[must_use]
pub fn import_role(object: &Value) -> Option<Imported> {
    let mut object = object.clone();
    let mut mended = Vec::new();
    let mut found = false;
    for rule in object.get_mut("rules")?.as_array_mut()? {
        let names = |key: &str| -> Vec<String> {
            let list = rule
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            list.filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        let groups = names("apiGroups");
        let of_original = |group: &String| {
            ORIGINAL
                .iter()
                .any(|version| version.split('/').next() == Some(group))
        };
        if !names("resources").iter().any(|one| one == RESOURCE) || !groups.iter().any(of_original)
        {
            continue;
        }
        found = true;
        let mut policies = names("resourceNames");
        for name in &mut policies {
            if let Some(better) = mended_name(name) {
                mended.push(format!(
                    "it names the policy `{better}`, which was `{name}`"
                ));
                *name = better;
            }
        }
        let Some(rule) = rule.as_object_mut() else {
            continue;
        };
        let others = groups
            .into_iter()
            .filter(|group| !of_original(group) && group != GROUP);
        let groups: Vec<String> = others.chain([GROUP.to_owned()]).collect();
        rule.insert("apiGroups".into(), json!(groups));
        if !policies.is_empty() {
            rule.insert("resourceNames".into(), json!(policies));
        }
    }
    found.then_some(Imported { object, mended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mended_to_what_kubernetes_takes() {
        for (name, mended) in [
            ("DisallowPrivilegedPods", Some("disallow-privileged-pods")),
            ("Tenant", Some("tenant")),
            ("eks.privileged", None),
            ("a_b", Some("a-b")),
            ("-A.-.B-", Some("a.b")),
            ("PSPForAll", Some("pspfor-all")),
            ("租户", None),
        ] {
            assert_eq!(mended_name(name).as_deref(), mended, "{name}");
        }
    }

    #[test]
    fn rights_to_use_policies_become_rights_to_use_ours() {
        let role = json!({
            "kind": "ClusterRole", "rules": [
                {"apiGroups": ["policy"], "resources": ["podsecuritypolicies"], "verbs": ["use"], "resourceNames": ["Tenant", "b"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            ],
        });
        let imported = import_role(&role).unwrap();
        assert_eq!(
            imported.object["rules"][0]["apiGroups"],
            json!(["bulkhead.dev"])
        );
        assert_eq!(
            imported.object["rules"][0]["resourceNames"],
            json!(["tenant", "b"])
        );
        assert_eq!(imported.object["rules"][1], role["rules"][1]);
        assert_eq!(imported.mended.len(), 1);
        assert_eq!(
            import_role(
                &json!({"rules": [{"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"]}]})
            ),
            None
        );
    }
}
