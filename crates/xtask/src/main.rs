//! Developer commands: `cargo xtask test | generate | fuzz | differential | bench | races | clients`.

mod bench;
mod bench_admission;
mod bench_check;
mod bench_psp;
mod bench_rego;
mod coverage;
mod differential;
mod fuzz;
mod gateway_doc;
mod generate;
mod steps;
mod tenant_doc;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Bulkhead's developer commands",
    bin_name = "cargo xtask"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Format, lints, drift checks, all tests, and the end-to-end tests on a real control plane
    Test {
        /// Leave out the end-to-end tests
        #[arg(long)]
        no_e2e: bool,
    },
    /// Write everything that is generated from code: CRDs, RBAC, policies, docs
    Generate {
        /// Write nothing; fail, naming each file that differs
        #[arg(long)]
        check: bool,
    },
    /// Race for quotas, ids and claims while those that hand them out are killed, with many clients
    Races {
        /// How long each race lasts
        #[arg(long, value_name = "SECONDS", default_value = "120")]
        seconds: u64,
    },
    /// Look at more states of the ledger's model than a gate has time for
    Model {
        /// How many; a million takes about two gigabytes
        #[arg(long, default_value = "1000000")]
        states: u64,
    },
    /// Try every client of the matrix through the gateway, those too that have to be compiled first
    Clients,
    /// Hold an evaluator against the original that it follows, over many generated cases
    #[command(subcommand)]
    Differential(Differential),
    /// Feed the fuzz targets (needs a C++ compiler)
    Fuzz(fuzz::Arguments),
    /// Measure, in ratios against a peer in the same run
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Differential {
    /// PodSecurityPolicies, against the admission plugin of Kubernetes 1.24
    Psp(differential::Arguments),
    /// Policies in Rego, against OPA and Gatekeeper
    Rego(differential::Arguments),
}

#[derive(Subcommand)]
enum Bench {
    /// What admission by our webhook costs, beside a webhook that decides nothing
    Admission(bench_admission::Arguments),
    /// What `bulkhead check` costs over many files, and over one
    Check(bench_check::Arguments),
    /// What evaluating PodSecurityPolicies costs, beside the original plugin
    Psp(bench_psp::Arguments),
    /// What policies in Rego cost at admission, beside Gatekeeper's code
    Rego(bench_rego::Arguments),
    /// What keeping many tenants apart costs, beside a bare client of the same API server
    Tenants(steps::Tenants),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test { no_e2e } => steps::test(!no_e2e),
        Command::Generate { check } => generate::run(check),
        Command::Races { seconds } => steps::races(seconds),
        Command::Model { states } => steps::model(states),
        Command::Clients => steps::clients(),
        Command::Differential(Differential::Psp(arguments)) => differential::psp(&arguments),
        Command::Differential(Differential::Rego(arguments)) => differential::rego(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Bench(Bench::Admission(arguments)) => bench_admission::run(&arguments),
        Command::Bench(Bench::Check(arguments)) => bench_check::run(&arguments),
        Command::Bench(Bench::Psp(arguments)) => bench_psp::run(&arguments),
        Command::Bench(Bench::Rego(arguments)) => bench_rego::run(&arguments),
        Command::Bench(Bench::Tenants(arguments)) => steps::bench_tenants(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
