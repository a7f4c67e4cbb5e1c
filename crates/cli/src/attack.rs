//! `bulkhead attack`: the techniques that the sandbox is held to, by hand.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use bulkhead_attack::{Field, Outcome, list, run as run_all, techniques};
use clap::Args;

use crate::sandbox::Directory;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    directory: Directory,
    /// Only techniques whose name contains this.
    #[arg(value_name = "TEXT", default_value = "")]
    name: String,
    /// Attack nothing; say what each technique does.
    #[arg(long)]
    list: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wanted = |name: &str| name.contains(&arguments.name);
    let chosen: Vec<_> = techniques()
        .into_iter()
        .filter(|t| wanted(&t.name))
        .collect();
    if chosen.is_empty() {
        anyhow::bail!(
            "no technique's name contains `{}`: `bulkhead attack --list` shows all",
            arguments.name
        );
    }
    if arguments.list {
        let width = chosen.iter().map(|t| t.name.len()).max().unwrap_or(0);
        for technique in chosen {
            anstream::println!(
                "{}  {:<width$}  {}",
                technique.theorem,
                technique.name,
                technique.does
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let layout = arguments.directory.layout()?;
    let field = Field::prepare(layout.root()).await.with_context(|| {
        format!(
            "cannot attack the sandbox in `{}`; is it up?",
            layout.root().display()
        )
    })?;
    let field = Arc::new(field);
    let outcomes = run_all(&field, wanted).await;
    field.clean().await?;
    anstream::println!("{}", list(&outcomes));
    let held = outcomes.iter().all(Outcome::is_stopped);
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
