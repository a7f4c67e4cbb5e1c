//! Policies out of files: what each is, and all that is wrong with them.

use serde_json::Value;

use crate::config::{CONFIG, Config};
use crate::plain::POLICY_LABEL;
use crate::policies::Policies;
use crate::refusal::Refusal;
use crate::template::{CONSTRAINTS, TEMPLATES, Template};

/// Groups of Gatekeeper's that are not done here, and the word about each.
const UNSUPPORTED: [(&str, &str); 3] = [
    (
        "mutations.gatekeeper.sh",
        "Gatekeeper's mutation is not supported; write a MutatingAdmissionPolicy",
    ),
    (
        "externaldata.gatekeeper.sh",
        "external data is not supported: nothing outside is asked during admission",
    ),
    (
        "expansion.gatekeeper.sh",
        "expansion is not supported; match the objects that make pods themselves",
    ),
];

/// Takes files one by one.
#[derive(Debug, Default)]
pub struct Loader {
    policies: Policies,
    /// Templates may come after their constraints.
    constraints: Vec<(String, Value)>,
    refusals: Vec<Refusal>,
}

impl Loader {
    /// Takes a file of Rego.
    pub fn rego(&mut self, source: &str, text: &str) {
        if let Err(refusal) = self.policies.plain.add(source, text) {
            self.refusals.push(refusal);
        }
    }

    /// Takes an object; false if it is no policy.
    pub fn object(&mut self, source: &str, object: &Value) -> bool {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let group = text("/apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let label = format!("/metadata/labels/{}", POLICY_LABEL.replace('/', "~1"));
        match (group, text("/kind")) {
            (TEMPLATES, "ConstraintTemplate") => match Template::parse(object, source) {
                Ok(template) => {
                    let kind = template.kind.clone();
                    if self
                        .policies
                        .templates
                        .insert(kind.clone(), template)
                        .is_some()
                    {
                        let message = format!("a second template of the kind `{kind}`");
                        self.refusals
                            .push(Refusal::whole("bad-object", source, message));
                    }
                }
                Err(refusals) => self.refusals.extend(refusals),
            },
            (CONFIG, "Config") => match Config::parse(object, source) {
                Ok(config) => self.policies.config = config,
                Err(refusal) => self.refusals.push(refusal),
            },
            (CONSTRAINTS, _) => self.constraints.push((source.to_owned(), object.clone())),
            ("", "ConfigMap") if text(&label) == "rego" => {
                if let Err(refusal) = self.policies.plain.add_config_map(object, source) {
                    self.refusals.push(refusal);
                }
            }
            _ => {
                let known = UNSUPPORTED
                    .iter()
                    .find(|(unsupported, _)| *unsupported == group);
                let Some((_, message)) = known else {
                    return false;
                };
                self.refusals
                    .push(Refusal::whole("unsupported-policy", source, *message));
            }
        }
        true
    }

    /// What has come together, and all that is wrong with it.
    #[must_use]
    pub fn finish(mut self) -> (Policies, Vec<Refusal>) {
        for (source, object) in &self.constraints {
            let kind = object
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let Some(template) = self.policies.templates.get(kind) else {
                let message =
                    format!("there is no template of the kind `{kind}`, or it is refused");
                self.refusals
                    .push(Refusal::whole("bad-object", source, message));
                continue;
            };
            match template.constraint(object, source) {
                Ok(constraint) => {
                    let key = (constraint.kind.clone(), constraint.name.clone());
                    self.policies.constraints.insert(key, constraint);
                }
                Err(refusal) => self.refusals.push(refusal),
            }
        }
        if let Err(refusals) = self.policies.plain.lint() {
            self.refusals.extend(refusals);
        }
        self.refusals.sort();
        (self.policies, self.refusals)
    }
}

/// Everything that a cluster has of policies, and all that is wrong with them. Sources are called
/// as [`policy_id`] does.
#[must_use]
pub fn load(objects: &[Value]) -> (Policies, Vec<Refusal>) {
    let mut loader = Loader::default();
    for object in objects {
        loader.object(&policy_id(object), object);
    }
    loader.finish()
}

/// What messages call a policy's object: `Kind/name`.
#[must_use]
pub fn policy_id(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}

/// A policy's object without what makes no other policy of it: its status, and what others note.
#[must_use]
pub fn bare_policy(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.retain(|key, _| ["name", "namespace", "labels"].contains(&key.as_str()));
    }
    object
}
