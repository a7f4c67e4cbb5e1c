//! Updates that the plugin looks away from.

use bulkhead_model::Json;
use serde_json::Value;

/// Whether an update changes nothing but owner references and finalizers, which the garbage
/// collector writes, and what says who wrote what. Quantities that are written differently count
/// as different, so that too much is looked at rather than too little.
#[must_use]
pub fn only_owners_and_finalizers(old: &Json<'_>, new: &Json<'_>) -> bool {
    stripped(old) == stripped(new)
}

fn stripped(object: &Json<'_>) -> Value {
    let mut value = Value::from(object);
    if let Some(metadata) = value
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        for key in ["ownerReferences", "finalizers", "selfLink", "managedFields"] {
            metadata.remove(key);
        }
    }
    without_empty(&mut value);
    value
}

/// Lists and maps that are empty are as good as unset, and so is `null`.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(without_empty);
            fields.retain(|key, value| {
                let map = matches!(key.as_str(), "annotations" | "labels" | "nodeSelector");
                match value {
                    Value::Null => false,
                    Value::Array(list) => !list.is_empty(),
                    Value::Object(fields) => !(map && fields.is_empty()),
                    _ => true,
                }
            });
        }
        Value::Array(list) => list.iter_mut().for_each(without_empty),
        _ => {}
    }
}
