//! Classes that the platform offers, and which of them a tenant may name.

use bulkhead_model::view::Fields;
use bulkhead_model::{ClassList, FieldPath};

use crate::object::Object;

pub(crate) mod device_admin_access;
pub(crate) mod device_class_unlisted;
pub(crate) mod missing_runtime_class;
pub(crate) mod priority_class_unlisted;

/// What a refusal of a class says after the path.
fn unlisted(name: &str, classes: &ClassList) -> String {
    format!("is `{name}`; the tenant may name {classes}")
}

/// A request for devices, and where it stands.
struct DeviceRequest<'a> {
    fields: Fields<'a>,
    path: FieldPath,
}

/// Every request for devices of a ResourceClaim or the template of one, in each of the forms that
/// versions of the API have: alone, under `exactly`, or as one of several to be tried.
fn device_requests<'a>(object: &Object<'a>) -> Vec<DeviceRequest<'a>> {
    const GROUP: &str = "resource.k8s.io";
    let (spec, path) = if object.is(GROUP, "resourceclaims") {
        (object.spec(), FieldPath::of("spec"))
    } else if object.is(GROUP, "resourceclaimtemplates") {
        (object.spec().at("spec"), FieldPath::of("spec.spec"))
    } else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let path = path.then("devices.requests");
    for (index, request) in spec.at("devices").list("requests").iter().enumerate() {
        let (fields, path) = (Fields::of(Some(request)), path.clone().index(index));
        let exactly = DeviceRequest {
            fields: fields.at("exactly"),
            path: path.clone().then("exactly"),
        };
        let tried = fields.list("firstAvailable").iter().enumerate();
        let tried = tried.map(|(index, request)| DeviceRequest {
            fields: Fields::of(Some(request)),
            path: path.clone().then("firstAvailable").index(index),
        });
        found.extend(tried);
        found.push(exactly);
        found.push(DeviceRequest { fields, path });
    }
    found
}
