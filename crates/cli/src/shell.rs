//! `bulkhead completions` and `bulkhead man`: what a shell and `man` want to know of the command
//! line, made from it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// Write a page for each command into this directory, rather than one to standard output.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(arguments: &Completions, mut command: Command) -> ExitCode {
    clap_complete::generate(
        arguments.shell,
        &mut command,
        "bulkhead",
        &mut std::io::stdout(),
    );
    ExitCode::SUCCESS
}

pub(crate) fn man(arguments: &Man, command: Command) -> anyhow::Result<ExitCode> {
    match &arguments.dir {
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
        Some(dir) => {
            let shown = dir.display();
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{shown}`"))?;
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write to `{shown}`"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
