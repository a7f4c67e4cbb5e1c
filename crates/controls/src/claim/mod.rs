//! PersistentVolumeClaims: in their own right, in a StatefulSet's templates, in a pod's volumes.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::{Fields, Volume};

use crate::carriers;

pub(crate) mod host_path_claim;
pub(crate) mod storage_annotation;
pub(crate) mod storage_class_unlisted;
pub(crate) mod volume_preclaimed;

/// A claim, or the template of one.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    value: &'a Json<'a>,
    place: Place<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Whole,
    Template(&'static str, usize),
    Volume(Volume<'a>),
}

impl<'a> Claim<'a> {
    pub(crate) fn of(object: &'a Json<'a>) -> Self {
        Self {
            value: object,
            place: Place::Whole,
        }
    }

    pub(crate) fn templates(object: &'a Json<'a>, at: &'static str) -> impl Iterator<Item = Self> {
        let list = carriers::at(object, at).0.and_then(Json::as_array);
        list.into_iter()
            .flatten()
            .enumerate()
            .map(move |(index, value)| Self {
                value,
                place: Place::Template(at, index),
            })
    }

    pub(crate) fn of_volume(volume: Volume<'a>) -> Option<Self> {
        let value = volume.fields().at("ephemeral").get("volumeClaimTemplate")?;
        Some(Self {
            value,
            place: Place::Volume(volume),
        })
    }

    /// Whether this is a claim itself, and no template.
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self.place, Place::Whole)
    }

    /// The claim's `spec`.
    #[must_use]
    pub fn spec(self) -> Fields<'a> {
        Fields::of(self.value.get("spec"))
    }

    /// The claim's `metadata`.
    #[must_use]
    pub fn metadata(self) -> Fields<'a> {
        Fields::of(self.value.get("metadata"))
    }

    /// The path of a place in the claim, from the root of the object that was sent.
    #[must_use]
    pub fn path(self, dotted: &'static str) -> FieldPath {
        match self.place {
            Place::Whole => FieldPath::default(),
            Place::Template(at, index) => FieldPath::of(at).index(index),
            Place::Volume(volume) => volume.path("ephemeral.volumeClaimTemplate"),
        }
        .then(dotted)
    }
}
