//! Gatekeeper's Config: what is synced into `data.inventory`, and which namespaces are left alone.

use serde_json::{Value, json};

use crate::matching::Wildcard;
use crate::refusal::Refusal;

/// The API group of the Config.
pub const CONFIG: &str = "config.gatekeeper.sh";
/// Where Gatekeeper's users have it.
pub const CONFIG_NAMESPACE: &str = "gatekeeper-system";
/// The only name that counts.
const NAME: &str = "config";

/// What is said of policies that ask for `data.inventory` where nothing is in it.
pub const NOTHING_SYNCED: &str = "asks for `data.inventory`, and nothing is synced: name the kinds in `spec.sync.syncOnly` of the Config `config` in the namespace `gatekeeper-system`";

/// A kind whose objects policies find in `data.inventory`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncedKind {
    /// The group; empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

impl SyncedKind {
    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Admission.
    Webhook,
    /// The look at what exists already.
    Audit,
    /// What is held for `data.inventory`.
    Sync,
}

/// A Config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// What is synced.
    pub sync: Vec<SyncedKind>,
    excluded: Vec<(Vec<Wildcard>, Vec<Process>)>,
}

impl Config {
    /// Reads a Config.
    ///
    /// # Errors
    /// If it is malformed, or asks for what is not done.
    pub fn parse(object: &Value, source: &str) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::whole("bad-object", source, message);
        if object.pointer("/metadata/name").and_then(Value::as_str) != Some(NAME) {
            return Err(bad(format!(
                "a Config of another name than `{NAME}` counts for nothing"
            )));
        }
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        if namespace.is_some_and(|namespace| namespace != CONFIG_NAMESPACE) {
            return Err(bad(format!(
                "a Config in another namespace than `{CONFIG_NAMESPACE}` counts for nothing"
            )));
        }
        let mut config = Self::default();
        for kind in list(object, "/spec/sync/syncOnly").map_err(bad)? {
            let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("kind").is_empty() || text("version").is_empty() {
                return Err(bad(
                    "an entry of `spec.sync.syncOnly` has `group`, `version` and `kind`".to_owned(),
                ));
            }
            config.sync.push(SyncedKind {
                group: text("group").to_owned(),
                version: text("version").to_owned(),
                kind: text("kind").to_owned(),
            });
        }
        config.sync.sort();
        config.sync.dedup();
        for entry in list(object, "/spec/match").map_err(bad)? {
            let texts = |key: &str| -> Result<Vec<&str>, Refusal> {
                let wrong = || bad(format!("`spec.match[].{key}` is not a list of strings"));
                let Some(value) = entry.get(key).filter(|value| !value.is_null()) else {
                    return Ok(Vec::new());
                };
                let texts = value.as_array().ok_or_else(wrong)?.iter();
                texts.map(|text| text.as_str().ok_or_else(wrong)).collect()
            };
            let mut processes = Vec::new();
            for process in texts("processes")? {
                processes.extend(match process {
                    "*" => vec![Process::Webhook, Process::Audit, Process::Sync],
                    "webhook" => vec![Process::Webhook],
                    "audit" => vec![Process::Audit],
                    "sync" => vec![Process::Sync],
                    // There is none here.
                    "mutation-webhook" => Vec::new(),
                    other => {
                        let message = format!(
                            "`spec.match[].processes` holds `{other}`, which is not `*`, `webhook`, `audit`, `sync` or `mutation-webhook`"
                        );
                        return Err(bad(message));
                    }
                });
            }
            let names = texts("excludedNamespaces")?.into_iter();
            let names = names.map(|name| Wildcard(name.to_owned())).collect();
            config.excluded.push((names, processes));
        }
        Ok(config)
    }

    /// Whether a process leaves alone what is in a namespace, and the Namespace itself.
    #[must_use]
    pub fn excludes(&self, process: Process, namespace: &str) -> bool {
        !namespace.is_empty()
            && self.excluded.iter().any(|(names, processes)| {
                processes.contains(&process) && names.iter().any(|name| name.fits(namespace))
            })
    }
}

fn list<'a>(object: &'a Value, pointer: &str) -> Result<&'a [Value], String> {
    let wrong = || {
        format!(
            "`{}` is not a list",
            pointer.trim_start_matches('/').replace('/', ".")
        )
    };
    let value = object.pointer(pointer).filter(|value| !value.is_null());
    value.map_or(Ok(&[]), |value| {
        value.as_array().map(Vec::as_slice).ok_or_else(wrong)
    })
}

/// The kind Config, as Gatekeeper's users write it.
#[must_use]
pub fn config_crd() -> Value {
    let anything = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("configs.{CONFIG}")},
        "spec": {
            "group": CONFIG,
            "scope": "Namespaced",
            "names": {
                "kind": "Config", "listKind": "ConfigList", "plural": "configs", "singular": "config",
            },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "What policies find in `data.inventory`, and which namespaces they leave alone. The one named `config` in the namespace `gatekeeper-system` counts.",
                    "properties": {
                        "metadata": {"type": "object"},
                        "spec": anything(),
                        "status": anything(),
                    },
                }},
            }],
        },
    })
}
