//! The files that `--policies` names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bulkhead_check::Policies;

/// Reads every policy of a folder, or of one file. Hidden files are left out.
///
/// # Errors
/// If one cannot be read, or is no policy.
pub(super) fn read(from: &Path) -> Result<Policies> {
    let mut paths = Vec::new();
    find(from, &mut paths)?;
    paths.sort();
    if paths.is_empty() {
        bail!("there is no policy in `{}`", from.display());
    }
    let mut texts = Vec::new();
    for path in paths {
        let shown = path.display().to_string();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{shown}`"))?;
        texts.push((shown, text));
    }
    let files = texts
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    Policies::read(files).map_err(|wrong| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("not every policy can be used:\n{}", lines.join("\n"))
    })
}

fn find(from: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let shown = from.display();
    let about = fs::metadata(from).with_context(|| format!("cannot read `{shown}`"))?;
    if !about.is_dir() {
        found.push(from.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{shown}`"))? {
        let path = entry
            .with_context(|| format!("cannot read `{shown}`"))?
            .path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            find(&path, found)?;
        }
    }
    Ok(())
}
