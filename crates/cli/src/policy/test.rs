//! `bulkhead policy test`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bulkhead_model::Json;
use bulkhead_rego::{Case, Suite};
use serde_json::{Value, json};

use super::files::{File, load, read};

/// What came of the tests.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn note(&mut self, name: &str, file: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                anstream::println!("ok    {file} {name}");
            }
            Err(why) => {
                self.failed += 1;
                anstream::println!("FAIL  {file} {name}: {why}");
            }
        }
    }
}

/// Runs the tests; whether all pass.
pub(super) fn run(paths: &[PathBuf]) -> Result<bool> {
    let files = read(paths)?;
    let mut count = Count::default();
    rules(&files, &mut count);
    for file in &files {
        for object in &file.objects {
            let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("kind") == "Suite" && text("apiVersion").starts_with("test.gatekeeper.sh/") {
                suite(file, object, &mut count);
            }
        }
    }
    let Count {
        passed,
        failed,
        skipped,
    } = count;
    if passed + failed + skipped == 0 {
        bail!("there are no tests: neither rules `test_…` nor Suites of `test.gatekeeper.sh`");
    }
    anstream::println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

/// OPA's tests: rules that are true.
fn rules(files: &[File], count: &mut Count) {
    let (loader, _) = load(files);
    let (policies, _) = loader.finish();
    let nothing = json!({});
    let nothing = Json::from(&nothing);
    for (rule, source) in policies.plain.tests() {
        let outcome = match policies.plain.query(&rule, &nothing) {
            Err(refusals) => Err(refusals
                .first()
                .map(ToString::to_string)
                .unwrap_or_default()),
            Ok(mut query) => match query.ask(&nothing) {
                Ok(Some(Value::Bool(true))) => Ok(()),
                Ok(Some(other)) => Err(format!("is `{other}`, not true")),
                Ok(None) => Err("is undefined, not true".to_owned()),
                Err(failure) => Err(failure.to_string()),
            },
        };
        count.note(rule.trim_start_matches("data."), source, outcome);
    }
}

fn suite(file: &File, object: &Value, count: &mut Count) {
    let suite = match Suite::parse(object) {
        Ok(suite) => suite,
        Err(error) => return count.note("", &file.shown(), Err(error.to_string())),
    };
    for name in &suite.skipped {
        count.skipped += 1;
        anstream::println!("skip  {} {name}", file.shown());
    }
    let folder = file.path.parent().unwrap_or(Path::new(""));
    for case in &suite.cases {
        count.note(&case.name, &file.shown(), tried(case, folder));
    }
}

fn tried(case: &Case, folder: &Path) -> Result<(), String> {
    let one = |path: &str| -> Result<Value> {
        let files = read(&[folder.join(path)])?;
        let objects = files.into_iter().flat_map(|file| file.objects);
        objects
            .into_iter()
            .next()
            .with_context(|| format!("`{path}` holds no object"))
    };
    let text = |error: anyhow::Error| format!("{error:#}");
    let template = one(&case.template).map_err(text)?;
    let constraint = one(&case.constraint).map_err(text)?;
    let object = one(&case.object).map_err(text)?;
    let inventory = case.inventory.iter().map(|path| one(path));
    let inventory = inventory.collect::<Result<Vec<Value>>>().map_err(text)?;
    let outcome = case.run((&template, &constraint), &object, &inventory);
    outcome.map_err(|error| error.to_string())
}
