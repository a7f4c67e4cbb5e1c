//! `bulkhead psp`: PodSecurityPolicies of old files and clusters, brought to where they still count.

mod files;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the policies in files as objects of `bulkhead.dev`, which Bulkhead enforces.
    Import(import::Arguments),
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(arguments) => import::run(arguments),
    }
}
