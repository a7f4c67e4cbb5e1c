//! `bulkhead psp translate`.

use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_manifests::Node;
use bulkhead_psp::{
    Beyond, ImportError, KIND, Translation, Untranslated, import, is_policy, parse, translate,
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::files::{File, yaml};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Files with PodSecurityPolicies; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How to print them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// Objects for `kubectl apply`; the rest as comments.
    #[default]
    Yaml,
    /// Everything, for programs.
    Json,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut all, mut notes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for path in &arguments.files {
        let file = File::read(path)?;
        errors.extend(file.broken());
        for (api_version, kind, node) in file.objects() {
            if kind != KIND || !is_policy(api_version) {
                let name = node.to_value();
                let name = name.pointer("/metadata/name").and_then(Value::as_str);
                let left = format!("{kind} `{}` is left out", name.unwrap_or_default());
                notes.push(file.at(node.span.start, &left));
                continue;
            }
            match one(&file, node, &mut notes) {
                Ok(translation) => all.push(translation),
                Err(wrong) => errors.extend(wrong),
            }
        }
    }
    for note in &notes {
        anstream::eprintln!("{note}");
    }
    if !errors.is_empty() {
        anyhow::bail!("nothing is translated:\n{}", errors.join("\n"));
    }
    if all.is_empty() {
        anyhow::bail!("there is no {KIND} in these files");
    }
    match arguments.format {
        Format::Yaml => {
            for translation in &all {
                anstream::print!("{}", text(translation)?);
            }
        }
        Format::Json => {
            let all: Vec<Value> = all.iter().map(value).collect();
            anstream::println!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The translation of one policy, mended as `import` mends it, or what is wrong with it.
fn one(file: &File, node: &Node, notes: &mut Vec<String>) -> Result<Translation, Vec<String>> {
    let written = node.to_value();
    let name = written.pointer("/metadata/name").and_then(Value::as_str);
    let shown = format!("{KIND} `{}`", name.unwrap_or_default());
    let at = |message: &str| file.at(node.span.start, &format!("{shown}: {message}"));
    let said = |errors: Vec<String>| errors.iter().map(|error| at(error)).collect::<Vec<_>>();
    let imported = import(&written).map_err(|error| match error {
        ImportError::Misread(wrong) => said(wrong.iter().map(ToString::to_string).collect()),
        ImportError::Invalid(wrong) => said(wrong.iter().map(ToString::to_string).collect()),
    })?;
    notes.extend(imported.mended.iter().map(|mend| at(mend)));
    let policy = parse(&imported.object)
        .map_err(|wrong| said(wrong.iter().map(ToString::to_string).collect()))?;
    translate(&policy).map_err(|error| match error {
        Untranslated::Invalid(wrong) => said(wrong.iter().map(ToString::to_string).collect()),
        Untranslated::Unusable(reasons) => said(vec![format!(
            "no pod can be held to it: {}",
            reasons.join("; ")
        )]),
    })
}

fn value(translation: &Translation) -> Value {
    let left_out = translation.left_out.iter();
    let whats = |list: &[Beyond]| list.iter().map(|it| it.what).collect::<Vec<_>>();
    json!({
        "name": translation.name,
        "level": translation.level.to_string(),
        "labels": translation.labels,
        "podSecurity": translation.pod_security,
        "policy": translation.policy,
        "binding": translation.binding,
        "leftOut": left_out.map(|it| json!({"what": it.what, "why": it.why})).collect::<Vec<_>>(),
        "beyond": whats(&translation.beyond),
        "tenantBeyond": whats(&translation.tenant_beyond),
    })
}

fn text(translation: &Translation) -> anyhow::Result<String> {
    let mut lines = vec![
        format!("# PodSecurityPolicy `{}`", translation.name),
        "#".to_owned(),
        "# For a Tenant:".to_owned(),
    ];
    let tenant = json!({"spec": {"podSecurity": translation.pod_security}});
    let namespace = json!({"metadata": {"labels": translation.labels}});
    lines.extend(commented(&tenant)?);
    lines.push("#\n# For the namespaces of its pods:".to_owned());
    lines.extend(commented(&namespace)?);
    lines.push("#\n# What cannot be carried over:".to_owned());
    for it in &translation.left_out {
        lines.push(format!("# - {}: {}", it.what, it.why));
    }
    let level = format!("`{}`", translation.level);
    lines.extend(besides(&level, &translation.beyond));
    if translation.tenant_level != translation.level {
        let profile = format!(
            "the Tenant's profile `{}`",
            translation.tenant_level.profile()
        );
        lines.extend(besides(&profile, &translation.tenant_beyond));
    }
    let objects = yaml([&translation.policy, &translation.binding])?;
    Ok(format!("{}\n{objects}", lines.join("\n")))
}

fn besides(who: &str, beyond: &[Beyond]) -> Vec<String> {
    let mut lines = Vec::new();
    if !beyond.is_empty() {
        lines.push(format!("#\n# What {who} refuses besides:"));
    }
    lines.extend(beyond.iter().map(|it| format!("# - {}", it.what)));
    lines
}

fn commented(value: &Value) -> anyhow::Result<Vec<String>> {
    let text = serde_norway::to_string(value)?;
    Ok(text.lines().map(|line| format!("#   {line}")).collect())
}
