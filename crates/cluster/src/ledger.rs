//! The ledger's objects: claimed by being made, changed on condition that nobody else has.

use std::time::Duration;

use bulkhead_api::{FieldError, entry_object, parse_entry};
use bulkhead_model::{ClaimKind, Holder, LedgerEntry, entry_name, labels};
use serde_json::{Map, Value, json};

use crate::cache::{Cache, Record};
use crate::cluster::{Cluster, DeleteOptions};
use crate::error::ClusterError;
use crate::resource::{Kind, ObjectRef};

/// How often a change is tried. Each try that fails is one of somebody else's that succeeded.
const TRIES: u32 = 100;
/// What is waited after a try that failed, times its number, up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(50);

/// The ledger of a cluster. Clones share connections.
#[derive(Clone)]
pub struct Ledger {
    cluster: Cluster,
}

/// Whose a claim is, after it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The one's who asked, whether by this request or an earlier one.
    Ours,
    /// Somebody else's.
    Theirs(Holder),
}

/// What is to become of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Revision {
    /// It stays as it is.
    Keep,
    /// It becomes this; kind and key must be those of the entry.
    Write(LedgerEntry),
    /// It goes.
    Delete,
}

/// All entries, or all of one kind, by the name of their object.
pub type LedgerCache = Cache<EntryRecord>;

/// One object of the ledger, parsed where it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryRecord {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// The entry, or what is wrong with the object. What cannot be read counts as taken.
    pub entry: Result<LedgerEntry, Vec<FieldError>>,
}

impl Ledger {
    /// The ledger of a cluster, under its identity.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
        }
    }

    /// Claims a thing for a holder, by making the entry that is called like it. An entry that
    /// the holder has already stays as it is.
    ///
    /// Asked again after an answer that was lost, it gives the answer that was meant.
    ///
    /// # Errors
    /// If the API server does not answer, or the entry that is there cannot be read or has no
    /// holder. Nothing is claimed then, as far as is known.
    pub async fn claim(
        &self,
        kind: ClaimKind,
        key: &str,
        holder: &Holder,
        data: Map<String, Value>,
    ) -> Result<Claim, ClusterError> {
        let wanted = LedgerEntry {
            kind,
            key: key.to_owned(),
            holder: Some(holder.clone()),
            data,
        };
        let found = self
            .update(kind, key, |entry| match entry {
                None => (Revision::Write(wanted.clone()), Some(holder.clone())),
                Some(entry) => (Revision::Keep, entry.holder.clone()),
            })
            .await?;
        match found {
            Some(found) if found == *holder => Ok(Claim::Ours),
            Some(found) => Ok(Claim::Theirs(found)),
            None => Err(unreadable(&wanted.name(), "`spec.holder` is missing")),
        }
    }

    /// Gives a claim up. False if the holder did not have it.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn release(
        &self,
        kind: ClaimKind,
        key: &str,
        holder: &Holder,
    ) -> Result<bool, ClusterError> {
        self.update(kind, key, |entry| {
            match entry.and_then(|entry| entry.holder.as_ref()) {
                Some(found) if found == holder => (Revision::Delete, true),
                _ => (Revision::Keep, false),
            }
        })
        .await
    }

    /// Changes an entry: `change` is asked what is to become of it as it is now (none if there is
    /// none), and again if somebody else has changed it before that was written. The result is
    /// what `change` said beside the revision that was written.
    ///
    /// # Errors
    /// If the API server does not answer: the change may have been made or not, and may still be
    /// made. If the entry cannot be read, or others are faster again and again.
    pub async fn update<T>(
        &self,
        kind: ClaimKind,
        key: &str,
        mut change: impl FnMut(Option<&LedgerEntry>) -> (Revision, T),
    ) -> Result<T, ClusterError> {
        let name = entry_name(kind, key);
        let mut tries = 0;
        loop {
            let record = self.read(kind, key).await?;
            let entry = match &record {
                None => None,
                Some(record) => Some(record.entry.as_ref().map_err(|errors| {
                    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    unreadable(&name, &errors.join("; "))
                })?),
            };
            let (revision, answer) = change(entry);
            let written = match (&revision, &record) {
                (Revision::Keep, _) | (Revision::Delete, None) => Ok(()),
                (Revision::Write(entry), None) => {
                    self.cluster.create(&entry_object(entry)).await.map(drop)
                }
                (Revision::Write(entry), Some(record)) => self.write(entry, record).await,
                (Revision::Delete, Some(record)) => self.delete(record).await,
            };
            match written {
                Ok(()) => return Ok(answer),
                Err(error) if tries < TRIES && is_outrun(&error) => {
                    tries += 1;
                    tokio::time::sleep((PAUSE * tries).min(LONGEST)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// An entry as it is now, never from a cache.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn read(
        &self,
        kind: ClaimKind,
        key: &str,
    ) -> Result<Option<EntryRecord>, ClusterError> {
        let reference = ObjectRef::cluster(Kind::ledger_entry(), &entry_name(kind, key));
        Ok(self
            .cluster
            .get(&reference)
            .await?
            .and_then(EntryRecord::of))
    }

    /// Writes an entry if its object still is as it was read.
    async fn write(&self, entry: &LedgerEntry, record: &EntryRecord) -> Result<(), ClusterError> {
        let mut object = entry_object(entry);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("uid".to_owned(), json!(record.uid));
            metadata.insert("resourceVersion".to_owned(), json!(record.version));
        }
        self.cluster.replace(&object).await.map(drop)
    }

    /// Deletes an entry if its object still is as it was read.
    async fn delete(&self, record: &EntryRecord) -> Result<(), ClusterError> {
        let options = DeleteOptions {
            uid: Some(record.uid.clone()),
            resource_version: Some(record.version.clone()),
            propagation: None,
        };
        let reference = ObjectRef::cluster(Kind::ledger_entry(), &record.name);
        self.cluster.delete(&reference, &options).await.map(drop)
    }

    /// The entries of a kind (none: of every kind) that a holder has (none: that anybody has), as
    /// they are now. Entries that many share are found without a holder only.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn list(
        &self,
        kind: Option<ClaimKind>,
        holder: Option<&Holder>,
    ) -> Result<Vec<EntryRecord>, ClusterError> {
        let objects = self
            .cluster
            .list(&Kind::ledger_entry(), None, &selector(kind, holder))
            .await?;
        let mut records: Vec<EntryRecord> =
            objects.into_iter().filter_map(EntryRecord::of).collect();
        // Labels only narrow the search.
        records.retain(|record| match (&record.entry, holder) {
            (Ok(entry), Some(_)) => entry.holder.as_ref() == holder,
            _ => true,
        });
        Ok(records)
    }
}

impl LedgerCache {
    /// Follows the entries of a kind; none: of every kind. Starts a task; needs a tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster, kind: Option<ClaimKind>) -> Self {
        Self::follow(cluster, Kind::ledger_entry(), &selector(kind, None))
    }

    /// The record of a thing's entry.
    #[must_use]
    pub fn entry(&self, kind: ClaimKind, key: &str) -> Option<std::sync::Arc<EntryRecord>> {
        self.get(&entry_name(kind, key))
    }
}

