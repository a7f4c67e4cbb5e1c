//! Files of policies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bulkhead_rego::{Loader, Place, place_in_file};
use serde_json::Value;

/// A file, and the objects in it if it is no Rego.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) objects: Vec<Value>,
}

impl File {
    pub(super) fn is_rego(&self) -> bool {
        has_ending(&self.path, &["rego"])
    }

    pub(super) fn shown(&self) -> String {
        self.path.to_string_lossy().replace('\\', "/")
    }

    /// The place of a line of Rego that stands in a YAML file, in that file.
    pub(super) fn place(&self, place: &Place) -> Place {
        if self.is_rego() {
            return place.clone();
        }
        place_in_file(place, &self.shown(), &self.text, &self.objects)
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

/// Reads files and folders, in order.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    let mut files = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let objects = if has_ending(&path, &["rego"]) {
            Vec::new()
        } else {
            objects(&path, &text)?
        };
        files.push(File {
            path,
            text,
            objects,
        });
    }
    if files.is_empty() {
        bail!("there is no `.rego`, `.yaml`, `.yml` or `.json` in what was named");
    }
    Ok(files)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !path.is_symlink() && !hidden {
            walk(&path, found)?;
        } else if has_ending(&path, &["rego", "yaml", "yml", "json"]) {
            found.push(path);
        }
    }
    Ok(())
}

fn objects(path: &Path, text: &str) -> Result<Vec<Value>> {
    let parsed = bulkhead_manifests::parse(text);
    if parsed.is_broken() {
        bail!("`{}` is no YAML that can be read", path.display());
    }
    let documents = parsed.documents.iter();
    Ok(documents.map(|document| document.to_value()).collect())
}

/// Everything that is a policy.
pub(super) fn load(files: &[File]) -> (Loader, usize) {
    let mut loader = Loader::default();
    let mut policies = 0;
    for file in files {
        if file.is_rego() {
            loader.rego(&file.shown(), &file.text);
            policies += 1;
        }
        for object in &file.objects {
            policies += usize::from(loader.object(&file.shown(), object));
        }
    }
    (loader, policies)
}
