//! Views over Kubernetes objects. A view borrows the request's own JSON, so a field that a newer
//! Kubernetes has is seen rather than dropped, and it knows its path, so a finding can name it.

mod pod;

use serde_json::{Map, Value};

pub use pod::{Container, ContainerKind, Pod, Volume};

/// Read access to one JSON object. A value that is no object has no fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// The fields of a value; none if it is absent or no object.
    #[must_use]
    pub fn of(value: Option<&'a Value>) -> Self {
        Self(value.and_then(Value::as_object))
    }

    /// A field that is present and not `null`: the API server reads both as unset.
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    /// The fields of a nested object.
    #[must_use]
    pub fn at(self, key: &str) -> Fields<'a> {
        Fields::of(self.get(key))
    }

    /// Whether a boolean is on. Anything but unset and `false` counts as on: what cannot be
    /// understood must not pass for harmless.
    #[must_use]
    pub fn flag(self, key: &str) -> bool {
        !matches!(self.get(key), None | Some(Value::Bool(false)))
    }

    /// A boolean that is set, with the same reading of what is no boolean as [`Self::flag`].
    #[must_use]
    pub fn bool(self, key: &str) -> Option<bool> {
        self.get(key).map(|_| self.flag(key))
    }

    /// A string.
    #[must_use]
    pub fn str(self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    /// A list's elements; none if it is unset or no list.
    #[must_use]
    pub fn list(self, key: &str) -> &'a [Value] {
        self.get(key)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// Keys and values, nulls left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0
            .into_iter()
            .flatten()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.as_str(), v))
    }
}

/// `metadata` of an object.
#[must_use]
pub fn metadata(object: &Value) -> Fields<'_> {
    Fields::of(object.get("metadata"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_boolean_counts_as_on() {
        let value = json!({"t": true, "f": false, "n": null, "s": "false", "z": 0});
        let fields = Fields::of(Some(&value));
        assert!(fields.flag("t") && fields.flag("s") && fields.flag("z"));
        assert!(!fields.flag("f") && !fields.flag("n") && !fields.flag("absent"));
        assert_eq!(fields.bool("n"), None);
        assert_eq!(fields.bool("f"), Some(false));
    }
}
