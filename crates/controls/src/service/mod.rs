//! Services: how tenants' traffic is drawn to addresses.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::Fields;

pub(crate) mod external_ip;
pub(crate) mod load_balancer_annotation;

/// A Service, as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    object: &'a Json<'a>,
}

impl<'a> Service<'a> {
    pub(crate) fn of(object: &'a Json<'a>) -> Self {
        Self { object }
    }

    /// The Service's `spec`.
    #[must_use]
    pub fn spec(self) -> Fields<'a> {
        Fields::of(self.object.get("spec"))
    }

    /// The Service's `metadata`.
    #[must_use]
    pub fn metadata(self) -> Fields<'a> {
        Fields::of(self.object.get("metadata"))
    }

    /// The path of a field of the spec.
    #[must_use]
    pub fn path(self, field: &'static str) -> FieldPath {
        FieldPath::of("spec").then(field)
    }
}
