//! Lists of classes that a tenant may name: `{allowed, allowedRegex, default}`.

use std::collections::BTreeSet;

use crate::Fields;
use bulkhead_model::{ClassList, ClassName, ClassPattern, FieldPath, classes::MAX_PATTERN};
use serde_json::{Value, json};

use crate::error::Errors;
use crate::parse::{known, list, object};

/// Whether objects that name no class get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultClass {
    /// The list has a field `default`.
    Settable,
    /// Objects of the kind always name their class.
    Never,
}

/// The schema of a list of classes.
pub(crate) fn class_list_schema(description: &str, default: DefaultClass) -> Value {
    let name = || json!({"type": "string", "minLength": 1, "maxLength": 253});
    let mut schema = json!({
        "type": "object",
        "description": description,
        "properties": {
            "allowed": {
                "type": "array",
                "description": "Names.",
                "maxItems": ClassList::MAX_ALLOWED,
                "x-kubernetes-list-type": "set",
                "items": name(),
            },
            "allowedRegex": {
                "type": "string",
                "description": "Names that this regular expression fits as a whole, in the syntax of RE2: no look-around, no back-references.",
                "minLength": 1,
                "maxLength": MAX_PATTERN,
            },
        },
    });
    if default == DefaultClass::Settable
        && let Some(properties) = schema
            .pointer_mut("/properties")
            .and_then(Value::as_object_mut)
    {
        let mut field = name();
        if let Some(field) = field.as_object_mut() {
            let text = "Given to objects that name none, and allowed without being listed.";
            field.insert("description".to_owned(), json!(text));
        }
        properties.insert("default".to_owned(), field);
    }
    schema
}

/// Reads the list of classes in `parent.field`; empty if there is none. `more` are fields that
/// stand in the object beside those of the list.
pub(crate) fn parse_class_list(
    parent: Fields<'_>,
    path: &FieldPath,
    field: &'static str,
    default: DefaultClass,
    more: &[&str],
    errors: &mut Errors,
) -> ClassList {
    let path = path.clone().then(field);
    let fields = object(parent.get(field), &path, errors);
    let mut names = vec!["allowed", "allowedRegex"];
    if default == DefaultClass::Settable {
        names.push("default");
    }
    names.extend(more);
    known(fields, &path, &names, errors);
    let mut classes = ClassList {
        allowed: parse_allowed(fields, &path, errors),
        ..ClassList::default()
    };
    if let Some(pattern) = fields.get("allowedRegex") {
        match ClassPattern::parse(pattern.as_str().unwrap_or_default()) {
            Ok(pattern) => classes.allowed_regex = Some(pattern),
            Err(error) => errors.add(path.clone().then("allowedRegex"), error.to_string()),
        }
    }
    if let (DefaultClass::Settable, Some(name)) = (default, fields.get("default")) {
        match ClassName::parse(name.as_str().unwrap_or_default()) {
            Ok(name) => classes.default = Some(name),
            Err(error) => errors.add(path.then("default"), error.to_string()),
        }
    }
    classes
}

fn parse_allowed(fields: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> BTreeSet<ClassName> {
    let path = path.clone().then("allowed");
    let mut allowed = BTreeSet::new();
    let items = list(fields, "allowed", &path, ClassList::MAX_ALLOWED, errors);
    for (i, item) in items.iter().enumerate() {
        let path = path.clone().index(i);
        match ClassName::parse(item.as_str().unwrap_or_default()) {
            Err(error) => errors.add(path, error.to_string()),
            Ok(name) if allowed.contains(&name) => {
                errors.add(path, format!("`{name}` stands twice"));
            }
            Ok(name) => drop(allowed.insert(name)),
        }
    }
    allowed
}
