//! `spec.resources.limitRange`: what a LimitRange's `spec` may hold.

use bulkhead_model::FieldPath;
use bulkhead_model::counted::kind_of;
use bulkhead_model::quantity::{Amount, Amounts};
use serde_json::{Value, json};

use crate::Fields;
use crate::error::Errors;
use crate::parse::{known, list, object};
use bulkhead_model::quantity::nanos;

/// The limits of a tenant that names none: no container without requests and limits.
#[must_use]
pub fn default_limits() -> Vec<Value> {
    vec![json!({
        "type": "Container",
        "default": {"cpu": "500m", "ephemeral-storage": "1Gi", "memory": "512Mi"},
        "defaultRequest": {"cpu": "50m", "ephemeral-storage": "128Mi", "memory": "128Mi"},
    })]
}

/// How many resources a quota limits.
pub(crate) const MAX_HARD: usize = 64;

/// `spec.resources.quota.hard`: what the tenant may use over all its namespaces together.
pub(crate) fn parse_quota(resources: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> Amounts {
    let path = path.clone().then("quota");
    let quota = object(resources.get("quota"), &path, errors);
    known(quota, &path, &["hard"], errors);
    if resources.get("quota").is_some() && quota.get("hard").is_none() {
        errors.add(path.clone(), "expected `hard`");
    }
    let path = path.then("hard");
    let hard = object(quota.get("hard"), &path, errors);
    let mut amounts = Amounts::new();
    for (resource, quantity) in hard.iter() {
        let path = path.clone().key(resource);
        match (kind_of(resource), Amount::of(quantity)) {
            (Err(why), _) => errors.add(path, format!("`{resource}` {why}")),
            (Ok(_), None) => errors.add(
                path,
                format!("`{quantity}` is not a quantity, such as `20`, `500m` or `1Gi`"),
            ),
            (Ok(_), Some(amount)) => {
                amounts.insert(resource.to_owned(), amount);
            }
        }
    }
    if amounts.len() > MAX_HARD {
        errors.add(path, format!("at most {MAX_HARD} resources can be limited"));
    }
    amounts
}

pub(crate) const TYPES: [&str; 3] = ["Container", "Pod", "PersistentVolumeClaim"];
pub(crate) const MAX_LIMITS: usize = 16;

/// Lists of resources of one limit, each no larger than those after it.
const ASCENDING: [&str; 4] = ["min", "defaultRequest", "default", "max"];
const RATIO: &str = "maxLimitRequestRatio";

pub(crate) fn parse_limits(range: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> Vec<Value> {
    let path = path.clone().then("limits");
    let limits = list(range, "limits", &path, MAX_LIMITS, errors);
    if limits.is_empty() {
        errors.add(path, "expected at least one limit");
        return Vec::new();
    }
    for (i, limit) in limits.iter().enumerate() {
        parse_limit(limit, &path.clone().index(i), errors);
    }
    limits.to_vec()
}

fn parse_limit(limit: &Value, path: &FieldPath, errors: &mut Errors) {
    let fields = object(Some(limit), path, errors);
    known(
        fields,
        path,
        &["type", "min", "defaultRequest", "default", "max", RATIO],
        errors,
    );
    let kind = fields.str("type").unwrap_or_default();
    if !TYPES.contains(&kind) {
        errors.add(
            path.clone().then("type"),
            format!("expected one of {}", TYPES.join(", ")),
        );
        return;
    }
    for field in ASCENDING.into_iter().chain([RATIO]) {
        let path = path.clone().then(field);
        for (resource, quantity) in object(fields.get(field), &path, errors).iter() {
            if nanos(quantity).is_none() {
                let path = path.clone().key(resource);
                errors.add(
                    path,
                    format!("`{quantity}` is not a quantity, such as `500m` or `1Gi`"),
                );
            }
        }
        let defaults = field.starts_with("default");
        if defaults && kind != "Container" && fields.get(field).is_some() {
            errors.add(
                path,
                format!("only a limit of type `Container` has defaults, not `{kind}`"),
            );
        }
    }
    check_order(fields, path, errors);
    let storage = |field| fields.at(field).get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        errors.add(path.clone(), "expected `min` or `max` of `storage`");
    }
}

/// The API server refuses a LimitRange that contradicts itself; said here, it names the field.
fn check_order(limit: Fields<'_>, path: &FieldPath, errors: &mut Errors) {
    for (i, low) in ASCENDING.into_iter().enumerate() {
        for high in ASCENDING.into_iter().skip(i + 1) {
            for (resource, small) in limit.at(low).iter() {
                let Some(large) = limit.at(high).get(resource) else {
                    continue;
                };
                if let (Some(a), Some(b)) = (nanos(small), nanos(large))
                    && a > b
                {
                    let path = path.clone().then(low).key(resource);
                    errors.add(path, format!("{small} is more than `{high}`, {large}"));
                }
            }
        }
    }
}
