//! What policies in Rego are read from and asked about.

use std::collections::BTreeSet;

use bulkhead_model::labels;
use http::Method;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::{ClusterError, Failure};
use crate::resource::Kind;
use crate::transport::{Payload, call};

/// The label of ConfigMaps that hold policies, which is kube-mgmt's.
const POLICIES: &str = "openpolicyagent.org/policy=rego";
const TEMPLATES: &str = "templates.gatekeeper.sh/v1";
const CONSTRAINTS: &str = "constraints.gatekeeper.sh/v1beta1";
const CONFIG: &str = "config.gatekeeper.sh/v1alpha1";
/// The namespace that Gatekeeper's users have their Config in.
const CONFIG_NAMESPACE: &str = "gatekeeper-system";

/// A kind that can be listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listable {
    /// The group; empty for the core.
    pub group: String,
    /// The kind in the version that the server likes best.
    pub kind: Kind,
}

impl Cluster {
    /// Everything that is a policy: ConfigMaps of Bulkhead's own namespace, Gatekeeper's templates,
    /// their constraints, and its Config. Kinds that nobody has made have no objects.
    ///
    /// # Errors
    /// If anything that there may be cannot be listed.
    pub async fn rego_policies(&self) -> Result<Vec<Value>, ClusterError> {
        let maps = Kind::config_map();
        let own = Some(labels::SYSTEM_NAMESPACE);
        let mut objects = self.list(&maps, own, POLICIES).await?;
        let configs = Kind::new(CONFIG, "Config");
        objects.extend(
            self.list_if_served(&configs, Some(CONFIG_NAMESPACE))
                .await?,
        );
        let templates = Kind::new(TEMPLATES, "ConstraintTemplate");
        let templates = self.list_if_served(&templates, None).await?;
        for template in &templates {
            let kind = template.pointer("/spec/crd/spec/names/kind");
            let kind = kind.and_then(Value::as_str).unwrap_or_default();
            // The kind is made after the template, and until then there are none.
            let kind = Kind::new(CONSTRAINTS, kind);
            objects.extend(self.list_if_served(&kind, None).await?);
        }
        objects.extend(templates);
        Ok(objects)
    }

    /// [`Self::list`] of a kind that need not exist.
    ///
    /// # Errors
    /// As [`Self::list`], but for a kind that is not served.
    pub async fn list_if_served(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, ClusterError> {
        match self.list(kind, namespace, "").await {
            Err(ClusterError::UnknownKind { .. }) => Ok(Vec::new()),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Every kind whose objects can be listed, each once, and what kept the server from naming more.
    ///
    /// # Errors
    /// [`ClusterError::Discover`] if it does not even name its groups.
    pub async fn listable(&self) -> Result<(Vec<Listable>, Vec<String>), ClusterError> {
        let groups = self.discover("/apis").await?;
        let mut versions = vec![(String::new(), "v1".to_owned())];
        for group in list(&groups, "groups") {
            let name = text(group, "name");
            let all = list(group, "versions");
            let preferred = group.pointer("/preferredVersion/groupVersion");
            let first = preferred.and_then(Value::as_str).map(str::to_owned);
            let others = all.map(|version| text(version, "groupVersion").to_owned());
            versions.extend(
                first
                    .into_iter()
                    .chain(others)
                    .map(|v| (name.to_owned(), v)),
            );
        }
        let (mut seen, mut asked) = (BTreeSet::new(), BTreeSet::new());
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (group, version) in versions {
            if !asked.insert(version.clone()) {
                continue;
            }
            let root = if group.is_empty() { "/api" } else { "/apis" };
            let resources = match self.discover(&format!("{root}/{version}")).await {
                Ok(resources) => resources,
                // A server behind the API server may be down; the other groups are there.
                Err(error) => {
                    problems.push(error.chain());
                    continue;
                }
            };
            for resource in list(&resources, "resources") {
                let verbs = list(resource, "verbs");
                let name = text(resource, "name");
                let lists = verbs.into_iter().any(|verb| verb == "list") && !name.contains('/');
                if lists && seen.insert((group.clone(), name.to_owned())) {
                    found.push(Listable {
                        group: group.clone(),
                        kind: Kind::new(&version, text(resource, "kind")),
                    });
                }
            }
        }
        Ok((found, problems))
    }

    async fn discover(&self, path: &str) -> Result<Value, ClusterError> {
        let failed = |source: Failure| ClusterError::Discover {
            api_version: path.to_owned(),
            source,
        };
        call(&self.client, Method::GET, path, Payload::None)
            .await
            .map_err(failed)
    }
}

fn list<'a>(of: &'a Value, key: &str) -> std::slice::Iter<'a, Value> {
    let list = of.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}
