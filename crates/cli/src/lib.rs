//! The `bulkhead` command line: parses, delegates to the apps and crates, prints. A library, so
//! that its reference can be generated.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bulkhead", version, about = "Keeps the tenants of a shared Kubernetes platform apart, and proves it", propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {}
}

/// The reference of every command and flag, as Markdown.
#[must_use]
pub fn reference() -> String {
    Cli::command().render_long_help().to_string()
}
