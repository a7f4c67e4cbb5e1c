//! The `bulkhead` command line: parses, delegates to the apps and crates, prints. A library, so
//! that its reference can be generated.

mod apps;
mod attack;
mod explain;
mod reference;
mod sandbox;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "bulkhead",
    version,
    about = "Keeps the tenants of a shared Kubernetes platform apart, and proves it",
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The admission webhook: answers what the API server asks.
    Webhook(apps::Webhook),
    /// The controller: makes tenants' namespaces safe and keeps them so.
    Controller(apps::Controller),
    /// The gateway: the API server as a tenant sees it.
    Gateway(apps::Gateway),
    /// A real control plane with Bulkhead in front of it, on this machine.
    #[command(subcommand)]
    Sandbox(sandbox::Command),
    /// Attack a running sandbox, and say what stopped each technique.
    Attack(attack::Arguments),
    /// Say what a control stops, and how to mend what it refuses.
    Explain(explain::Arguments),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Webhook(arguments) => apps::webhook(arguments),
        Command::Controller(arguments) => apps::controller(arguments),
        Command::Gateway(arguments) => apps::gateway(arguments),
        Command::Sandbox(command) => sandbox::run(command),
        Command::Attack(arguments) => {
            sandbox::runtime().and_then(|runtime| runtime.block_on(attack::run(&arguments)))
        }
        Command::Explain(arguments) => explain::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        anstream::eprintln!("{style}error{style:#}: {error:#}");
        ExitCode::FAILURE
    })
}

/// The reference of every command and flag, as Markdown.
#[must_use]
pub fn reference() -> String {
    reference::markdown(Cli::command())
}
