//! The part of OpenAPI schemas that the API server checks custom resources by, for parameters that
//! no API server has seen: those in files, and those in tests.

use serde_json::{Map, Value};

/// What a schema may say. Whatever else it says is refused, not left out.
const KNOWN: [&str; 24] = [
    "type",
    "properties",
    "items",
    "additionalProperties",
    "required",
    "enum",
    "default",
    "description",
    "title",
    "example",
    "format",
    "nullable",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "uniqueItems",
];

/// How deep a schema may nest.
const MAX_DEPTH: usize = 24;

/// Whether it is a schema that can be checked by; if not, the message names the path.
pub(crate) fn well_formed(schema: &Value, path: &str, depth: usize) -> Result<(), String> {
    let Some(fields) = schema.as_object() else {
        return Err(format!("`{path}` is not a schema but `{schema}`"));
    };
    if depth > MAX_DEPTH {
        return Err(format!("`{path}` is nested deeper than {MAX_DEPTH}"));
    }
    // Kubernetes writes `anyOf` beside its own word for the same.
    let either = fields.contains_key("x-kubernetes-int-or-string");
    let known = |key: &str| KNOWN.contains(&key) || (either && key == "anyOf");
    if let Some(key) = fields.keys().find(|key| !known(key)) {
        return Err(format!(
            "`{path}.{key}` is no part of a schema that is checked"
        ));
    }
    if let Some(kind) = fields.get("type") {
        let known = [
            "object", "array", "string", "integer", "number", "boolean", "",
        ];
        if !kind.as_str().is_some_and(|kind| known.contains(&kind)) {
            return Err(format!("`{path}.type` is not a type but `{kind}`"));
        }
    }
    if let Some(pattern) = fields.get("pattern") {
        let pattern = pattern.as_str().unwrap_or_default();
        regex::RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| format!("`{path}.pattern` does not compile: `{pattern}`"))?;
    }
    if let Some(properties) = fields.get("properties") {
        let Some(properties) = properties.as_object() else {
            return Err(format!("`{path}.properties` is not an object"));
        };
        for (name, schema) in properties {
            well_formed(schema, &format!("{path}.properties.{name}"), depth + 1)?;
        }
    }
    if let Some(items) = fields.get("items") {
        well_formed(items, &format!("{path}.items"), depth + 1)?;
    }
    match fields.get("additionalProperties") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(schema) => well_formed(schema, &format!("{path}.additionalProperties"), depth + 1),
    }
}

/// Sets what is unset and has a default, as the API server does.
pub(crate) fn set_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, schema) in properties.into_iter().flatten() {
                if let (None, Some(default)) = (object.get(name), schema.get("default")) {
                    object.insert(name.clone(), default.clone());
                }
                if let Some(value) = object.get_mut(name) {
                    set_defaults(schema, value);
                }
            }
            if let Some(schema) = schema.get("additionalProperties").filter(|s| s.is_object()) {
                object
                    .values_mut()
                    .for_each(|value| set_defaults(schema, value));
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                list.iter_mut().for_each(|value| set_defaults(items, value));
            }
        }
        _ => {}
    }
}

/// Checks a value; the message names its path.
pub(crate) fn check(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    if value.is_null() && schema.get("nullable").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    typed(schema, value, path)?;
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return Err(format!(
            "`{path}` is `{value}`, which is not one of the choices"
        ));
    }
    match value {
        Value::Object(object) => fields(schema, object, path),
        Value::Array(list) => {
            bounds(schema, list.len(), ("minItems", "maxItems"), path)?;
            let items = schema.get("items");
            for (at, value) in list.iter().enumerate() {
                if let Some(items) = items {
                    check(items, value, &format!("{path}[{at}]"))?;
                }
            }
            Ok(())
        }
        Value::String(text) => {
            bounds(
                schema,
                text.chars().count(),
                ("minLength", "maxLength"),
                path,
            )?;
            let pattern = schema.get("pattern").and_then(Value::as_str);
            let fits = pattern.is_none_or(|pattern| {
                regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
            });
            if fits {
                Ok(())
            } else {
                Err(format!("`{path}` does not match the schema's pattern"))
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
            if limit("minimum").is_some_and(|least| number < least)
                || limit("maximum").is_some_and(|most| number > most)
            {
                return Err(format!(
                    "`{path}` is {number}, outside of the schema's limits"
                ));
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn typed(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let int_or_string = "x-kubernetes-int-or-string";
    let fits = match schema.get("type").and_then(Value::as_str) {
        _ if schema.get(int_or_string).and_then(Value::as_bool) == Some(true) => {
            value.is_string() || value.is_i64() || value.is_u64()
        }
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("integer or string");
    Err(format!("`{path}` is `{value}`; the schema wants {kind}"))
}

fn fields(schema: &Value, object: &Map<String, Value>, path: &str) -> Result<(), String> {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if !object.contains_key(name.as_str().unwrap_or_default()) {
            return Err(format!(
                "`{path}.{}` is missing",
                name.as_str().unwrap_or_default()
            ));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let keeps = "x-kubernetes-preserve-unknown-fields";
    let keeps = schema.get(keeps).and_then(Value::as_bool) == Some(true);
    for (name, value) in object {
        let path = format!("{path}.{name}");
        if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
            check(schema, value, &path)?;
            continue;
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => {}
            Some(schema @ Value::Object(_)) => check(schema, value, &path)?,
            // A schema that says nothing of fields leaves them alone; one that names some would
            // lose the others in the API server, and the policy what it was told.
            _ if keeps || properties.is_none() => {}
            _ => return Err(format!("`{path}` is not in the schema")),
        }
    }
    Ok(())
}

fn bounds(schema: &Value, size: usize, keys: (&str, &str), path: &str) -> Result<(), String> {
    let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
    let size = size as u64;
    if limit(keys.0).is_some_and(|least| size < least)
        || limit(keys.1).is_some_and(|most| size > most)
    {
        return Err(format!(
            "`{path}` has a length of {size}, outside of the schema's limits"
        ));
    }
    Ok(())
}
