//! `spec.nodes`: where a tenant's pods run.

use std::collections::{BTreeMap, BTreeSet};

use crate::Fields;
use bulkhead_model::{
    ClassName, FieldPath, LabelKey, LabelValue, NodeSelector, Nodes, Placement, Tenant, labels,
};
use serde_json::{Value, json};

use crate::error::{Errors, FieldError};
use crate::parse::{known, list, object};

const MAX_LABELS: usize = 16;
const MAX_TOLERATIONS: usize = 32;
const MAX_SCHEDULERS: usize = 16;
/// Labels of this domain are out of kubelets' reach.
const OUT_OF_REACH: &str = "node-restriction.kubernetes.io/";
/// Taints of this domain tell of a node's state. To tolerate them at will would be to ignore it.
const STATE: &str = "node.kubernetes.io/";

pub(crate) fn nodes_schema() -> Value {
    json!({
        "type": "object",
        "description": "Where the tenant's pods run.",
        "default": {},
        "x-kubernetes-validations": [
            {
                "rule": "(has(self.placement) && self.placement != 'Shared') == has(self.selector)",
                "message": "expected with placement `Labelled` or `Dedicated`, and with these alone",
                "fieldPath": ".selector",
            },
            {
                "rule": format!("!has(self.placement) || self.placement != 'Labelled' || !has(self.selector) || self.selector.matchLabels.exists(k, k.startsWith('{OUT_OF_REACH}'))"),
                "message": format!("with placement `Labelled` at least one key must start with `{OUT_OF_REACH}`: a kubelet sets any other on its own node, and draws the tenant's pods there"),
                "fieldPath": ".selector.matchLabels",
            },
        ],
        "properties": {
            "placement": {
                "type": "string",
                "description": "Shared: on everybody's nodes. Labelled: on nodes that the selector selects, perhaps beside others. Dedicated: the nodes that the selector selects are claimed, tainted and emptied of others' pods, and the tenant's pods run there alone.",
                "enum": ["Shared", "Labelled", "Dedicated"],
                "default": "Shared",
            },
            "selector": {
                "type": "object",
                "description": "The nodes.",
                "required": ["matchLabels"],
                "properties": {"matchLabels": {
                    "type": "object",
                    "description": "Labels that a node must have, all of them.",
                    "minProperties": 1,
                    "maxProperties": MAX_LABELS,
                    "additionalProperties": {"type": "string", "maxLength": 63},
                    "x-kubernetes-validations": [{
                        "rule": format!("!self.exists(k, k == '{}')", labels::NODE_TENANT),
                        "message": format!("`{}` is set by Bulkhead on nodes that it has claimed: select by another label", labels::NODE_TENANT),
                    }],
                }},
            },
            "allowedTolerations": {
                "type": "array",
                "description": "Keys of the platform's taints that pods may tolerate, such as `nvidia.com/gpu`.",
                "maxItems": MAX_TOLERATIONS,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 317,
                    "x-kubernetes-validations": [{
                        "rule": format!("self != '{}' && !self.startsWith('{STATE}')", labels::NODE_TAINT),
                        "message": "taints that keep tenants apart, or tell of a node's state, are on no list",
                    }],
                },
            },
            "allowedSchedulers": {
                "type": "array",
                "description": "Schedulers that pods may name beside `default-scheduler`.",
                "maxItems": MAX_SCHEDULERS,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "minLength": 1, "maxLength": 253},
            },
        },
    })
}

pub(crate) fn parse_nodes(spec: Fields<'_>, errors: &mut Errors) -> Nodes {
    let path = FieldPath::of("spec.nodes");
    let fields = object(spec.get("nodes"), &path, errors);
    let names = [
        "placement",
        "selector",
        "allowedTolerations",
        "allowedSchedulers",
    ];
    known(fields, &path, &names, errors);
    Nodes {
        placement: parse_placement(fields, &path, errors),
        allowed_tolerations: parse_tolerations(fields, &path, errors),
        allowed_schedulers: parse_schedulers(fields, &path, errors),
    }
}

