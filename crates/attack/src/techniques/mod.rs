//! The registry.

mod bad_pods;
mod bodies;
mod cluster_scope;
mod confined;
mod credentials;
mod cross_tenant;
mod devices_and_budgets;
mod grants;
mod identity;
mod ids;
mod namespace_creation;
mod namespace_metadata;
mod network;
mod pods;
mod services;
mod status;
mod synthetic;
mod targets;

pub use bad_pods::{evil_containers, evil_pods, good_pod};

use serde_json::{Value, json};

use crate::credential::{Account, Credential};
use crate::field::Door;
use crate::technique::Technique;

/// Every technique.
#[must_use]
pub fn techniques() -> Vec<Technique> {
    [
        cross_tenant::techniques(),
        cluster_scope::techniques(),
        synthetic::techniques(),
        identity::techniques(),
        ids::techniques(),
        credentials::techniques(),
        namespace_metadata::techniques(),
        namespace_creation::techniques(),
        pods::techniques(),
        services::techniques(),
        network::techniques(),
        network::doors(),
        confined::techniques(),
        devices_and_budgets::techniques(),
        grants::techniques(),
        status::techniques(),
        targets::techniques(),
        bodies::techniques(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Both doors, and who attacks there: at the gateway the tenant's admin, at the API server a
/// ServiceAccount to whom RBAC refuses nothing in its namespace. Then how the way is called, and what
/// the technique says of it: mostly who must refuse there.
fn ways<T>(gateway: T, api: T) -> [(Door, Credential, &'static str, T); 2] {
    let star = Credential::Account(Account::Star);
    [
        (Door::Gateway, Credential::Tenant, "gateway", gateway),
        (Door::ApiServer, star, "api", api),
    ]
}

/// Gives an object a name.
fn named(body: &mut Value, name: &str) {
    if let Some(fields) = body.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".into(), name.into());
        }
    }
}

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::technique::Layer;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let mut names = BTreeSet::new();
        for technique in techniques() {
            let name = &technique.name;
            let kebab = name.split('-').all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            assert!(kebab, "`{name}` is not kebab case");
            // Objects are named after their technique.
            assert!("attack-".len() + name.len() <= 63, "`{name}` is too long");
            assert!(names.insert(name.clone()), "`{name}` is there twice");
        }
        assert!(names.len() >= 40, "only {} techniques", names.len());
    }

    #[test]
    fn each_says_what_it_does_and_what_must_stop_it() {
        for technique in techniques() {
            let (name, does) = (&technique.name, &technique.does);
            assert!(
                does.ends_with('.') && does.len() > 20,
                "{name}: `{does}` is no sentence"
            );
            assert!(
                does.starts_with(|c: char| c.is_ascii_uppercase()),
                "{name}: `{does}`"
            );
            assert!(
                !technique.stopped_by.is_empty(),
                "{name}: nothing is expected to stop it"
            );
            for expected in &technique.stopped_by {
                // A reason that every refusal shows is none. What is answered may say nothing at all, if
                // it is known what it must not say.
                let bare = expected.layer == Layer::Http
                    || (expected.layer == Layer::Harmless && !expected.lacks.is_empty());
                assert!(
                    bare || !expected.text.is_empty(),
                    "{name}: any text would do"
                );
                let code = match expected.layer {
                    Layer::Tls => expected.status == 0,
                    Layer::Harmless => (200..300).contains(&expected.status),
                    _ => (400..500).contains(&expected.status) || expected.status == 501,
                };
                assert!(
                    code,
                    "{name}: {} cannot be the status of {:?}",
                    expected.status, expected.layer
                );
            }
        }
    }
}
