//! Documents that name tests name tests that exist.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Documents with a column of tests.
const DOCUMENTS: [&str; 3] = ["SECURITY.md", "ARCHITECTURE.md", "docs/tenant.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust text under a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            text += &sources(&path);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

/// The references of a document: what stands in backticks as `kind:name` in a table's last column.
fn references(document: &str) -> Vec<(String, String)> {
    document
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.trim_end_matches(['|', ' ']).rsplit_once('|'))
        .flat_map(|(_, column)| column.split('`').skip(1).step_by(2))
        .filter_map(|reference| reference.split_once(':'))
        .map(|(kind, name)| (kind.to_owned(), name.to_owned()))
        .collect()
}

fn exists(kind: &str, name: &str) -> bool {
    match kind {
        "attack" => {
            let (start, exact) = name
                .strip_suffix('*')
                .map_or((name, true), |start| (start, false));
            bulkhead_attack::techniques().iter().any(|t| {
                if exact {
                    t.name == start
                } else {
                    t.name.starts_with(start)
                }
            })
        }
        "e2e" => sources(&root().join("crates/e2e/src")).contains(&format!("\"{name}\"")),
        folder => {
            let folder = root().join("crates").join(folder);
            folder.is_dir() && sources(&folder).contains(&format!("fn {name}("))
        }
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let references = references(&text);
        assert!(
            references.len() > 10,
            "{document} names only {} tests",
            references.len()
        );
        for (kind, name) in references {
            if !exists(&kind, &name) {
                missing.push(format!("{document}: {kind}:{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

#[test]
fn every_claim_names_a_test() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let claims = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| claim"));
    for claim in claims {
        assert!(
            !references(claim).is_empty(),
            "this claim names no test: {claim}"
        );
    }
}
