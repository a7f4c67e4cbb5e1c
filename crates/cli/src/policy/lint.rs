//! `bulkhead policy lint`.

use std::path::PathBuf;

use anyhow::Result;
use bulkhead_rego::Inventory;

use super::files::{load, read};

/// Looks through the policies; whether all are taken.
pub(super) fn run(paths: &[PathBuf]) -> Result<bool> {
    let files = read(paths)?;
    let (loader, policies) = load(&files);
    let (taken, mut refusals) = loader.finish();
    if refusals.is_empty() {
        refusals.extend(taken.judge(&Inventory::default()).err().unwrap_or_default());
    }
    for refusal in &refusals {
        let source = &refusal.place.source;
        let file = files.iter().find(|file| source.starts_with(&file.shown()));
        let place = file.map_or_else(|| refusal.place.clone(), |file| file.place(&refusal.place));
        anstream::println!("{place}: {} ({})", refusal.message, refusal.rule);
    }
    let refused = refusals.len();
    anstream::println!("policies and constraints: {policies}, refusals: {refused}");
    Ok(refusals.is_empty())
}
