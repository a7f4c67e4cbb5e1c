//! What the files say together: the objects that rules ask for, and the tenants.

use std::collections::BTreeMap;

use bulkhead_api::parse_tenant;
use bulkhead_controls::{LOOKED_UP, ObjectKey};
use bulkhead_manifests::{Content, Node, Parsed};
use bulkhead_model::{Json, NamespaceName, Prefix, TenantRules};

use crate::settings::with_uid;

const GROUP: &str = "bulkhead.dev";
const TENANT: &str = "Tenant";

/// What all files say.
#[derive(Debug, Default)]
pub struct Index {
    /// None where files say different things under one name.
    objects: BTreeMap<ObjectKey, Option<Json<'static>>>,
    tenants: Vec<(Prefix, TenantRules)>,
}

impl Index {
    /// Whether a file may hold something that others ask for: a quick look, without parsing.
    #[must_use]
    pub fn may_want(text: &str) -> bool {
        let mut rest = text;
        while let Some(at) = rest.find("kind") {
            rest = rest.get(at + 4..).unwrap_or_default();
            let value = rest.trim_start_matches(['"', '\'', ':', ' ', '\t']);
            let mut kinds = LOOKED_UP.iter().map(|known| known.kind);
            if value.starts_with(TENANT) || kinds.any(|kind| value.starts_with(kind)) {
                return true;
            }
        }
        false
    }

    /// Notes what a file holds.
    pub fn learn(&mut self, parsed: &Parsed) {
        for content in parsed.documents.iter().flat_map(Content::of) {
            let Content::Object {
                api_version,
                kind,
                node,
            } = content
            else {
                continue;
            };
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            if (group, kind) == (GROUP, TENANT)
                && let Ok(tenant) = parse_tenant(&with_uid(node.to_value()))
            {
                self.tenants.push((tenant.prefix.clone(), tenant.rules()));
            }
            let Some(known) = LOOKED_UP
                .iter()
                .find(|known| (known.group, known.kind) == (group, kind))
            else {
                continue;
            };
            let Some(name) = field(node, "name") else {
                continue;
            };
            let key = ObjectKey {
                group: known.group,
                resource: known.resource,
                namespace: known
                    .namespaced
                    .then(|| field(node, "namespace").unwrap_or_default().to_owned()),
                name: name.to_owned(),
            };
            let object = node.to_json().into_owned();
            match self.objects.get_mut(&key) {
                None => {
                    self.objects.insert(key, Some(object));
                }
                Some(known) if known.as_ref() == Some(&object) => {}
                Some(known) => *known = None,
            }
        }
    }

    /// An object, if the files agree on it.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Json<'static>> {
        self.objects.get(key)?.as_ref()
    }

    /// The rules of the tenant that a namespace is of, by its name, if the files agree on them.
    pub(crate) fn tenant_of(&self, namespace: &str) -> Option<&TenantRules> {
        let namespace = NamespaceName::parse(namespace).ok()?;
        let mut covering = self
            .tenants
            .iter()
            .filter(|(prefix, _)| prefix.covers(&namespace))
            .map(|(_, rules)| rules);
        let first = covering.next()?;
        covering.all(|rules| rules == first).then_some(first)
    }
}

/// A string of the metadata.
pub(crate) fn field<'a>(object: &'a Node, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(key)?.as_str()
}
