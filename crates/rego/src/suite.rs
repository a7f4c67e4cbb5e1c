//! Gatekeeper's Suites: a template, a constraint, and objects that it refuses or not.

use bulkhead_model::Json;
use serde_json::{Value, json};

use crate::inventory::Inventory;
use crate::policies::Policies;
use crate::review::{Review, request_of};
use crate::template::Template;

/// One object that is judged, and what is said about it.
#[derive(Debug, Clone)]
pub struct Case {
    /// `test/case`.
    pub name: String,
    /// Paths from the Suite's folder: of the template, the constraint and the object.
    pub template: String,
    /// The constraint's.
    pub constraint: String,
    /// The object's.
    pub object: String,
    /// Objects that the policy finds in `data.inventory`.
    pub inventory: Vec<String>,
    assertions: Vec<Value>,
}

/// A Suite.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// What is to be tried.
    pub cases: Vec<Case>,
    /// What is said to be left out.
    pub skipped: Vec<String>,
}

/// Why a case says nothing or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A field that is missing or malformed.
    #[error("{0}")]
    Malformed(String),
    /// A policy that is refused.
    #[error("{0}")]
    Refused(String),
    /// What is asserted is not so.
    #[error("{0}")]
    Wrong(String),
}

impl Suite {
    /// Reads a Suite of `test.gatekeeper.sh`.
    ///
    /// # Errors
    /// If a field is missing; the message names it.
    pub fn parse(object: &Value) -> Result<Self, SuiteError> {
        let mut suite = Self::default();
        let list = |of: &Value, key: &str| {
            of.get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        for test in list(object, "tests") {
            let text =
                |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
            let need = |of: &Value, key: &str| {
                text(of, key).ok_or_else(|| SuiteError::Malformed(format!("a test has no `{key}`")))
            };
            let name = text(&test, "name").unwrap_or_default();
            if test.get("skip").and_then(Value::as_bool) == Some(true) {
                suite.skipped.push(name);
                continue;
            }
            for case in list(&test, "cases") {
                let own = text(&case, "name").unwrap_or_default();
                let full = format!("{name}/{own}");
                if case.get("skip").and_then(Value::as_bool) == Some(true) {
                    suite.skipped.push(full);
                    continue;
                }
                let inventory = list(&case, "inventory");
                suite.cases.push(Case {
                    name: full,
                    template: need(&test, "template")?,
                    constraint: need(&test, "constraint")?,
                    object: need(&case, "object")?,
                    inventory: inventory
                        .iter()
                        .filter_map(|path| path.as_str().map(str::to_owned))
                        .collect(),
                    assertions: list(&case, "assertions"),
                });
            }
        }
        Ok(suite)
    }
}

impl Case {
    /// Tries a case with the objects that its paths lead to. `object` is an object, or an
    /// AdmissionReview.
    ///
    /// # Errors
    /// If a policy is refused, or an assertion does not hold.
    pub fn run(
        &self,
        (template, constraint): (&Value, &Value),
        object: &Value,
        inventory: &[Value],
    ) -> Result<(), SuiteError> {
        let refused = |error: &dyn std::fmt::Display| SuiteError::Refused(error.to_string());
        let first = |mut all: Vec<crate::Refusal>| refused(&all.swap_remove(0));
        let template = Template::parse(template, &self.template).map_err(first)?;
        let constraint = template
            .constraint(constraint, &self.constraint)
            .map_err(|r| refused(&r))?;
        let mut policies = Policies::default();
        policies.constraints.insert(
            (constraint.kind.clone(), constraint.name.clone()),
            constraint,
        );
        policies.templates.insert(template.kind.clone(), template);
        let mut judge = policies.judge(&Inventory::of(inventory)).map_err(first)?;
        let request = request(object);
        let namespace = request.get("namespace").and_then(Value::as_str);
        let namespace = inventory.iter().find(|object| {
            object.get("kind").and_then(Value::as_str) == Some("Namespace")
                && object.pointer("/metadata/name").and_then(Value::as_str) == namespace
        });
        let (request, namespace) = (Json::from(&request), namespace.map(Json::from));
        let found = judge.review(&Review {
            request: &request,
            namespace: namespace.as_ref(),
        });
        let messages: Vec<String> = found
            .into_iter()
            .map(|violation| violation.message)
            .collect();
        let some = json!([{"violations": "yes"}]);
        let assertions = if self.assertions.is_empty() {
            some.as_array().cloned().unwrap_or_default()
        } else {
            self.assertions.clone()
        };
        assertions
            .iter()
            .try_for_each(|assertion| holds(assertion, &messages))
    }
}

fn holds(assertion: &Value, messages: &[String]) -> Result<(), SuiteError> {
    let pattern = assertion.get("message").and_then(Value::as_str);
    let pattern = pattern.map(regex::Regex::new).transpose();
    let pattern = pattern.map_err(|error| SuiteError::Malformed(format!("`message`: {error}")))?;
    let fits = |message: &&String| {
        pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(message))
    };
    let count = messages.iter().filter(fits).count();
    let wanted = match assertion.get("violations") {
        // What is written without quotes is a boolean to YAML.
        None | Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let right = match wanted.as_str() {
        "yes" => count > 0,
        "no" => count == 0,
        number => number.parse() == Ok(count),
    };
    if right {
        return Ok(());
    }
    let of = assertion.get("message").and_then(Value::as_str);
    let of = of.map_or_else(String::new, |pattern| format!(" that match `{pattern}`"));
    let said = if messages.is_empty() {
        "nothing".to_owned()
    } else {
        format!("`{}`", messages.join("`, `"))
    };
    Err(SuiteError::Wrong(format!(
        "violations{of}: `{wanted}` expected, {count} found; the policy says {said}"
    )))
}

fn request(object: &Value) -> Value {
    if object.get("kind").and_then(Value::as_str) == Some("AdmissionReview") {
        return object.get("request").cloned().unwrap_or_default();
    }
    request_of(object, "")
}
