//! The parts of real nodes, each a process: `up` has the supervisor start the first two, they the others.

use std::process::ExitCode;

use bulkhead_sandbox::real_nodes::{self, RealNode};
use clap::{Args, Subcommand};

use super::Directory;

#[derive(Args)]
pub(crate) struct Real {
    #[command(flatten)]
    directory: Directory,
    /// The process that owns all others.
    #[arg(long, value_name = "PID")]
    supervisor: u32,
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Carries connections between the nodes' network and the API server.
    Carry {
        /// The API server's.
        port: u16,
    },
    /// Keeps a node.
    Keep {
        /// The node's.
        number: u8,
    },
    /// Becomes a node's first process.
    Enter {
        /// The node's.
        number: u8,
        /// The process that must be the parent.
        keeper: u32,
    },
    /// Is a node's first process.
    Run {
        /// The node's.
        number: u8,
    },
}

pub(super) fn run(real: &Real) -> anyhow::Result<ExitCode> {
    bulkhead_serve::init_tracing(bulkhead_serve::LogFormat::Text);
    let layout = real.directory.layout()?;
    let node = |number| RealNode::new(&layout, number);
    match real.part {
        Part::Carry { port } => match real_nodes::carry(&layout, port, real.supervisor)? {},
        Part::Keep { number } => real_nodes::keep(&node(number), real.supervisor)?,
        Part::Enter { number, keeper } => {
            return Err(real_nodes::enter(&node(number), keeper, real.supervisor).into());
        }
        Part::Run { number } => match real_nodes::run(&node(number))? {},
    }
    Ok(ExitCode::SUCCESS)
}
