//! What the API server wrote into its audit log.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use anyhow::Context as _;
use serde_json::Value;

use crate::bed::Bed;
use crate::client::text;

/// A place in the audit log.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

/// One request that changed something, or would have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) code: u64,
}

impl Bed {
    /// The end of the audit log as it is now.
    pub(crate) fn audit_mark(&self) -> anyhow::Result<Mark> {
        Ok(Mark(std::fs::metadata(self.layout.audit_log())?.len()))
    }

    /// Everything that a user has written since, dry runs and leases aside.
    pub(crate) fn writes_since(&self, mark: Mark, user: &str) -> anyhow::Result<Vec<Write>> {
        let entries = self.entries_since(mark, user)?.into_iter();
        Ok(entries
            .filter(|entry| {
                !["get", "list", "watch"].contains(&text(entry, "/verb"))
                    && text(entry, "/objectRef/resource") != "leases"
                    && !text(entry, "/requestURI").contains("dryRun=All")
            })
            .map(|entry| Write {
                verb: text(&entry, "/verb").to_owned(),
                resource: format!(
                    "{}/{}",
                    text(&entry, "/objectRef/resource"),
                    text(&entry, "/objectRef/subresource")
                ),
                name: format!(
                    "{}/{}",
                    text(&entry, "/objectRef/namespace"),
                    text(&entry, "/objectRef/name")
                ),
                code: entry
                    .pointer("/responseStatus/code")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
            })
            .collect())
    }

    /// The resources of which a user has read single objects since, once for each read.
    pub(crate) fn gets_since(&self, mark: Mark, user: &str) -> anyhow::Result<Vec<String>> {
        let entries = self.entries_since(mark, user)?;
        Ok(entries
            .iter()
            .filter(|entry| text(entry, "/verb") == "get")
            .map(|entry| text(entry, "/objectRef/resource").to_owned())
            .collect())
    }

    /// Everything that was asked since under an impersonated name.
    pub(crate) fn asked_as_since(&self, mark: Mark, user: &str) -> anyhow::Result<Vec<Value>> {
        let mut entries = self.all_since(mark)?;
        entries.retain(|entry| text(entry, "/impersonatedUser/username") == user);
        Ok(entries)
    }

    /// When the last entry was written. Every entry of later is greater as a text.
    pub(crate) fn last_stamp(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(self.layout.audit_log())?;
        let entries = log
            .lines()
            .rev()
            .filter_map(|line| serde_json::from_str(line).ok());
        let stamps = entries.map(|entry: Value| text(&entry, "/stageTimestamp").to_owned());
        stamps.into_iter().next().context("the audit log is empty")
    }

    /// How often a user has written since, dry runs and leases aside, over all files of the log: a
    /// long one is begun anew.
    pub(crate) fn count_writes(&self, since: &str, user: &str) -> anyhow::Result<usize> {
        let mut count = 0;
        for file in std::fs::read_dir(self.layout.root())? {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            if !(name.starts_with("audit") && name.ends_with(".log")) {
                continue;
            }
            let log = File::open(self.layout.root().join(name.as_ref()))?;
            for line in BufReader::new(log).lines() {
                let line = line?;
                // To read all that was only read would take longer than what is measured.
                if !line.contains(user)
                    || ["get", "list", "watch"]
                        .iter()
                        .any(|verb| line.contains(&format!("\"verb\":\"{verb}\"")))
                {
                    continue;
                }
                let Ok(entry) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let counts = text(&entry, "/user/username") == user
                    && text(&entry, "/stageTimestamp") > since
                    && text(&entry, "/objectRef/resource") != "leases"
                    && !text(&entry, "/requestURI").contains("dryRun=All");
                count += usize::from(counts);
            }
        }
        Ok(count)
    }

    fn entries_since(&self, mark: Mark, user: &str) -> anyhow::Result<Vec<Value>> {
        let mut entries = self.all_since(mark)?;
        entries.retain(|entry| text(entry, "/user/username") == user);
        Ok(entries)
    }

    /// Everything that was asked since.
    pub(crate) fn all_since(&self, mark: Mark) -> anyhow::Result<Vec<Value>> {
        let mut file = File::open(self.layout.audit_log())?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut log = String::new();
        file.read_to_string(&mut log)?;
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(entries.collect())
    }
}
