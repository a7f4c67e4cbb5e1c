//! What is judged: an admission request, in the shapes in which policies see it.

use std::collections::BTreeMap;

use bulkhead_model::Json;
use regorus::Value;

/// A request to be judged.
#[derive(Debug, Clone)]
pub struct Review<'a> {
    /// `request` of the AdmissionReview, whole.
    pub request: &'a Json<'a>,
    /// The Namespace object that the request is in; none if it is in none, or nobody knows it.
    pub namespace: Option<&'a Json<'a>>,
}

/// A value as the engine has it.
pub(crate) fn value(json: &Json<'_>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => number.as_f64().map_or(Value::Undefined, Value::from),
        },
        Json::String(string) => Value::from(string.as_ref()),
        Json::Array(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        Json::Object(object) => {
            let fields = object
                .iter()
                .map(|(key, json)| (Value::from(key), value(json)));
            Value::from(fields.collect::<BTreeMap<_, _>>())
        }
    }
}

pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields
        .into_iter()
        .map(|(key, value)| (Value::from(key), value));
    Value::from(fields.collect::<BTreeMap<_, _>>())
}

impl<'a> Review<'a> {
    pub(crate) fn field(&self, key: &str) -> Option<&'a Json<'a>> {
        self.request.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> &'a str {
        self.field(key).and_then(Json::as_str).unwrap_or_default()
    }

    /// The namespace that the object is in, or that it is; empty if there is none.
    pub(crate) fn within(&self) -> &'a str {
        let is_namespace = self.field("kind").is_some_and(|kind| {
            let text = |key: &str| kind.get(key).and_then(Json::as_str).unwrap_or_default();
            text("kind") == "Namespace" && text("group").is_empty()
        });
        self.text(if is_namespace { "name" } else { "namespace" })
    }

    /// The objects that a constraint may match: as it will be, and as it was.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &'a Json<'a>> {
        ["object", "oldObject"]
            .into_iter()
            .filter_map(|key| self.field(key))
    }

    /// What OPA is asked: the whole AdmissionReview.
    pub(crate) fn for_opa(&self) -> Value {
        object([
            ("apiVersion", Value::from("admission.k8s.io/v1")),
            ("kind", Value::from("AdmissionReview")),
            ("request", value(self.request)),
        ])
    }

    /// `input.review` of Gatekeeper, which has been through Go's type of an AdmissionRequest: what
    /// it does not know is gone, and what it always writes is there.
    pub(crate) fn for_gatekeeper(&self) -> Value {
        let mut fields: BTreeMap<Value, Value> = BTreeMap::new();
        let mut put = |key: &str, value: Value| fields.insert(Value::from(key), value);
        for key in ["uid", "operation"] {
            put(key, Value::from(self.text(key)));
        }
        for (key, names) in [
            ("kind", ["group", "version", "kind"]),
            ("resource", ["group", "version", "resource"]),
        ] {
            put(key, named(self.field(key), names));
        }
        for (key, names) in [
            ("requestKind", ["group", "version", "kind"]),
            ("requestResource", ["group", "version", "resource"]),
        ] {
            if let Some(json) = self.field(key) {
                put(key, named(Some(json), names));
            }
        }
        for key in ["subResource", "requestSubResource", "name", "namespace"] {
            let text = self.text(key);
            if !text.is_empty() {
                put(key, Value::from(text));
            }
        }
        if let Some(dry_run) = self.field("dryRun") {
            put("dryRun", value(dry_run));
        }
        let user = self.field("userInfo").and_then(Json::as_object);
        let user = user.into_iter().flat_map(|user| user.iter());
        let user = user.filter(|(key, json)| {
            let known = ["username", "uid", "groups", "extra"].contains(key);
            let empty = match json {
                Json::Null => true,
                Json::String(text) => text.is_empty(),
                Json::Array(list) => list.is_empty(),
                Json::Object(object) => object.is_empty(),
                _ => false,
            };
            known && !empty
        });
        let user = user.map(|(key, json)| (Value::from(key), value(json)));
        put("userInfo", Value::from(user.collect::<BTreeMap<_, _>>()));
        let old = self.field("oldObject");
        let object = if self.text("operation") == "DELETE" {
            old
        } else {
            self.field("object")
        };
        for (key, json) in [
            ("object", object),
            ("oldObject", old),
            ("options", self.field("options")),
        ] {
            put(key, json.map_or(Value::Null, value));
        }
        put("namespaceObject", self.namespace.map_or(Value::Null, value));
        Value::from(fields)
    }
}

/// The request that would make an object that is there; without an operation, none makes it.
pub(crate) fn request_of(object: &serde_json::Value, operation: &str) -> serde_json::Value {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let version = text("/apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    serde_json::json!({
        "kind": {"group": group, "version": version, "kind": text("/kind")},
        "name": text("/metadata/name"), "namespace": text("/metadata/namespace"),
        "operation": operation, "object": object,
    })
}

fn named(json: Option<&Json<'_>>, names: [&str; 3]) -> Value {
    object(names.map(|name| {
        let text = json.and_then(|json| json.get(name)).and_then(Json::as_str);
        (name, Value::from(text.unwrap_or_default()))
    }))
}
