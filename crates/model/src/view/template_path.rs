//! Where a kind that Kubernetes does not know holds its pod templates.

use std::fmt;
use std::str::FromStr;

use crate::finding::FieldPath;
use crate::json::Json;

/// How many times a path may go to every element: more than any kind that is known needs.
pub const MOST_EACH: usize = 2;

/// The way from an object to its pod templates, such as `.spec.template` or
/// `.spec.workerGroupSpecs[*].template`; `[*]` is every element of a list, or every value of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TemplatePath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Each,
}

/// Which element a walk took at each `[*]`, by its place in the list or map.
pub(super) type Taken = [u32; MOST_EACH];

/// Something on the way that is neither an object nor, where there are elements, a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// Where it stands.
    pub path: FieldPath,
    /// What it should be: `object` or `list`.
    pub expected: &'static str,
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no path to a pod template: expected field names, such as `.spec.template`, and `[*]` for every element at most {MOST_EACH} times, such as `.spec.workers[*].template`"
)]
pub struct TemplatePathError(String);

impl FromStr for TemplatePath {
    type Err = TemplatePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TemplatePathError(text.to_owned());
        let mut steps = Vec::new();
        for part in text.strip_prefix('.').unwrap_or(text).split('.') {
            let name = part.trim_end_matches("[*]");
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if name.is_empty() || !name.chars().all(plain) {
                return Err(error());
            }
            steps.push(Step::Key(name.to_owned()));
            let each = part.len().saturating_sub(name.len()) / "[*]".len();
            steps.extend(std::iter::repeat_n(Step::Each, each));
        }
        let each = steps.iter().filter(|step| **step == Step::Each).count();
        if each > MOST_EACH {
            return Err(error());
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for TemplatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, ".{key}"),
            Step::Each => f.write_str("[*]"),
        })
    }
}

impl TemplatePath {
    /// Every template of an object: where it stands, and what it is. What is missing or `null` is
    /// none.
    ///
    /// # Errors
    /// If something on the way is of another type: there may be templates that nobody sees.
    pub fn templates<'a>(
        &self,
        object: &'a Json<'a>,
    ) -> Result<Vec<(FieldPath, &'a Json<'a>)>, Astray> {
        let mut found = Vec::new();
        self.walk(object, &mut |taken, value| {
            found.push((self.place(object, taken), value))
        })?;
        Ok(found)
    }

    /// Calls with every template, and the elements that led to it.
    pub(super) fn walk<'a>(
        &self,
        object: &'a Json<'a>,
        visit: &mut dyn FnMut(Taken, &'a Json<'a>),
    ) -> Result<(), Astray> {
        let walk = Walk { path: self, object };
        walk.on(&self.0, object, Taken::default(), 0, visit)
    }

    /// The path of a template.
    pub(super) fn place(&self, object: &Json<'_>, taken: Taken) -> FieldPath {
        self.start(object, taken, self.0.len())
    }

    /// The path of what its first steps lead to.
    fn start(&self, object: &Json<'_>, taken: Taken, steps: usize) -> FieldPath {
        let mut path = FieldPath::of("");
        let mut here = Some(object);
        let mut taken = taken.into_iter();
        for step in self.0.iter().take(steps) {
            match step {
                Step::Key(key) => {
                    here = here.and_then(|here| here.get(key));
                    path = path.key(key.as_str());
                }
                Step::Each => {
                    let index = taken.next().unwrap_or_default() as usize;
                    if let Some(list) = here.and_then(Json::as_array) {
                        here = list.get(index);
                        path = path.index(index);
                    } else {
                        let entry = here.and_then(Json::as_object);
                        let entry = entry.and_then(|map| map.iter().nth(index));
                        path = path.key(entry.map_or("", |(key, _)| key));
                        here = entry.map(|(_, value)| value);
                    }
                }
            }
        }
        path
    }
}

