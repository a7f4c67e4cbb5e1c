//! `bulkhead sandbox`: a real control plane with Bulkhead in front of it, on this machine.

mod install;
mod manage;
mod processes;
mod progress;
mod real;
mod tenants;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bulkhead_sandbox::{Layout, launcher, supervisor};
use clap::{Args, Subcommand};

/// The exit code of `up` when a sandbox runs already: a script can tell it from a failure.
const ALREADY_RUNNING: u8 = 2;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a control plane with Bulkhead and two tenants, and attack it.
    Up(up::Arguments),
    /// Say what runs.
    Status(Directory),
    /// Stop everything and remove the directory.
    Down(manage::Down),
    /// Stop one process, to see what holds without it.
    Stop(manage::Stop),
    /// Start a stopped process again, and wait until it is ready.
    Start(manage::Start),
    /// The process that owns the others; `up` starts it.
    #[command(hide = true)]
    Supervise(Directory),
    /// Becomes a program that cannot outlive the supervisor; the supervisor starts it.
    #[command(hide = true)]
    Exec(Exec),
    /// A part of a real node, or of their network; the supervisor starts it.
    #[command(hide = true)]
    Real(real::Real),
}

#[derive(Args)]
pub(crate) struct Directory {
    /// Where the sandbox is; the user's state folder if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Exec {
    /// The process that must be the parent.
    parent: u32,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Directory {
    pub(crate) fn layout(&self) -> anyhow::Result<Layout> {
        Ok(match &self.dir {
            Some(dir) => Layout::new(dir)?,
            None => Layout::in_state_folder()?,
        })
    }

    /// The flag that leads other commands to the same sandbox.
    fn flag(&self) -> String {
        self.dir
            .as_ref()
            .map_or(String::new(), |dir| format!(" --dir {}", dir.display()))
    }
}

/// Runs a command of the sandbox.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => runtime()?.block_on(up::run(&arguments)),
        Command::Status(directory) => manage::status(&directory),
        Command::Down(arguments) => manage::down(&arguments),
        Command::Stop(arguments) => manage::stop(&arguments),
        Command::Start(arguments) => runtime()?.block_on(manage::start(&arguments)),
        Command::Supervise(directory) => {
            bulkhead_serve::init_tracing(bulkhead_serve::LogFormat::Text);
            // On this thread, the main one: see the supervisor.
            supervisor::run(
                &directory.layout()?,
                ["sandbox", "exec"].map(OsString::from).to_vec(),
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Exec(exec) => {
            let error = launcher::exec(exec.parent, &exec.program, &exec.args);
            Err(error).with_context(|| format!("cannot run `{}`", exec.program.display()))
        }
        // On this thread, the main one: see the launcher.
        Command::Real(real) => real::run(&real),
    }
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().context("cannot start")
}
