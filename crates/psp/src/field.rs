//! An error about a field, in the API server's words.

use std::fmt;

use bulkhead_model::FieldPath;

use crate::quote::Quoted;

/// What is wrong with a field. It prints as the API server prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Where, as the original writes it: `spec.containers[0].securityContext.runAsUser`. Some of
    /// its paths begin with `pod.`, and some name no field that exists.
    pub field: String,
    /// What is wrong, with the value where the original says it.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl FieldError {
    fn new(field: String, kind: &str, value: Option<&dyn fmt::Display>, detail: &str) -> Self {
        let mut message = kind.to_owned();
        for part in [value.map(ToString::to_string).as_deref(), Some(detail)] {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                message.push_str(": ");
                message.push_str(part);
            }
        }
        Self { field, message }
    }

    /// A value that is wrong, printed as it displays.
    pub(crate) fn invalid(field: String, value: impl fmt::Display, detail: &str) -> Self {
        Self::new(field, "Invalid value", Some(&value), detail)
    }

    /// A string that is wrong.
    pub(crate) fn invalid_text(field: String, value: &str, detail: &str) -> Self {
        Self::invalid(field, Quoted(value), detail)
    }

    /// A value that is missing.
    pub(crate) fn required(field: String, detail: &str) -> Self {
        Self::new(field, "Required value", None, detail)
    }

    /// A value that may not be there.
    pub(crate) fn forbidden(field: String, detail: &str) -> Self {
        Self::new(field, "Forbidden", None, detail)
    }

    /// A value that is there twice.
    pub(crate) fn duplicate(field: String, value: &str) -> Self {
        Self::new(field, "Duplicate value", Some(&Quoted(value)), "")
    }

    /// A value that is too long.
    pub(crate) fn too_long(field: String, most: usize) -> Self {
        let detail = format!("must have at most {most} bytes");
        Self::new(field, "Too long", None, &detail)
    }

    /// A value that is none of those that there are.
    pub(crate) fn unsupported(field: String, value: &str, supported: &[&str]) -> Self {
        let names: Vec<String> = supported
            .iter()
            .map(|name| Quoted(name).to_string())
            .collect();
        let detail = format!("supported values: {}", names.join(", "));
        Self::new(field, "Unsupported value", Some(&Quoted(value)), &detail)
    }

    /// The place that is meant, as a path of the pod. The original's paths begin with `pod` in
    /// places, and look for the host's namespaces in the security context.
    #[must_use]
    pub fn place(&self) -> FieldPath {
        let field = self.field.strip_prefix("pod.").unwrap_or(&self.field);
        let host = field.strip_prefix("spec.securityContext.host");
        let field = host.map_or_else(|| field.to_owned(), |rest| format!("spec.host{rest}"));
        let mut path = FieldPath::default();
        let mut rest = field.as_str();
        while !rest.is_empty() {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, more) = rest.split_at(end);
            if !key.is_empty() {
                path = path.key(key);
            }
            rest = match more.strip_prefix('[').and_then(|more| more.split_once(']')) {
                Some((inner, more)) => {
                    path = match inner.parse() {
                        Ok(index) => path.index(index),
                        Err(_) => path.key(inner),
                    };
                    more
                }
                None => more.get(1..).unwrap_or_default(),
            };
        }
        path
    }
}
