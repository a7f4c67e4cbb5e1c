//! Reading and writing objects.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bulkhead_model::labels;
use http::Method;
use kube::Client;
use serde_json::{Value, json};

use crate::connect;
use crate::error::{ClusterError, Failure};
use crate::lease::Fence;
use crate::resource::{Kind, ObjectRef, Resource, Resources, group_path};
use crate::transport::{Payload, call, with_query};
use crate::watch::no_version;

/// How many objects a list asks for at a time.
const PAGE: &str = "500";

/// A cluster under one identity. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    resources: Arc<Resources>,
    /// What must stand for a write to be sent; none: nothing must.
    fence: Option<Fence>,
    /// Called for each write that is sent.
    counter: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The objects, each with its `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// What leads to the next page; none after the last.
    pub next: Option<String>,
    /// The version of the list, if the server tells.
    pub(crate) version: Option<String>,
}

/// What must hold for a deletion, and what it takes along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Delete only the object of this UID, not a successor of its name.
    pub uid: Option<String>,
    /// Delete only the object in this state.
    pub resource_version: Option<String>,
    /// What happens to the objects that it owns; none: the kind's default.
    pub propagation: Option<Propagation>,
}

/// What happens to the objects that a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected afterwards.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Cluster {
    /// Reads a kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClusterError::Kubeconfig`] if the file cannot be read, or is refused: plain http,
    /// no verification of the server, a proxy, impersonation.
    pub async fn connect(kubeconfig: &Path) -> Result<Self, ClusterError> {
        Self::connect_as(kubeconfig, None).await
    }

    /// [`Self::connect`] by a context other than the current one.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(
        kubeconfig: &Path,
        context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        Ok(Self {
            client: connect::client(kubeconfig, context).await?,
            resources: Arc::default(),
            fence: None,
            counter: None,
        })
    }

    /// The same cluster, written to only while the fence stands.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> Self {
        Self {
            fence: Some(fence),
            ..self.clone()
        }
    }

    /// The same cluster; `count` is called for each write that is sent.
    #[must_use]
    pub fn counted(&self, count: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            counter: Some(count),
            ..self.clone()
        }
    }

    /// Sends a request that changes something: every one, so that none can slip past the fence.
    pub(crate) async fn write(
        &self,
        method: Method,
        target: &str,
        payload: Payload<'_>,
    ) -> Result<Value, Failure> {
        match &self.fence {
            Some(fence) if !fence.stands() => Err(Failure::NotLeading),
            _ => {
                if let Some(count) = &self.counter {
                    count();
                }
                call(&self.client, method, target, payload).await
            }
        }
    }

    /// Makes the object's fields so, by server-side apply as `bulkhead`, and takes fields from
    /// other managers if need be. Fields that an earlier apply set and this one leaves out are
    /// removed. The result is the object as it is now.
    ///
    /// # Errors
    /// [`ClusterError::Apply`], or the errors of naming the object.
    pub async fn apply(&self, object: &Value) -> Result<Value, ClusterError> {
        self.apply_at(object, "", labels::FIELD_MANAGER).await
    }

    /// [`Self::apply`] as another field manager: fields that `bulkhead` has applied stay as they
    /// are where this object does not mention them. Installations apply so, lest they empty what
    /// the controller has filled.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_as(&self, object: &Value, manager: &str) -> Result<Value, ClusterError> {
        self.apply_at(object, "", manager).await
    }

    /// [`Self::apply`] for the `status` subresource.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_status(&self, object: &Value) -> Result<Value, ClusterError> {
        self.apply_at(object, "/status", labels::FIELD_MANAGER)
            .await
    }

    async fn apply_at(
        &self,
        object: &Value,
        subresource: &str,
        manager: &str,
    ) -> Result<Value, ClusterError> {
        let reference = ObjectRef::of(object)?;
        let path = self.path(&reference).await? + subresource;
        let target = with_query(&path, &[("fieldManager", manager), ("force", "true")]);
        self.write(Method::PATCH, &target, Payload::ApplyPatch(object))
            .await
            .map_err(|source| ClusterError::Apply {
                object: reference.to_string(),
                source,
            })
    }

    /// Makes a new object.
    ///
    /// # Errors
    /// [`ClusterError::Create`], or the errors of naming the object. See
    /// [`ClusterError::is_already_exists`].
    pub async fn create(&self, object: &Value) -> Result<Value, ClusterError> {
        let reference = ObjectRef::of(object)?;
        let resource = self.resource(&reference.kind).await?;
        // The full path is made for its checks: a namespaced kind must have a namespace.
        resource.object_path(&reference)?;
        let path = resource.collection_path(&reference.kind, reference.namespace.as_deref())?;
        let target = with_query(&path, &[("fieldManager", labels::FIELD_MANAGER)]);
        self.write(Method::POST, &target, Payload::Json(object))
            .await
            .map_err(|source| ClusterError::Create {
                object: reference.to_string(),
                source,
            })
    }

    /// What [`Self::create`] would make of an object, without making it.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_dry_run(&self, object: &Value) -> Result<Value, ClusterError> {
        let reference = ObjectRef::of(object)?;
        let resource = self.resource(&reference.kind).await?;
        resource.object_path(&reference)?;
        let path = resource.collection_path(&reference.kind, reference.namespace.as_deref())?;
        let target = with_query(&path, &[("dryRun", "All")]);
        call(&self.client, Method::POST, &target, Payload::Json(object))
            .await
            .map_err(|source| ClusterError::Create {
                object: reference.to_string(),
                source,
            })
    }

    /// Puts an object in the place of the one that is there. A `metadata.resourceVersion` makes it
    /// a condition ([`ClusterError::is_conflict`] if the object has changed).
    ///
    /// # Errors
    /// [`ClusterError::Replace`], or the errors of naming the object.
    pub async fn replace(&self, object: &Value) -> Result<Value, ClusterError> {
        let reference = ObjectRef::of(object)?;
        let path = self.path(&reference).await?;
        let target = with_query(&path, &[("fieldManager", labels::FIELD_MANAGER)]);
        self.write(Method::PUT, &target, Payload::Json(object))
            .await
            .map_err(|source| ClusterError::Replace {
                object: reference.to_string(),
                source,
            })
    }

    /// The object as it is now, or none if there is none. Never from a cache.
    ///
    /// # Errors
    /// [`ClusterError::Get`], or the errors of naming the object.
    pub async fn get(&self, reference: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let path = self.path(reference).await?;
        match call(&self.client, Method::GET, &path, Payload::None).await {
            Ok(object) => Ok(Some(object)),
            Err(Failure::Status {
                code: 404, reason, ..
            }) if reason == "NotFound" => Ok(None),
            Err(source) => Err(ClusterError::Get {
                object: reference.to_string(),
                source,
            }),
        }
    }

    /// All objects of a kind that have the labels (a label selector; empty: all), in one
    /// namespace or in all. Never from a cache. Each carries its `apiVersion` and `kind`.
    ///
    /// # Errors
    /// [`ClusterError::List`], or the errors of naming the kind.
    pub async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let listed = self.list_page_by_page(kind, namespace, selector, Some);
        Ok(listed.await?.0)
    }

    /// [`Self::list`], and the version of the list: everything that came about up to it is there.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_at(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<(Vec<Value>, String), ClusterError> {
        self.list_page_by_page(kind, namespace, "", Some).await
    }

    /// Changes an object by a JSON merge patch. A `metadata.resourceVersion` in the patch makes
    /// it a condition ([`ClusterError::is_conflict`] if the object has changed).
    ///
    /// # Errors
    /// [`ClusterError::Patch`], or the errors of naming the object.
    pub async fn merge_patch(
        &self,
        reference: &ObjectRef,
        patch: &Value,
    ) -> Result<Value, ClusterError> {
        let path = self.path(reference).await?;
        let target = with_query(&path, &[("fieldManager", labels::FIELD_MANAGER)]);
        self.write(Method::PATCH, &target, Payload::MergePatch(patch))
            .await
            .map_err(|source| ClusterError::Patch {
                object: reference.to_string(),
                source,
            })
    }

    /// Deletes an object. False if there was none to delete.
    ///
    /// # Errors
    /// [`ClusterError::Delete`], or the errors of naming the object. See
    /// [`ClusterError::is_conflict`] for a UID that is another's.
    pub async fn delete(
        &self,
        reference: &ObjectRef,
        options: &DeleteOptions,
    ) -> Result<bool, ClusterError> {
        let path = self.path(reference).await?;
        match self
            .write(Method::DELETE, &path, Payload::Json(&options.body()))
            .await
        {
            Ok(_) => Ok(true),
            Err(Failure::Status {
                code: 404, reason, ..
            }) if reason == "NotFound" => Ok(false),
            Err(source) => Err(ClusterError::Delete {
                object: reference.to_string(),
                source,
            }),
        }
    }

    /// One page of [`Self::list`]: the first for an empty token, then that of each page's `next`.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn page(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: &str,
        token: &str,
    ) -> Result<Page, ClusterError> {
        let path = self
            .resource(kind)
            .await?
            .collection_path(kind, namespace)?;
        let failed = |source| ClusterError::List {
            kind: kind.to_string(),
            source,
        };
        let mut query = vec![("limit", PAGE)];
        if !selector.is_empty() {
            query.push(("labelSelector", selector));
        }
        if !token.is_empty() {
            query.push(("continue", token));
        }
        let target = with_query(&path, &query);
        let mut page = call(&self.client, Method::GET, &target, Payload::None)
            .await
            .map_err(failed)?;
        // An empty list may come as `null` from servers that are written in Go.
        let objects = match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items.into_iter().map(|item| typed(item, kind)).collect(),
            Some(Value::Null) => Vec::new(),
            _ => {
                return Err(failed(Failure::Answer {
                    problem: "`items` is missing".to_owned(),
                }));
            }
        };
        let metadata = |field| page.pointer(field).and_then(Value::as_str);
        let next = metadata("/metadata/continue").filter(|next| !next.is_empty());
        let version = metadata("/metadata/resourceVersion").map(str::to_owned);
        Ok(Page {
            objects,
            next: next.map(str::to_owned),
            version,
        })
    }

    /// The objects, and the version of the list from which a watch can go on.
    pub(crate) async fn list_page_by_page<T>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: &str,
        make: fn(Value) -> Option<T>,
    ) -> Result<(Vec<T>, String), ClusterError> {
        let mut objects = Vec::new();
        let mut token = String::new();
        loop {
            let page = self.page(kind, namespace, selector, &token).await?;
            objects.extend(page.objects.into_iter().filter_map(make));
            match page.next {
                Some(next) => token = next,
                None => {
                    let version = page.version.ok_or_else(no_version);
                    let version = version.map_err(|source| ClusterError::List {
                        kind: kind.to_string(),
                        source,
                    })?;
                    return Ok((objects, version));
                }
            }
        }
    }

    async fn path(&self, reference: &ObjectRef) -> Result<String, ClusterError> {
        self.resource(&reference.kind).await?.object_path(reference)
    }

    /// The kinds that are served under this group and these plural names, by plural name, each in
    /// whichever version; what is not served now is left out.
    ///
    /// # Errors
    /// [`ClusterError::Discover`].
    pub async fn served(
        &self,
        group: &str,
        plurals: &[&str],
    ) -> Result<BTreeMap<String, Kind>, ClusterError> {
        let ask = async |path: String| match call(&self.client, Method::GET, &path, Payload::None)
            .await
        {
            Ok(answer) => Ok(Some(answer)),
            Err(Failure::Status { code: 404, .. }) => Ok(None),
            Err(source) => Err(ClusterError::Discover {
                api_version: group.to_owned(),
                source,
            }),
        };
        let mut kinds = BTreeMap::new();
        let Some(found) = ask(format!("/apis/{group}")).await? else {
            return Ok(kinds);
        };
        let versions = found.get("versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            let Some(version) = version.get("groupVersion").and_then(Value::as_str) else {
                continue;
            };
            let Some(list) = ask(format!("/apis/{version}")).await? else {
                continue;
            };
            self.resources.learn(version, &list);
            let resources = list.get("resources").and_then(Value::as_array);
            for resource in resources.into_iter().flatten() {
                let text = |field: &str| resource.get(field).and_then(Value::as_str);
                if let (Some(plural), Some(kind)) = (text("name"), text("kind"))
                    && plurals.contains(&plural)
                {
                    // The versions come in the server's order of preference.
                    let kind = || Kind::new(version, kind);
                    kinds.entry(plural.to_owned()).or_insert_with(kind);
                }
            }
            if kinds.len() == plurals.len() {
                break;
            }
        }
        Ok(kinds)
    }

    /// The resource of a kind: from the built-in table, else from live discovery, once.
    pub(crate) async fn resource(&self, kind: &Kind) -> Result<Resource, ClusterError> {
        if let Some(resource) = self.resources.known(kind) {
            return Ok(resource);
        }
        let unknown = || ClusterError::UnknownKind {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
        };
        let path = group_path(&kind.api_version)?;
        match call(&self.client, Method::GET, &path, Payload::None).await {
            Ok(list) => self.resources.learn(&kind.api_version, &list),
            // Not remembered: the kind's definition may come a moment later.
            Err(Failure::Status { code: 404, .. }) => return Err(unknown()),
            Err(source) => {
                let api_version = kind.api_version.clone();
                return Err(ClusterError::Discover {
                    api_version,
                    source,
                });
            }
        }
        self.resources.known(kind).ok_or_else(unknown)
    }
}

