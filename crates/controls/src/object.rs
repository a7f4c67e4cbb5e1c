//! Any object at all, for the rules that are about a kind of their own or about metadata.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use crate::carriers::Carrier;

/// An object, as it was sent, and what it was sent as.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    carrier: &'a Carrier,
    value: &'a Json<'a>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(carrier: &'a Carrier, value: &'a Json<'a>) -> Self {
        Self { carrier, value }
    }

    /// Whether it is of this group (empty for the core) and resource, by whatever subresource that
    /// shows the object itself.
    #[must_use]
    pub fn is(self, group: &str, resource: &str) -> bool {
        self.carrier.group == group
            && self.carrier.resource == resource
            && self.carrier.only.is_none()
    }

    /// Whether it is the object of a subresource that has a kind of its own, such as the TokenRequest
    /// of `serviceaccounts/token`.
    #[must_use]
    pub fn is_sub(self, group: &str, resource: &str, subresource: &str) -> bool {
        self.carrier.group == group
            && self.carrier.resource == resource
            && self
                .carrier
                .only
                .is_some_and(|only| only.subresource == subresource)
    }

    /// Its API group, empty for the core.
    #[must_use]
    pub fn group(self) -> &'a str {
        &self.carrier.group
    }

    /// Every pod in it: itself, or the template of those that it makes.
    pub fn pods(self) -> impl Iterator<Item = Pod<'a>> {
        self.carrier.pods(self.value)
    }

    /// All its fields.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields::of(Some(self.value))
    }

    /// Its `spec`.
    #[must_use]
    pub fn spec(self) -> Fields<'a> {
        self.fields().at("spec")
    }

    /// Its `metadata`.
    #[must_use]
    pub fn metadata(self) -> Fields<'a> {
        self.fields().at("metadata")
    }
}
