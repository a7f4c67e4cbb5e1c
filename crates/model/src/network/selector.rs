//! Label selectors, as Kubernetes writes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::{RuleError, known};
use super::selection::{Label, Selection};
use crate::finding::FieldPath;
use crate::view::{Fields, Tree};

/// A selector; empty, it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// What must hold of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Requirement {
    /// Which label.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
    /// Of which values; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What a requirement asks of its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// It has one of the values.
    In,
    /// It has none of the values, or is missing.
    NotIn,
    /// It is there.
    Exists,
    /// It is missing.
    DoesNotExist,
}

impl LabelSelector {
    /// What has all these labels.
    #[must_use]
    pub fn of(labels: &[(&str, &str)]) -> Self {
        Self {
            match_labels: labels
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            match_expressions: Vec::new(),
        }
    }

    /// The objects that it selects.
    #[must_use]
    pub fn selection(&self) -> Selection {
        let equal = self
            .match_labels
            .iter()
            .fold(Selection::ALL, |all, (key, value)| {
                all.and(key.as_str(), &Label::one_of([value.as_str()]))
            });
        self.match_expressions.iter().fold(equal, |all, it| {
            let label = match it.operator {
                Operator::In => Label::one_of(it.values.iter().map(String::as_str)),
                Operator::NotIn => Label::none_of(it.values.iter().map(String::as_str)),
                Operator::Exists => Label::present(),
                Operator::DoesNotExist => Label::missing(),
            };
            all.and(it.key.as_str(), &label)
        })
    }
}

/// Reads a selector that stands at `path`.
pub(super) fn parse<T: Tree>(
    fields: Fields<'_, T>,
    is_object: bool,
    path: &FieldPath,
) -> Result<LabelSelector, RuleError> {
    if !is_object {
        return Err(RuleError::new(path.clone(), "is no object"));
    }
    known(fields, path, &["matchLabels", "matchExpressions"])?;
    let labels = path.clone().then("matchLabels");
    if fields
        .get("matchLabels")
        .is_some_and(|value| !value.has_fields())
    {
        return Err(RuleError::new(labels, "is no object"));
    }
    let mut match_labels = BTreeMap::new();
    for (key, value) in fields.at("matchLabels").iter() {
        let value = value
            .text()
            .ok_or_else(|| RuleError::new(labels.clone().key(key), "is no string"))?;
        match_labels.insert(key.to_owned(), value.to_owned());
    }
    let path = path.clone().then("matchExpressions");
    if fields
        .get("matchExpressions")
        .is_some_and(|value| value.elements().is_none())
    {
        return Err(RuleError::new(path, "is no list"));
    }
    let list = fields.list("matchExpressions").iter().enumerate();
    let match_expressions = list
        .map(|(index, value)| requirement(Fields::of(Some(value)), &path.clone().index(index)))
        .collect::<Result<_, _>>()?;
    Ok(LabelSelector {
        match_labels,
        match_expressions,
    })
}

fn requirement<T: Tree>(fields: Fields<'_, T>, path: &FieldPath) -> Result<Requirement, RuleError> {
    let at = |message: &str| RuleError::new(path.clone(), message);
    known(fields, path, &["key", "operator", "values"])?;
    let key = fields.str("key").ok_or_else(|| at("has no `key`"))?;
    let operator = match fields.str("operator") {
        Some("In") => Operator::In,
        Some("NotIn") => Operator::NotIn,
        Some("Exists") => Operator::Exists,
        Some("DoesNotExist") => Operator::DoesNotExist,
        _ => return Err(at("has no operator of In, NotIn, Exists, DoesNotExist")),
    };
    let list = fields.list("values");
    let values: Vec<String> = list
        .iter()
        .filter_map(|value| value.text().map(str::to_owned))
        .collect();
    let is_list = fields
        .get("values")
        .is_none_or(|value| value.elements().is_some());
    let takes_values = matches!(operator, Operator::In | Operator::NotIn);
    if !is_list || values.len() != list.len() || takes_values == values.is_empty() {
        return Err(at("has values that do not fit its operator"));
    }
    Ok(Requirement {
        key: key.to_owned(),
        operator,
        values,
    })
}
