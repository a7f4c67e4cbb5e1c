//! Which files are looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bulkhead_manifests::is_dockerfile;
use globset::{GlobBuilder, GlobMatcher};
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::config::Config;

/// A file to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// Standard input.
    Stdin,
    /// A file that somebody named.
    Named(PathBuf),
    /// A file that was found in a directory: it counts only if it holds objects.
    Walked(PathBuf),
}

impl Found {
    /// As the report shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::Named(path) | Self::Walked(path) => {
                let path = path.strip_prefix("./").unwrap_or(path);
                path.to_string_lossy().into_owned()
            }
        }
    }

    /// Whether its name is that of a Dockerfile.
    pub(super) fn is_dockerfile(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::Named(path) | Self::Walked(path) => named_dockerfile(path),
        }
    }

    /// Where it is; none for standard input.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::Named(path) | Self::Walked(path) => Some(path),
        }
    }
}

fn named_dockerfile(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(is_dockerfile)
}

/// Every file below the paths, once, by name.
///
/// # Errors
/// If a path does not exist, or is no glob that can be read.
pub(super) fn find(paths: &[PathBuf], config: &Config) -> Result<Vec<Found>> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here } else { paths };
    let exclude = excluded(config)?;
    let mut found = BTreeSet::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.insert(Found::Stdin);
        } else if path.is_dir() {
            walk(path, None, &exclude, &mut found)?;
        } else if path.exists() {
            found.insert(Found::Named(path.clone()));
        } else {
            match glob(path)? {
                Some((root, glob)) => walk(&root, Some(&glob), &exclude, &mut found)?,
                None => bail!("there is no `{}`", path.display()),
            }
        }
    }
    let mut found = if paths.len() > 1 {
        once(found)
    } else {
        found.into_iter().collect()
    };
    found.sort_by(|a, b| a.path().cmp(&b.path()));
    Ok(found)
}

/// Each file once, whatever the ways that lead to it: `a.yaml`, `./a.yaml`, the directory that it is
/// in. What somebody named is named.
fn once(found: BTreeSet<Found>) -> Vec<Found> {
    let (named, others): (Vec<Found>, Vec<Found>) = found
        .into_iter()
        .partition(|file| matches!(file, Found::Named(_)));
    let mut seen = BTreeSet::new();
    let first = |file: &Found| match file.path() {
        Some(path) => seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())),
        None => true,
    };
    named.into_iter().chain(others).filter(first).collect()
}

fn excluded(config: &Config) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(&config.root);
    for glob in config.exclude() {
        builder
            .add_line(None, glob)
            .with_context(|| format!("cannot read the glob `{glob}`"))?;
    }
    Ok(builder.build()?)
}

/// Whether a name says that a file may hold objects.
fn fits(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    ["yaml", "yml", "json"].contains(&extension) || named_dockerfile(path)
}

fn walk(
    root: &Path,
    glob: Option<&GlobMatcher>,
    exclude: &Gitignore,
    found: &mut BTreeSet<Found>,
) -> Result<()> {
    let mut walk = WalkBuilder::new(root);
    walk.require_git(false);
    let exclude = exclude.clone();
    walk.filter_entry(move |entry| {
        let directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        std::path::absolute(entry.path())
            .map_or(true, |path| !exclude.matched(path, directory).is_ignore())
    });
    for entry in walk.build() {
        let entry = entry.with_context(|| format!("cannot look into `{}`", root.display()))?;
        let path = entry.path();
        let matches =
            glob.is_none_or(|glob| glob.is_match(path.strip_prefix("./").unwrap_or(path)));
        if entry.file_type().is_some_and(|kind| kind.is_file()) && fits(path) && matches {
            found.insert(Found::Walked(path.to_owned()));
        }
    }
    Ok(())
}

/// The directory that a glob starts in, and the glob; none of what is none.
fn glob(path: &Path) -> Result<Option<(PathBuf, GlobMatcher)>> {
    let special = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[', '{']);
    if !path.iter().any(special) {
        return Ok(None);
    }
    let root: PathBuf = path.iter().take_while(|part| !special(part)).collect();
    let text = path.to_string_lossy();
    let text = text.strip_prefix("./").unwrap_or(&text);
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .with_context(|| format!("cannot read the glob `{text}`"))?;
    let root = if root.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        root
    };
    Ok(Some((root, glob.compile_matcher())))
}
