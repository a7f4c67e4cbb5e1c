//! What the API server says of itself (discovery, schemas, one's own rights), with what works
//! through the gateway and without the rest: the table says which that is.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::path::{Document, Path, Resource};
use crate::request::{Verb, verb_of};
use crate::served;
use crate::sight;
use crate::table::{Answer, Place, Subject, row};

/// Leaves of a document in JSON what works through the gateway.
pub fn narrow_document(document: &Document, value: &mut Value) {
    match document {
        Document::CoreVersions | Document::Groups | Document::Group(_) => {
            hide_addresses(value);
            groups(value);
        }
        Document::GroupVersion { group, .. } => resource_list(group, value),
        Document::OpenApiV3(None) => index(value),
        Document::OpenApiV2 | Document::OpenApiV3(Some(_)) => schemas(value),
        Document::Version | Document::Health(_) => {}
    }
}

/// Whether nothing of what a document is about is there for tenants.
pub(crate) fn is_hidden(document: &Document) -> bool {
    match document {
        Document::Group(group) | Document::GroupVersion { group, .. } => is_hidden_group(group),
        Document::OpenApiV3(Some(name)) => match name.split('/').collect::<Vec<_>>().as_slice() {
            ["apis", group, ..] => is_hidden_group(group),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a path of an OpenAPI document, with a method in lower case, works.
#[must_use]
pub fn operation_works(path: &str, method: &str) -> bool {
    operation(path, method).is_some_and(|(_, works)| works)
}

/// Whether a schema of an OpenAPI document, by its name there, is of a group that tenants see
/// nothing of. Those of custom kinds begin with their group, backwards.
#[must_use]
pub fn schema_is_hidden(name: &str) -> bool {
    served::whole_groups()
        .filter(|group| is_hidden_group(group))
        .any(|group| {
            let backwards: Vec<&str> = group.rsplit('.').collect();
            name.strip_prefix(&backwards.join("."))
                .is_some_and(|rest| rest.starts_with('.'))
        })
}

/// Leaves of a `SelfSubjectRulesReview` what the gateway lets through, and adds what it answers
/// itself.
pub fn narrow_rules(review: &mut Value) {
    let Some(status) = review.get_mut("status").and_then(Value::as_object_mut) else {
        return;
    };
    let mut rules = Vec::new();
    if let Some(Value::Array(given)) = status.get("resourceRules") {
        for rule in given {
            rules.extend(narrow_rule(rule));
        }
    }
    let reads = ["get", "list", "watch"];
    rules.push(json!({"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["namespaces"]}));
    rules.extend(sight::kinds().map(
        |(group, name, _)| json!({"verbs": reads, "apiGroups": [group], "resources": [name]}),
    ));
    status.insert("resourceRules".into(), rules.into());
    let mut paths: Vec<&str> = Vec::new();
    if let Some(Value::Array(given)) = status.get("nonResourceRules") {
        let urls = given.iter().filter_map(|rule| rule.get("nonResourceURLs"));
        let urls: BTreeSet<&str> = urls.flat_map(texts).collect();
        let granted = |url: &&str| urls.contains(url) || urls.contains("*");
        paths.extend(DOCUMENTS.into_iter().filter(granted));
    }
    let documents = match paths.is_empty() {
        true => json!([]),
        false => json!([{"verbs": ["get"], "nonResourceURLs": paths}]),
    };
    status.insert("nonResourceRules".into(), documents);
}

/// Documents as roles name them.
const DOCUMENTS: [&str; 10] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// Whether a verb on a kind or subresource works: in one's own namespaces, or over all of them.
pub(crate) fn works(group: &str, name: &str, namespaced: bool, verb: Verb) -> bool {
    let (resource, subresource) = match name.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (name, None),
    };
    let namespaces = group.is_empty() && resource == "namespaces";
    if !namespaced && !served::is_cluster_kind(group, resource) {
        return false;
    }
    let places: &[Place] = match (namespaced, namespaces) {
        (true, _) => &[Place::Own],
        (false, true) => &[Place::Own, Place::Nowhere],
        (false, false) => &[Place::Nowhere],
    };
    places.iter().any(|place| {
        let subject = Subject {
            group,
            resource,
            subresource,
            verb,
            place: *place,
        };
        row(&subject).is_some_and(|row| !matches!(row.answer, Answer::Refused(_)))
    })
}

/// Whether all of a group is refused.
fn is_hidden_group(group: &str) -> bool {
    served::whole_groups().any(|whole| whole == group)
        && !sight::kinds().any(|(shared, ..)| shared == group)
        && group != "authentication.k8s.io"
}

/// Where the API server is, is nothing that tenants reach. An empty list is what clients take
/// for `the address that you asked`.
fn hide_addresses(document: &mut Value) {
    const FIELD: &str = "serverAddressByClientCIDRs";
    let clear = |object: &mut Value| {
        if let Some(addresses) = object.get_mut(FIELD) {
            *addresses = Value::Array(Vec::new());
        }
    };
    clear(document);
    if let Some(Value::Array(groups)) = document.get_mut("groups") {
        groups.iter_mut().for_each(clear);
    }
}

/// Lists of groups: in the old form, and in that with all resources.
fn groups(document: &mut Value) {
    if let Some(Value::Array(groups)) = document.get_mut("groups") {
        groups.retain(|group| !is_hidden_group(text(group, "name")));
    }
    let Some(Value::Array(items)) = document.get_mut("items") else {
        return;
    };
    items.retain_mut(|item| {
        let group = item.pointer("/metadata/name").and_then(Value::as_str);
        let group = group.unwrap_or_default().to_owned();
        if is_hidden_group(&group) {
            return false;
        }
        let Some(Value::Array(versions)) = item.get_mut("versions") else {
            return false;
        };
        versions.retain_mut(|version| match version.get_mut("resources") {
            Some(Value::Array(resources)) if !resources.is_empty() => {
                resources.retain_mut(|resource| aggregated(&group, resource));
                !resources.is_empty()
            }
            // Its server does not answer at the moment.
            _ => true,
        });
        !versions.is_empty()
    });
}

/// A resource in the form with all resources. Whether anything of it works.
fn aggregated(group: &str, resource: &mut Value) -> bool {
    let name = text(resource, "resource").to_owned();
    let namespaced = text(resource, "scope") == "Namespaced";
    let works = verbs(resource, |verb| works(group, &name, namespaced, verb));
    if let Some(Value::Array(parts)) = resource.get_mut("subresources") {
        parts.retain_mut(|part| {
            let name = format!("{name}/{}", text(part, "subresource"));
            verbs(part, |verb| self::works(group, &name, namespaced, verb))
        });
        return works || !parts.is_empty();
    }
    works
}

fn resource_list(group: &str, document: &mut Value) {
    if let Some(Value::Array(resources)) = document.get_mut("resources") {
        resources.retain_mut(|resource| {
            let name = text(resource, "name").to_owned();
            let namespaced = resource.get("namespaced") == Some(&Value::Bool(true));
            verbs(resource, |verb| works(group, &name, namespaced, verb))
        });
    }
}

/// Leaves of `verbs` those that are kept. Whether there is one.
fn verbs(resource: &mut Value, keep: impl Fn(Verb) -> bool) -> bool {
    let Some(Value::Array(verbs)) = resource.get_mut("verbs") else {
        return false;
    };
    verbs.retain(|verb| verb.as_str().and_then(Verb::named).is_some_and(&keep));
    !verbs.is_empty()
}

/// The index of schemas.
fn index(document: &mut Value) {
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        paths.retain(
            |name, _| match Path::parse(&format!("/openapi/v3/{name}")) {
                Ok(Path::Document(document)) => !is_hidden(&document),
                _ => false,
            },
        );
    }
}

/// A document of schemas: its operations, and its definitions.
fn schemas(document: &mut Value) {
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        let cluster: BTreeSet<(String, String)> = paths
            .keys()
            .filter_map(|path| match operation(path, "get") {
                Some((Some(resource), _)) if resource.namespace.is_none() => {
                    resource.name.map(|_| (resource.group, resource.resource))
                }
                _ => None,
            })
            .collect();
        paths.retain(|path, operations| {
            let Some(operations) = operations.as_object_mut() else {
                return false;
            };
            operations.retain(|method, _| match operation(path, method) {
                // What stands for all methods: parameters, a description.
                None => !METHODS.contains(&method.as_str()),
                Some((Some(resource), works)) => {
                    works && !unknown(&cluster, &resource.group, &resource.resource)
                }
                Some((None, works)) => works,
            });
            METHODS
                .iter()
                .any(|method| operations.contains_key(*method))
        });
    }
    if let Some(Value::Object(definitions)) = document.get_mut("definitions") {
        definitions.retain(|name, _| !schema_is_hidden(name));
    }
}

/// Whether a kind lives in no namespace and is none that the table knows.
fn unknown(cluster: &BTreeSet<(String, String)>, group: &str, resource: &str) -> bool {
    !served::is_cluster_kind(group, resource)
        && cluster.contains(&(group.to_owned(), resource.to_owned()))
}

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// What an operation of an OpenAPI document is about, and whether it works; none if the path or
/// the method is none of this gateway's.
fn operation(path: &str, method: &str) -> Option<(Option<Resource>, bool)> {
    let filled: Vec<&str> = path
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => "x",
            false => segment,
        })
        .collect();
    let resource = match Path::parse(&filled.join("/")).ok()? {
        Path::Document(document) => return Some((None, method == "get" && !is_hidden(&document))),
        Path::Resource(resource) => resource,
    };
    let (verb, _) = verb_of(&method.to_ascii_uppercase(), &resource).ok()?;
    let name = match &resource.subresource {
        Some(subresource) => format!("{}/{subresource}", resource.resource),
        None => resource.resource.clone(),
    };
    let place = match (
        resource.is_namespaces(),
        &resource.namespace,
        &resource.name,
    ) {
        (false, Some(_), _) | (true, _, Some(_)) => Place::Own,
        _ => Place::Nowhere,
    };
    let subject = Subject {
        group: &resource.group,
        resource: &resource.resource,
        subresource: resource.subresource.as_deref(),
        verb,
        place,
    };
    let refused = row(&subject).is_none_or(|row| matches!(row.answer, Answer::Refused(_)));
    let known = served::is_cluster_kind(&resource.group, &resource.resource);
    let works = !refused && works(&resource.group, &name, !known, verb);
    Some((Some(resource), works))
}

/// A rule without the verbs that the gateway refuses: as it is, or one for each kind.
fn narrow_rule(rule: &Value) -> Vec<Value> {
    let given = |field: &str| rule.get(field).map(texts).unwrap_or_default();
    let mut rules = Vec::new();
    for group in given("apiGroups") {
        for resource in given("resources") {
            let namespaced = !served::is_cluster_kind(group, resource);
            let verbs: Vec<&str> = Verb::ALL
                .into_iter()
                .filter(|verb| {
                    let named = given("verbs");
                    let asked = named
                        .iter()
                        .any(|name| *name == "*" || *name == verb.as_str());
                    asked && works(group, resource, namespaced, *verb)
                })
                .map(Verb::as_str)
                .collect();
            if verbs.is_empty() {
                continue;
            }
            let mut narrowed = Map::new();
            narrowed.insert("verbs".into(), json!(verbs));
            narrowed.insert("apiGroups".into(), json!([group]));
            narrowed.insert("resources".into(), json!([resource]));
            if let Some(names) = rule.get("resourceNames") {
                narrowed.insert("resourceNames".into(), names.clone());
            }
            rules.push(Value::Object(narrowed));
        }
    }
    rules
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
