//! `spec.match` of a constraint: which objects it is about.

use std::collections::BTreeMap;

use bulkhead_model::Json;
use bulkhead_model::network::{LabelSelector, Operator};
use serde_json::Value;

use crate::audit::covers;
use crate::review::Review;

/// What a constraint matches. All parts must fit; a part that is not there fits everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Match {
    kinds: Vec<(Vec<String>, Vec<String>)>,
    scope: Scope,
    namespaces: Vec<Wildcard>,
    excluded: Vec<Wildcard>,
    labels: Option<LabelSelector>,
    namespace: Option<LabelSelector>,
    name: Option<Wildcard>,
    /// Whether it is about objects that do not exist yet but will be made of others, which nobody
    /// shows us.
    generated: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Scope {
    #[default]
    Any,
    Cluster,
    Namespaced,
}

/// A name, or a part of names: `kube-*`, `*-system`, `*test*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard(pub(crate) String);

impl Wildcard {
    pub(crate) fn fits(&self, name: &str) -> bool {
        match (self.0.strip_prefix('*'), self.0.strip_suffix('*')) {
            (Some(rest), Some(_)) => name.contains(rest.strip_suffix('*').unwrap_or(rest)),
            (Some(end), None) => name.ends_with(end),
            (None, Some(start)) => name.starts_with(start),
            (None, None) => self.0 == name,
        }
    }

    /// Of a name that is still to be made, only the beginning is known.
    fn fits_beginning(&self, name: &str) -> bool {
        self.0.ends_with('*') && self.fits(name)
    }
}

/// The fields that `match` may have.
const FIELDS: [&str; 9] = [
    "kinds",
    "scope",
    "namespaces",
    "excludedNamespaces",
    "labelSelector",
    "namespaceSelector",
    "name",
    "source",
    "apiVersions",
];

impl Match {
    /// The groups and kinds that may be matched, pair by pair; none: all.
    pub(crate) fn kinds(&self) -> &[(Vec<String>, Vec<String>)] {
        &self.kinds
    }

    /// Reads `spec.match`. The message names the field.
    pub(crate) fn parse(json: &Value) -> Result<Self, String> {
        let Some(fields) = json.as_object() else {
            return Err("`spec.match` is not an object".to_owned());
        };
        // Of an unknown field nobody knows whether it would widen or narrow.
        if let Some(key) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("`spec.match.{key}` is not known"));
        }
        let mut kinds = Vec::new();
        for kind in list(json, "kinds")? {
            kinds.push((texts(kind, "apiGroups")?, texts(kind, "kinds")?));
        }
        Ok(Self {
            kinds,
            scope: match text(json, "scope")?.unwrap_or("*") {
                "*" | "" => Scope::Any,
                "Cluster" => Scope::Cluster,
                "Namespaced" => Scope::Namespaced,
                _ => {
                    return Err(
                        "`spec.match.scope` is not `*`, `Cluster` or `Namespaced`".to_owned()
                    );
                }
            },
            namespaces: wildcards(json, "namespaces")?,
            excluded: wildcards(json, "excludedNamespaces")?,
            labels: selector(json, "labelSelector")?,
            namespace: selector(json, "namespaceSelector")?,
            name: text(json, "name")?
                .filter(|name| !name.is_empty())
                .map(|name| Wildcard(name.to_owned())),
            generated: match text(json, "source")?.unwrap_or("All") {
                "All" | "" | "Original" => false,
                "Generated" => true,
                _ => {
                    return Err(
                        "`spec.match.source` is not `All`, `Original` or `Generated`".to_owned(),
                    );
                }
            },
        })
    }

    /// Whether the request is matched.
    ///
    /// # Errors
    /// If it cannot be told, which denies.
    pub(crate) fn matches(&self, review: &Review<'_>) -> Result<bool, String> {
        let mut some = false;
        // An object that is deleted is there twice for Gatekeeper, which changes nothing.
        for object in review.objects() {
            some = true;
            if self.fits(object, review)? {
                return Ok(true);
            }
        }
        if some {
            Ok(false)
        } else {
            Err("the request holds no object".to_owned())
        }
    }

    fn fits(&self, object: &Json<'_>, review: &Review<'_>) -> Result<bool, String> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Json::as_str)
                .unwrap_or_default()
        };
        let group = text("/apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let kind = text("/kind");
        let is_namespace = kind == "Namespace" && group.is_empty();
        let own = text("/metadata/namespace");
        let namespace = review
            .namespace
            .and_then(|namespace| namespace.pointer("/metadata/name"))
            .and_then(Json::as_str);
        if !covers(&self.kinds, group, kind) {
            return Ok(false);
        }
        let namespaced = !own.is_empty() || review.namespace.is_some();
        let scoped = match self.scope {
            Scope::Any => true,
            Scope::Cluster => is_namespace || !namespaced,
            Scope::Namespaced => !is_namespace && namespaced,
        };
        if !scoped {
            return Ok(false);
        }
        let within = if is_namespace {
            Some(text("/metadata/name"))
        } else {
            namespace.or(Some(own).filter(|own| !own.is_empty()))
        };
        if let Some(within) = within {
            let any = |names: &[Wildcard]| names.iter().any(|name| name.fits(within));
            if (!self.namespaces.is_empty() && !any(&self.namespaces)) || any(&self.excluded) {
                return Ok(false);
            }
        }
        if let Some(selector) = &self.labels
            && !selects(selector, &labels(object))
        {
            return Ok(false);
        }
        if let Some(selector) = &self.namespace {
            let labels = match (is_namespace, review.namespace) {
                (true, _) => Some(labels(object)),
                (false, Some(namespace)) => Some(labels(namespace)),
                (false, None) if own.is_empty() => None,
                (false, None) => {
                    return Err(format!(
                        "the namespace `{own}` is not known, so its labels are not"
                    ));
                }
            };
            if labels.is_some_and(|labels| !selects(selector, &labels)) {
                return Ok(false);
            }
        }
        if let Some(name) = &self.name
            && !name.fits(text("/metadata/name"))
            && !name.fits_beginning(text("/metadata/generateName"))
        {
            return Ok(false);
        }
        Ok(!self.generated)
    }
}

