//! Which resources a rule speaks of: rules of roles, of webhooks and of policies look alike.

use serde_json::Value;

/// Groups, resources and verbs.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    fn of(rule: &Value) -> Self {
        let list = |key: &str| -> Vec<String> {
            let values = rule
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            values
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            groups: list("apiGroups"),
            resources: list("resources"),
            verbs: list("verbs"),
        }
    }

    /// Whether it speaks of a resource such as `pods` or `pods/log`.
    pub(crate) fn matches(&self, group: &str, name: &str) -> bool {
        let (resource, sub) = name.split_once('/').unwrap_or((name, ""));
        let fits = |pattern: &String| {
            let (of, part) = pattern.split_once('/').unwrap_or((pattern, ""));
            // In roles a lone `*` means subresources as well; elsewhere it does not.
            let any = pattern == "*" && !self.verbs.is_empty();
            any || ((of == "*" || of == resource) && (part == "*" || part == sub))
        };
        self.groups.iter().any(|g| g == "*" || g == group) && self.resources.iter().any(fits)
    }

    /// Whether a role's rule lets anything be changed, or a connection be opened.
    pub(crate) fn writes(&self) -> bool {
        let connects = self.resources.iter().any(|r| {
            matches!(
                r.split_once('/'),
                Some((_, "exec" | "attach" | "portforward" | "proxy"))
            )
        });
        connects
            || self
                .verbs
                .iter()
                .any(|verb| !matches!(verb.as_str(), "get" | "list" | "watch"))
    }

    /// Each right in words: `VERB GROUP/RESOURCE`. Paths that are no resources are left out.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for verb in &self.verbs {
            for group in &self.groups {
                for resource in &self.resources {
                    words.push(format!("{verb} {group}/{resource}"));
                }
            }
        }
        words
    }
}

/// The rules at a JSON pointer of an object.
pub(crate) fn rules_of(object: &Value, pointer: &str) -> Vec<Rule> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(Rule::of)
        .collect()
}

/// The rules at a JSON pointer of each element of a list.
pub(crate) fn rules(object: &Value, list: &str, pointer: &str) -> Vec<Rule> {
    let items = object
        .pointer(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items.flat_map(|item| rules_of(item, pointer)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_match_as_the_api_server_matches_them() {
        let rule = |resources: Value, verbs: Value| {
            Rule::of(&json!({"apiGroups": [""], "resources": resources, "verbs": verbs}))
        };
        for (resources, verbs, name, expected) in [
            (json!(["pods"]), json!([]), "pods", true),
            (json!(["pods"]), json!([]), "pods/log", false),
            (json!(["*"]), json!([]), "pods/log", false),
            (json!(["*"]), json!(["get"]), "pods/log", true),
            (json!(["*/*"]), json!([]), "pods", true),
            (json!(["*/status"]), json!([]), "pods/status", true),
            (json!(["*/status"]), json!([]), "pods", false),
            (json!(["pods/*"]), json!([]), "pods", true),
            (json!(["pods/*"]), json!([]), "services/status", false),
        ] {
            assert_eq!(
                rule(resources.clone(), verbs).matches("", name),
                expected,
                "{resources} {name}"
            );
            assert!(!rule(resources, json!([])).matches("apps", name));
        }
    }
}
