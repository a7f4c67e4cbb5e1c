//! `bulkhead psp import`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_manifests::Node;
use bulkhead_psp::{ImportError, Imported, KIND, import, import_role, is_policy};
use clap::Args;
use serde_json::Value;

use super::files::{File, yaml};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Files with PodSecurityPolicies, and Roles and ClusterRoles with rights to `use` them; `-`
    /// for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// What came of the files.
#[derive(Default)]
struct Import {
    objects: Vec<Value>,
    names: BTreeSet<String>,
    notes: Vec<String>,
    errors: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut all = Import::default();
    for path in &arguments.files {
        let file = File::read(path)?;
        all.errors.extend(file.broken());
        for (api_version, kind, node) in file.objects() {
            all.object(&file, api_version, kind, node);
        }
    }
    for note in &all.notes {
        anstream::eprintln!("{note}");
    }
    // Half of the policies would let in what the other half was to keep out.
    if !all.errors.is_empty() {
        anyhow::bail!("nothing is imported:\n{}", all.errors.join("\n"));
    }
    if all.names.is_empty() {
        anyhow::bail!("there is no {KIND} in these files");
    }
    anstream::print!("{}", yaml(&all.objects)?);
    Ok(ExitCode::SUCCESS)
}

impl Import {
    fn object(&mut self, file: &File, api_version: &str, kind: &str, node: &Node) {
        let start = node.span.start;
        let value = node.to_value();
        let name = value.pointer("/metadata/name").and_then(Value::as_str);
        let shown = format!("{kind} `{}`", name.unwrap_or_default());
        if kind == KIND && is_policy(api_version) {
            match import(&value) {
                Ok(imported) => self.policy(file, start, &shown, imported),
                Err(error) => self.refused(file, node, &shown, error),
            }
            return;
        }
        let rights = matches!(kind, "Role" | "ClusterRole")
            .then(|| import_role(&value))
            .flatten();
        match rights {
            Some(imported) => self.take(file, start, &shown, imported),
            None => self
                .notes
                .push(file.at(start, &format!("{shown} is left out"))),
        }
    }

    fn policy(&mut self, file: &File, start: usize, shown: &str, imported: Imported) {
        let name = imported
            .object
            .pointer("/metadata/name")
            .and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        if self.names.contains(&name) {
            let message = format!("{shown}: there is a policy `{name}` already");
            self.errors.push(file.at(start, &message));
        }
        self.names.insert(name);
        self.take(file, start, shown, imported);
    }

    fn take(&mut self, file: &File, start: usize, shown: &str, imported: Imported) {
        let mended = imported.mended.iter();
        self.notes
            .extend(mended.map(|mend| file.at(start, &format!("{shown}: {mend}"))));
        self.objects.push(imported.object);
    }

    fn refused(&mut self, file: &File, node: &Node, shown: &str, error: ImportError) {
        let start = |path| node.locate(&path).span.start;
        let mut said: Vec<(usize, String)> = match error {
            ImportError::Misread(wrong) => wrong
                .into_iter()
                .map(|misread| (start(misread.path.clone()), misread.to_string()))
                .collect(),
            ImportError::Invalid(wrong) => wrong
                .into_iter()
                .map(|error| (start(error.place()), error.to_string()))
                .collect(),
        };
        said.sort();
        let lines = said
            .into_iter()
            .map(|(start, message)| file.at(start, &format!("{shown}: {message}")));
        self.errors.extend(lines);
    }
}