struct Walk<'p, 'a> {
    path: &'p TemplatePath,
    object: &'a Json<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn on(
        &self,
        steps: &[Step],
        value: &'a Json<'a>,
        taken: Taken,
        depth: usize,
        visit: &mut dyn FnMut(Taken, &'a Json<'a>),
    ) -> Result<(), Astray> {
        if value.is_null() {
            return Ok(());
        }
        let astray = |expected| Astray {
            path: self
                .path
                .start(self.object, taken, self.path.0.len() - steps.len()),
            expected,
        };
        let Some((step, rest)) = steps.split_first() else {
            visit(taken, value);
            return Ok(());
        };
        match step {
            Step::Key(key) => {
                let map = value.as_object().ok_or_else(|| astray("object"))?;
                map.get(key)
                    .map_or(Ok(()), |value| self.on(rest, value, taken, depth, visit))
            }
            Step::Each => {
                let elements: Vec<&'a Json<'a>> = if let Some(list) = value.as_array() {
                    list.iter().collect()
                } else {
                    let map = value.as_object().ok_or_else(|| astray("list"))?;
                    map.iter().map(|(_, value)| value).collect()
                };
                for (index, value) in (0_u32..).zip(elements) {
                    let mut taken = taken;
                    if let Some(place) = taken.get_mut(depth) {
                        *place = index;
                    }
                    self.on(rest, value, taken, depth + 1, visit)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, object: serde_json::Value) -> Result<Vec<String>, String> {
        let path: TemplatePath = path.parse().unwrap();
        let object = Json::from(object);
        let templates = path
            .templates(&object)
            .map_err(|astray| format!("{}: {}", astray.path, astray.expected))?;
        Ok(templates
            .into_iter()
            .map(|(path, _)| path.to_string())
            .collect())
    }

    #[test]
    fn templates_are_found_in_fields_lists_and_maps() {
        for (path, object, expected) in [
            (
                ".spec.template",
                json!({"spec": {"template": {}}}),
                vec!["spec.template"],
            ),
            (
                "spec.template",
                json!({"spec": {"template": {}}}),
                vec!["spec.template"],
            ),
            (
                ".spec.template",
                json!({"spec": {"workloadRef": {}}}),
                vec![],
            ),
            (
                ".spec.template",
                json!({"spec": {"template": null}}),
                vec![],
            ),
            (
                ".spec.jobs[*].roles[*].template",
                json!({"spec": {"jobs": [{"roles": {}}, {"roles": {"a": {}, "b.c": {"template": {}}}}, {"roles": [{"template": {}}]}]}}),
                vec![
                    "spec.jobs[1].roles[\"b.c\"].template",
                    "spec.jobs[2].roles[0].template",
                ],
            ),
        ] {
            assert_eq!(
                found(path, object),
                Ok(expected.into_iter().map(str::to_owned).collect())
            );
        }
    }

    #[test]
    fn what_leads_astray_is_no_empty_list() {
        for (path, object, expected) in [
            (".spec.template", json!({"spec": []}), "spec: object"),
            (
                ".spec.jobs[*].template",
                json!({"spec": {"jobs": "x"}}),
                "spec.jobs: list",
            ),
            (
                ".spec.jobs[*].template",
                json!({"spec": {"jobs": [{}, 1]}}),
                "spec.jobs[1]: object",
            ),
        ] {
            assert_eq!(found(path, object), Err(expected.to_owned()));
        }
    }

    #[test]
    fn only_paths_are_read_as_paths() {
        for text in [
            "",
            ".",
            "spec..template",
            "spec[0]",
            "a[*][*][*]",
            ".spec.x y",
            "[*]",
            "a.[*]",
            "$.spec",
        ] {
            assert!(text.parse::<TemplatePath>().is_err(), "{text}");
        }
        for text in [".spec.template", ".a[*].b[*]", ".a[*][*].b"] {
            assert_eq!(text.parse::<TemplatePath>().unwrap().to_string(), text);
        }
    }
}