fn parse_placement(fields: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> Placement {
    let labels = parse_selector(fields, path, errors);
    let selector = path.clone().then("selector");
    let placed = match fields.get("placement").map(Value::as_str) {
        None | Some(Some("Shared")) => {
            if fields.get("selector").is_some() {
                errors.add(selector, "only placement `Labelled` or `Dedicated` has one");
            }
            return Placement::Shared;
        }
        Some(Some("Labelled")) => Placement::Labelled,
        Some(Some("Dedicated")) => Placement::Dedicated,
        Some(_) => {
            let message = "expected `Shared`, `Labelled` or `Dedicated`";
            errors.add(path.clone().then("placement"), message);
            return Placement::Shared;
        }
    };
    let Ok(labels) = NodeSelector::new(labels) else {
        let message = format!("expected 1 to {MAX_LABELS} labels");
        errors.add(selector.then("matchLabels"), message);
        return Placement::Shared;
    };
    let placement = placed(labels);
    if let Placement::Labelled(labels) = &placement
        && !labels
            .labels()
            .any(|(key, _)| key.starts_with(OUT_OF_REACH))
    {
        errors.add(
            selector.then("matchLabels"),
            format!(
                "with placement `Labelled` at least one key must start with `{OUT_OF_REACH}`: a \
                 kubelet sets any other on its own node, and draws the tenant's pods there"
            ),
        );
    }
    placement
}

fn parse_selector(
    fields: Fields<'_>,
    path: &FieldPath,
    errors: &mut Errors,
) -> BTreeMap<LabelKey, LabelValue> {
    let path = path.clone().then("selector");
    let selector = object(fields.get("selector"), &path, errors);
    known(selector, &path, &["matchLabels"], errors);
    let path = path.then("matchLabels");
    let written = object(selector.get("matchLabels"), &path, errors);
    let mut found = BTreeMap::new();
    if written.iter().count() > MAX_LABELS {
        errors.add(path, format!("at most {MAX_LABELS} labels are allowed"));
        return found;
    }
    for (key, value) in written.iter() {
        let path = path.clone().key(key);
        if key == labels::NODE_TENANT {
            let message =
                "is set by Bulkhead on nodes that it has claimed: select by another label";
            errors.add(path, message);
            continue;
        }
        let Some(text) = value.as_str() else {
            errors.add(path, "expected a string");
            continue;
        };
        match (LabelKey::parse(key), LabelValue::parse(text)) {
            (Ok(key), Ok(value)) => drop(found.insert(key, value)),
            (Err(error), _) | (_, Err(error)) => errors.add(path, error.to_string()),
        }
    }
    found
}

fn parse_tolerations(
    fields: Fields<'_>,
    path: &FieldPath,
    errors: &mut Errors,
) -> BTreeSet<LabelKey> {
    let path = path.clone().then("allowedTolerations");
    let mut keys = BTreeSet::new();
    let items = list(fields, "allowedTolerations", &path, MAX_TOLERATIONS, errors);
    for (i, item) in items.iter().enumerate() {
        let path = path.clone().index(i);
        match LabelKey::parse(item.as_str().unwrap_or_default()) {
            Err(error) => errors.add(path, error.to_string()),
            Ok(key) if key.as_str() == labels::NODE_TAINT || key.as_str().starts_with(STATE) => {
                let message = format!(
                    "`{key}`: taints that keep tenants apart, or tell of a node's state, are on no list"
                );
                errors.add(path, message);
            }
            Ok(key) if keys.contains(&key) => errors.add(path, format!("`{key}` stands twice")),
            Ok(key) => drop(keys.insert(key)),
        }
    }
    keys
}

fn parse_schedulers(fields: Fields<'_>, path: &FieldPath, errors: &mut Errors) -> BTreeSet<String> {
    let path = path.clone().then("allowedSchedulers");
    let mut names = BTreeSet::new();
    let items = list(fields, "allowedSchedulers", &path, MAX_SCHEDULERS, errors);
    for (i, item) in items.iter().enumerate() {
        let path = path.clone().index(i);
        match item.as_str() {
            // Schedulers are called like classes. A policy looks the name up in text, so it must
            // be free of what ends a string or a list there.
            Some(name) if ClassName::parse(name).is_ok() => {
                if !names.insert(name.to_owned()) {
                    errors.add(path, format!("`{name}` stands twice"));
                }
            }
            _ => errors.add(
                path,
                "expected the name of a scheduler: a-z, 0-9, `-` and `.`",
            ),
        }
    }
    names
}

/// Whether another tenant claims every node that this one would, or the other way round. Where
/// two selectors only may meet, it is for the ledger to say whose each node is.
pub fn overlapping_nodes<'a>(
    tenant: &Tenant,
    others: impl Iterator<Item = &'a Tenant>,
) -> Option<FieldError> {
    let Placement::Dedicated(ours) = &tenant.nodes.placement else {
        return None;
    };
    let mut others = others.filter(|other| other.name != tenant.name);
    let other = others.find(|other| match &other.nodes.placement {
        Placement::Dedicated(theirs) => ours.is_within(theirs) || theirs.is_within(ours),
        Placement::Shared | Placement::Labelled(_) => false,
    })?;
    Some(FieldError {
        path: FieldPath::of("spec.nodes.selector.matchLabels"),
        message: format!(
            "selects nodes of the tenant `{}`: give one of the labels another value",
            other.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_tenant;

    fn dedicated(name: &str, labels: Value) -> Tenant {
        parse_tenant(&json!({
            "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": name, "uid": format!("u-{name}")},
            "spec": {"nodes": {"placement": "Dedicated", "selector": {"matchLabels": labels}}},
        }))
        .unwrap()
    }

    #[test]
    fn whoever_selects_within_anothers_selection_is_refused() {
        let acme = dedicated("acme", json!({"pool": "acme"}));
        for (labels, expect) in [
            (json!({"pool": "acme"}), true),
            (json!({"pool": "acme", "zone": "a"}), true),
            (json!({"pool": "globex"}), false),
            (json!({"zone": "a"}), false),
        ] {
            let globex = dedicated("globex", labels.clone());
            for (tenant, other) in [(&globex, &acme), (&acme, &globex)] {
                let error = overlapping_nodes(tenant, [other, tenant].into_iter());
                assert_eq!(error.is_some(), expect, "{labels}");
            }
        }
    }
}
