//! Views over Kubernetes objects. A view borrows the request's own JSON, so a field that a newer
//! Kubernetes has is seen rather than dropped, and it knows its path, so a finding can name it.

mod pod;
mod template_path;

use serde_json::Value;

use crate::json::Json;

pub use pod::{Container, ContainerKind, Pod, Volume};
pub use template_path::{Astray, MOST_EACH, TemplatePath, TemplatePathError};

/// What [`Fields`] can look at.
pub trait Tree: Sized {
    /// Whether it is `null`.
    fn is_null(&self) -> bool;
    /// Whether it is `false`.
    fn is_false(&self) -> bool;
    /// The string, if it is one.
    fn text(&self) -> Option<&str>;
    /// The elements, if it is a list.
    fn elements(&self) -> Option<&[Self]>;
    /// The number, if it is a whole one that is not negative.
    fn whole(&self) -> Option<u64>;
    /// Whether it is an object.
    fn has_fields(&self) -> bool;
    /// A field, if it is an object that has it.
    fn field(&self, key: &str) -> Option<&Self>;
    /// All fields, if it is an object.
    fn fields(&self) -> impl Iterator<Item = (&str, &Self)>;
}

impl Tree for Json<'_> {
    fn is_null(&self) -> bool {
        Json::is_null(self)
    }
    fn is_false(&self) -> bool {
        self.as_bool() == Some(false)
    }
    fn text(&self) -> Option<&str> {
        self.as_str()
    }
    fn elements(&self) -> Option<&[Self]> {
        self.as_array()
    }
    fn whole(&self) -> Option<u64> {
        self.as_u64()
    }
    fn has_fields(&self) -> bool {
        self.is_object()
    }
    #[inline]
    fn field(&self, key: &str) -> Option<&Self> {
        self.get(key)
    }
    fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.as_object()
            .into_iter()
            .flat_map(|object| object.iter())
    }
}

impl Tree for Value {
    fn is_null(&self) -> bool {
        Value::is_null(self)
    }
    fn is_false(&self) -> bool {
        self.as_bool() == Some(false)
    }
    fn text(&self) -> Option<&str> {
        self.as_str()
    }
    fn elements(&self) -> Option<&[Self]> {
        self.as_array().map(Vec::as_slice)
    }
    fn whole(&self) -> Option<u64> {
        self.as_u64()
    }
    fn has_fields(&self) -> bool {
        self.is_object()
    }
    fn field(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }
    fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        let fields = self.as_object().into_iter().flatten();
        fields.map(|(key, value)| (key.as_str(), value))
    }
}

/// Read access to one JSON object. A value that is no object has no fields.
#[derive(Debug)]
pub struct Fields<'a, T = Json<'a>>(Option<&'a T>);

impl<T> Clone for Fields<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fields<'_, T> {}

impl<'a, T: Tree> Fields<'a, T> {
    /// The fields of a value; none if it is absent or no object.
    #[must_use]
    pub fn of(value: Option<&'a T>) -> Self {
        Self(value.filter(|value| value.has_fields()))
    }

    /// A field that is present and not `null`: the API server reads both as unset.
    #[inline]
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a T> {
        self.0?.field(key).filter(|value| !value.is_null())
    }

    /// The fields of a nested object.
    #[inline]
    #[must_use]
    pub fn at(self, key: &str) -> Self {
        Self::of(self.get(key))
    }

    /// Whether a boolean is on. Anything but unset and `false` counts as on: what cannot be
    /// understood must not pass for harmless.
    #[inline]
    #[must_use]
    pub fn flag(self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_false())
    }

    /// A boolean that is set, with the same reading of what is no boolean as [`Self::flag`].
    #[inline]
    #[must_use]
    pub fn bool(self, key: &str) -> Option<bool> {
        self.get(key).map(|value| !value.is_false())
    }

    /// A string.
    #[inline]
    #[must_use]
    pub fn str(self, key: &str) -> Option<&'a str> {
        self.get(key)?.text()
    }

    /// A list's elements; none if it is unset or no list.
    #[inline]
    #[must_use]
    pub fn list(self, key: &str) -> &'a [T] {
        self.get(key).and_then(T::elements).unwrap_or_default()
    }

    /// Keys and values, nulls left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a T)> {
        self.0
            .into_iter()
            .flat_map(T::fields)
            .filter(|(_, value)| !value.is_null())
    }
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
