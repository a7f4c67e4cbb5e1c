//! Any object at all, for the rules that are about a kind of their own or about metadata.

use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Pod};

use crate::carriers::CARRIERS;

/// An object, as it was sent, and what it was sent as.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    group: &'a str,
    resource: &'a str,
    value: &'a Json<'a>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(group: &'a str, resource: &'a str, value: &'a Json<'a>) -> Self {
        Self {
            group,
            resource,
            value,
        }
    }

    /// Whether it is of this group (empty for the core) and resource.
    #[must_use]
    pub fn is(self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }

    /// Every pod in it: itself, or the template of those that it makes.
    pub fn pods(self) -> impl Iterator<Item = Pod<'a>> {
        let carriers = CARRIERS.iter();
        carriers
            .filter(move |carrier| self.is(carrier.group, carrier.resource))
            .flat_map(move |carrier| carrier.pods(self.value))
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
