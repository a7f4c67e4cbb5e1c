//! `bulkhead policy`: policies in Rego, looked through and tested before any cluster has them.

mod files;
mod lint;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say what Bulkhead would refuse of OPA's and Gatekeeper's policies, and where.
    Lint(Paths),
    /// Run OPA's tests (rules `test_…`) and Gatekeeper's Suites.
    Test(Paths),
}

#[derive(Args)]
pub(crate) struct Paths {
    /// Files, or folders with files `.rego`, `.yaml`, `.yml` and `.json`.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

/// What cannot be used: the exit code says so, whatever else was found.
const UNUSABLE: u8 = 2;

pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Lint(Paths { paths }) => lint::run(&paths),
        Command::Test(Paths { paths }) => test::run(&paths),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            crate::complain(&error);
            ExitCode::from(UNUSABLE)
        }
    }
}
