//! The `bulkhead` command line: parses, delegates to the apps and crates, prints. A library, so
//! that its reference can be generated.

mod apps;
mod attack;
mod check;
mod explain;
mod policy;
mod psp;
mod reference;
mod rules;
mod sandbox;
mod shell;
mod tenant;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// The servers read and forget trees of small pieces, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Tenants, for their administrators: list, describe, create, adopt, cordon, delete.
    Tenant(tenant::Arguments),
    /// Attack a running sandbox, and say what stopped each technique.
    Attack(attack::Arguments),
    /// Judge files: manifests, what Helm and Kustomize make, Dockerfiles.
    Check(check::Arguments),
    /// PodSecurityPolicies, brought to where they still count.
    #[command(subcommand)]
    Psp(psp::Command),
    /// Policies in Rego, OPA's and Gatekeeper's: look them through, test them.
    #[command(subcommand)]
    Policy(policy::Command),
    /// List every rule that `check` knows.
    Rules(rules::Arguments),
    /// Say what a control stops, and how to mend what it refuses.
    Explain(explain::Arguments),
    /// Print what a shell needs to complete this command line.
    Completions(shell::Completions),
    /// Print the manual page.
    Man(shell::Man),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Webhook(arguments) => apps::webhook(arguments),
        Command::Controller(arguments) => apps::controller(arguments),
        Command::Gateway(arguments) => apps::gateway(arguments),
        Command::Sandbox(command) => sandbox::run(command),
        Command::Tenant(arguments) => {
            sandbox::runtime().and_then(|runtime| runtime.block_on(tenant::run(arguments)))
        }
        Command::Attack(arguments) => {
            sandbox::runtime().and_then(|runtime| runtime.block_on(attack::run(&arguments)))
        }
        Command::Check(arguments) => Ok(check::run(arguments)),
        Command::Psp(command) => psp::run(&command),
        Command::Policy(command) => Ok(policy::run(command)),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Completions(arguments) => Ok(shell::completions(&arguments, Cli::command())),
        Command::Man(arguments) => shell::man(&arguments, Cli::command()),
    };
    result.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

/// Says why a command could not be carried out.
fn complain(error: &anyhow::Error) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error{style:#}: {error:#}");
}

/// The reference of every command and flag, as Markdown.
#[must_use]
pub fn reference() -> String {
    reference::markdown(Cli::command())
}
