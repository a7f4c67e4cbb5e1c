//! `bulkhead rules`: every rule that `bulkhead check` knows.

use std::process::ExitCode;

use bulkhead_controls::{Mend, Rule, by_name};
use clap::{Args, ValueEnum};
use serde_json::json;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How the list is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let rules = bulkhead_check::rules();
    match arguments.format {
        Format::Table => {
            let width = rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
            anstream::println!(
                "{:<width$}  {:<8}  {:<7}  {:<3}  BECAUSE",
                "RULE",
                "SEVERITY",
                "WHERE",
                "FIX"
            );
            for rule in &rules {
                let severity = rule.severity.map_or("-", |severity| severity.word());
                let (place, fix) = about(rule.name);
                let fix = if fix { "yes" } else { "" };
                anstream::println!(
                    "{:<width$}  {severity:<8}  {place:<7}  {fix:<3}  {}",
                    rule.name,
                    rule.why
                );
            }
        }
        Format::Json => {
            let rules: Vec<_> = rules
                .iter()
                .map(|rule| {
                    let (place, fix) = about(rule.name);
                    json!({
                        "name": rule.name, "severity": rule.severity, "where": place, "fix": fix,
                        "why": rule.why, "mend": rule.mend,
                    })
                })
                .collect();
            anstream::println!("{}", serde_json::to_string_pretty(&rules)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a rule is judged, and whether `--fix` mends what it finds.
fn about(name: &str) -> (&'static str, bool) {
    match by_name(name) {
        None => ("files", false),
        Some(control) => {
            let place = match control.rule {
                Rule::Guard => "cluster",
                Rule::Dockerfile(_) => "files",
                _ => "both",
            };
            (place, matches!(control.mend, Mend::Fill(_)))
        }
    }
}
