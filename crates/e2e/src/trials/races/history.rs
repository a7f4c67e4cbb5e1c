//! What became of the objects of a kind, in the order in which it did: a watch that misses nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, WatchEvent, WatchParams};

use crate::bed::Bed;

/// One step of the history.
pub(super) struct Change {
    pub(super) version: u64,
    /// When it was heard of.
    pub(super) at: Instant,
    pub(super) gone: bool,
    pub(super) object: DynamicObject,
}

impl Change {
    /// Namespace and name.
    pub(super) fn key(&self) -> (String, String) {
        let metadata = &self.object.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        (text(&metadata.namespace), text(&metadata.name))
    }
}

/// A history that is being written.
pub(super) struct History {
    changes: Arc<Mutex<Vec<Change>>>,
    writer: tokio::task::JoinHandle<anyhow::Result<()>>,
    api: Api<DynamicObject>,
}

impl History {
    /// Writes the history of a kind from now on, all namespaces. What is there already stands at its
    /// beginning.
    pub(super) fn begin(bed: &Bed, group: &str, version: &str, kind: &str) -> anyhow::Result<Self> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let client = bed.kube_admin()?;
        let api = Api::<DynamicObject>::all_with(client, &resource);
        bed.wait(async {
            let list = api.list(&Default::default()).await?;
            let from = list
                .metadata
                .resource_version
                .context("a list without version")?;
            let there = list.items.into_iter().map(|object| {
                Ok(Change {
                    version: version_of(&object)?,
                    at: Instant::now(),
                    gone: false,
                    object,
                })
            });
            let mut there: Vec<Change> = there.collect::<anyhow::Result<_>>()?;
            there.sort_by_key(|change| change.version);
            let changes = Arc::new(Mutex::new(there));
            let writer = tokio::spawn(write(api.clone(), from, changes.clone()));
            Ok(Self {
                changes,
                writer,
                api,
            })
        })
    }

    /// The history up to now. An error if anything may be missing.
    pub(super) fn end(self, bed: &Bed) -> anyhow::Result<Vec<Change>> {
        bed.wait(async {
            let list = self.api.list(&Default::default()).await?;
            let there = list.items.iter().map(version_of);
            let there: Vec<u64> = there.collect::<anyhow::Result<_>>()?;
            // The watch comes to know of everything that a consistent list has.
            while let Some(&end) = there.iter().max() {
                ensure!(
                    !self.writer.is_finished(),
                    "the watch has ended: {:?}",
                    self.writer.await
                );
                let heard = lock(&self.changes)
                    .last()
                    .map_or(0, |change| change.version);
                if heard >= end {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            self.writer.abort();
            Ok(std::mem::take(&mut *lock(&self.changes)))
        })
    }
}

async fn write(
    api: Api<DynamicObject>,
    mut from: String,
    changes: Arc<Mutex<Vec<Change>>>,
) -> anyhow::Result<()> {
    loop {
        let parameters = WatchParams::default().timeout(290);
        let mut events = match api.watch(&parameters, &from).await {
            Ok(events) => events.boxed(),
            Err(error) => bail!("no watch from {from} on: {error}"),
        };
        while let Some(event) = events.next().await {
            let (gone, object) = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (false, object),
                Ok(WatchEvent::Deleted(object)) => (true, object),
                Ok(WatchEvent::Bookmark(mark)) => {
                    from = mark.metadata.resource_version;
                    continue;
                }
                Ok(WatchEvent::Error(status)) => bail!("the history is broken: {status:?}"),
                // The connection; the version is still good.
                Err(_) => break,
            };
            let version = version_of(&object)?;
            from = version.to_string();
            let mut changes = lock(&changes);
            let last = changes.last().map_or(0, |change| change.version);
            ensure!(version > last, "{version} comes after {last}");
            changes.push(Change {
                version,
                at: Instant::now(),
                gone,
                object,
            });
        }
    }
}

fn version_of(object: &DynamicObject) -> anyhow::Result<u64> {
    let version = object.metadata.resource_version.as_ref();
    Ok(version.context("an object without version")?.parse()?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