fn labels<'a>(object: &'a Json<'_>) -> BTreeMap<&'a str, &'a str> {
    let labels = object.pointer("/metadata/labels").and_then(Json::as_object);
    let labels = labels.into_iter().flat_map(|labels| labels.iter());
    labels
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .collect()
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<&str, &str>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()));
    equal
        && selector.match_expressions.iter().all(|requirement| {
            let label = labels.get(requirement.key.as_str());
            let listed = label.is_some_and(|label| requirement.values.iter().any(|v| v == label));
            match requirement.operator {
                Operator::In => listed,
                Operator::NotIn => !listed,
                Operator::Exists => label.is_some(),
                Operator::DoesNotExist => label.is_none(),
            }
        })
}

fn field<'a>(json: &'a Value, key: &str) -> Option<&'a Value> {
    json.get(key).filter(|value| !value.is_null())
}

fn text<'a>(json: &'a Value, key: &str) -> Result<Option<&'a str>, String> {
    let wrong = || format!("`spec.match.{key}` is not a string");
    field(json, key)
        .map(|value| value.as_str().ok_or_else(wrong))
        .transpose()
}

fn list<'a>(json: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let Some(value) = field(json, key) else {
        return Ok(&[]);
    };
    let wrong = || format!("`{key}` in `spec.match` is not a list");
    value.as_array().map(Vec::as_slice).ok_or_else(wrong)
}

fn texts(json: &Value, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` in `spec.match` is not a list of strings");
    let each = list(json, key)?
        .iter()
        .map(|value| value.as_str().map(str::to_owned));
    each.collect::<Option<_>>().ok_or_else(wrong)
}

fn wildcards(json: &Value, key: &str) -> Result<Vec<Wildcard>, String> {
    Ok(texts(json, key)?.into_iter().map(Wildcard).collect())
}

fn selector(json: &Value, key: &str) -> Result<Option<LabelSelector>, String> {
    let Some(value) = field(json, key) else {
        return Ok(None);
    };
    let selector: LabelSelector = serde_json::from_value(value.clone())
        .map_err(|error| format!("`spec.match.{key}`: {error}"))?;
    for requirement in &selector.match_expressions {
        let wants = matches!(requirement.operator, Operator::In | Operator::NotIn);
        if wants == requirement.values.is_empty() {
            let wants = if wants { "wants" } else { "takes no" };
            return Err(format!(
                "`spec.match.{key}`: `{:?}` of `{}` {wants} values",
                requirement.operator, requirement.key
            ));
        }
    }
    Ok(Some(selector))
}