impl DeleteOptions {
    /// Only the object of this UID, its dependents afterwards.
    #[must_use]
    pub fn uid(uid: &str) -> Self {
        Self {
            uid: Some(uid.to_owned()),
            propagation: Some(Propagation::Background),
            ..Self::default()
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        let mut preconditions = serde_json::Map::new();
        for (key, value) in [
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
        ] {
            if let Some(value) = value {
                preconditions.insert(key.to_owned(), json!(value));
            }
        }
        if let Some(body) = body.as_object_mut() {
            if !preconditions.is_empty() {
                body.insert("preconditions".to_owned(), Value::Object(preconditions));
            }
            if let Some(propagation) = self.propagation {
                body.insert(
                    "propagationPolicy".to_owned(),
                    json!(format!("{propagation:?}")),
                );
            }
        }
        body
    }
}

/// The items of a list lack what the list says once.
pub(crate) fn typed(mut object: Value, kind: &Kind) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert("apiVersion".to_owned(), json!(kind.api_version));
        object.insert("kind".to_owned(), json!(kind.kind));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_options_carry_only_what_is_set() {
        let plain = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        assert_eq!(DeleteOptions::default().body(), plain);
        assert_eq!(
            DeleteOptions::uid("u-1").body(),
            json!({"apiVersion": "v1", "kind": "DeleteOptions",
                   "preconditions": {"uid": "u-1"}, "propagationPolicy": "Background"})
        );
    }

    #[test]
    fn listed_items_get_their_type() {
        let object = typed(json!({"metadata": {"name": "a"}}), &Kind::namespace());
        assert_eq!(
            ObjectRef::of(&object).unwrap(),
            ObjectRef::cluster(Kind::namespace(), "a")
        );
    }
}