impl EntryRecord {
    /// Reads an object of the ledger. None if it has not even a name, a UID and a version.
    #[must_use]
    pub fn of(object: Value) -> Option<Self> {
        let text = |field: &str| {
            let value = object.get("metadata")?.get(field)?.as_str()?;
            Some(value.to_owned())
        };
        Some(Self {
            name: text("name")?,
            uid: text("uid")?,
            version: text("resourceVersion")?,
            entry: parse_entry(&object),
        })
    }
}

impl Record for EntryRecord {
    fn parse(object: Value) -> Option<(String, Self)> {
        let record = Self::of(object)?;
        Some((record.name.clone(), record))
    }
}

/// Whether somebody else changed, made or deleted the entry first.
fn is_outrun(error: &ClusterError) -> bool {
    error.is_conflict() || error.is_already_exists() || error.is_not_found()
}

fn selector(kind: Option<ClaimKind>, holder: Option<&Holder>) -> String {
    let kind = kind.map(|kind| format!("{}={kind}", labels::CLAIM));
    let holder = holder.map(|holder| format!("{}={}", labels::TENANT_UID, holder.uid));
    let parts: Vec<String> = kind.into_iter().chain(holder).collect();
    parts.join(",")
}

fn unreadable(name: &str, problem: &str) -> ClusterError {
    ClusterError::Object {
        problem: format!("LedgerEntry `{name}` cannot be read: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{TenantName, Uid};

    use super::*;

    #[test]
    fn selectors_name_kind_and_holder() {
        let holder = Holder {
            tenant: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
        };
        assert_eq!(selector(None, None), "");
        assert_eq!(
            selector(Some(ClaimKind::Node), Some(&holder)),
            "bulkhead.dev/claim=Node,bulkhead.dev/tenant-uid=u-1"
        );
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_still_there() {
        let metadata = json!({"name": "node.a", "uid": "u", "resourceVersion": "7"});
        let record =
            EntryRecord::of(json!({"metadata": metadata, "spec": {"kind": "Node", "key": "b"}}));
        assert!(record.unwrap().entry.is_err());
        assert_eq!(
            EntryRecord::of(json!({"metadata": {"name": "node.a"}})),
            None
        );
    }
}
