//! `bulkhead check`: files judged by the controls, before any cluster sees them.

mod config;
mod files;
mod output;
mod policies;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_model::Profile;
use clap::{Args, ValueEnum};

use run::Plan;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Files, directories or globs; `-` for standard input. The current directory if left out.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What pods are held to: Strict (the default), Restricted, Baseline or Privileged.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Hold everything to the rules of the Tenant in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    tenant: Option<PathBuf>,
    #[command(flatten)]
    kinds: crate::apps::Kinds,
    /// Only these rules.
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    select: Vec<String>,
    /// All rules but these.
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Leave out what the webhook would set by itself, as it does on Pods where Bulkhead runs.
    #[arg(long)]
    as_admitted: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show how `--fix` would change the files, as a patch.
    #[arg(long, conflicts_with = "fix")]
    diff: bool,
    /// Set what is unset to its safe value, and leave every other byte as it is.
    #[arg(long)]
    fix: bool,
    /// Print the page of every control that found something.
    #[arg(long)]
    explain: bool,
    /// Say nothing unless something is found.
    #[arg(long, short)]
    quiet: bool,
    /// When to use colours.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    color: Color,
    /// Read this configuration, rather than the nearest `bulkhead.toml` upwards.
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Read no configuration.
    #[arg(long)]
    no_config: bool,
    /// Hold pods to the policies in this folder or file as well: PodSecurityPolicies.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a terminal: the lines of the source, with marks.
    #[default]
    Text,
    /// Everything, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for test reports.
    Junit,
    /// For a pull request or a wiki.
    Markdown,
    /// Annotations of a GitHub workflow.
    Github,
}

impl From<Format> for bulkhead_report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
            Format::Sarif => Self::Sarif,
            Format::Junit => Self::Junit,
            Format::Markdown => Self::Markdown,
            Format::Github => Self::Github,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What cannot be used: the exit code says so, whatever else was found.
const UNUSABLE: u8 = 2;

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match plan(arguments).and_then(run::run) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            crate::complain(&error);
            ExitCode::from(UNUSABLE)
        }
    }
}

fn plan(arguments: Arguments) -> anyhow::Result<Plan> {
    let config = match (&arguments.config, arguments.no_config) {
        (_, true) => config::Config::default(),
        (Some(file), _) => config::Config::read(file)?,
        (None, false) => config::Config::find(&std::env::current_dir()?)?,
    };
    let mut settings = config.settings(&arguments)?;
    if let Some(from) = &arguments.policies {
        settings.policies = policies::read(from)?;
    }
    let files = files::find(&arguments.paths, &config)?;
    let choice = match arguments.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    Ok(Plan {
        files,
        settings,
        format: arguments.format.into(),
        mode: match (arguments.diff, arguments.fix) {
            (true, _) => run::Mode::Diff,
            (_, true) => run::Mode::Fix,
            _ => run::Mode::Report,
        },
        explain: arguments.explain,
        quiet: arguments.quiet,
    })
}
