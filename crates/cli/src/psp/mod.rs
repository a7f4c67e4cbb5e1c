//! `bulkhead psp`: PodSecurityPolicies of old files and clusters, brought to where they still count.

mod audit;
mod files;
mod import;
mod translate;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the policies in files as objects of `bulkhead.dev`, which Bulkhead enforces.
    Import(import::Arguments),
    /// Print the policies in files as what Kubernetes has today: a ValidatingAdmissionPolicy, labels
    /// of the Pod Security Standards, a Tenant's `podSecurity`; and say what is lost.
    Translate(translate::Arguments),
    /// Look policies and the rights to use them through, in files or in a cluster: open to everybody,
    /// unused, shadowed, contradictory, surprising.
    Audit(audit::Arguments),
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(arguments) => import::run(arguments),
        Command::Translate(arguments) => translate::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
    }
}
