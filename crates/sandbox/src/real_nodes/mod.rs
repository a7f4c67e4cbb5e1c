//! Real nodes: kubelet, containerd and runc in namespaces of their own, on a network that leads
//! nowhere but to the API server.
//!
//! A process for the network (`real-network`) lives in a network namespace with a bridge, and carries
//! connections between it and the API server (`network`). A process for each node keeps it
//! (`keeper`): it makes the node's cgroups and its cable to the bridge, and ends and removes all of
//! it when it is told to or its supervisor dies. The node's first process (`init`) has a root
//! of its own in memory (`root`), starts containerd and the kubelet there, and takes everything with
//! it when it dies. Nothing of this machine's network, mounts or files is touched.

mod cgroups;
mod files;
mod image;
mod init;
mod keeper;
mod machine;
mod network;
mod root;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Value, json};

pub use files::RealNodes;
pub use image::PROBE;
pub use init::{enter, run};
pub use keeper::keep;
pub use machine::{Lacks, Machine};
pub use network::carry;

use crate::dir::Layout;

/// The name of the process that carries connections.
pub const NETWORK: &str = "real-network";
/// The socket by which the API server reaches nodes, in the sandbox's directory. It is short, and
/// relative to the directory that all processes run in, because addresses of sockets have little room.
pub(crate) const EGRESS: &str = "egress.sock";
/// Where the nodes find the API server.
pub(crate) const API_SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 201, 0, 1), 6443);
/// The user by which the API server speaks to kubelets.
const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Why a part of a real node cannot work.
#[derive(Debug, thiserror::Error)]
pub enum RealNodeError {
    /// Something of the system refused.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// A tool failed.
    #[error("`{command}` failed: {says}")]
    Tool {
        /// The command.
        command: String,
        /// What it said.
        says: String,
    },
    /// The process that must be the parent is not.
    #[error("process {0} is not, or no longer, the parent")]
    NoParent(u32),
    /// The network is not there.
    #[error("the process `{NETWORK}` does not run: nodes need it")]
    NoNetwork,
    /// A program without which there is no node has ended.
    #[error("`{0}` has ended, and the node with it")]
    Ended(&'static str),
}

/// One real node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealNode {
    layout: Layout,
    number: u8,
}

impl RealNode {
    /// The node of this number, from 1 on.
    #[must_use]
    pub fn new(layout: &Layout, number: u8) -> Self {
        Self {
            layout: layout.clone(),
            number,
        }
    }

    /// What the node, and the process that keeps it, is called.
    #[must_use]
    pub fn name(&self) -> String {
        format!("real-{}", self.number)
    }

    /// Its address on the bridge.
    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 201, 0, self.number.saturating_add(10))
    }

    /// The addresses of its pods. Those of simulated pods are below 10.244.
    fn pods(&self) -> String {
        format!("10.245.{}.0/24", self.number)
    }

    /// The folder with the files that it begins with.
    fn folder(&self) -> PathBuf {
        self.layout.config(&self.name())
    }

    /// The file that names its cgroups, for whoever must remove them.
    fn cgroups(&self) -> PathBuf {
        self.layout.config(&format!("{}.{CGROUPS}", self.name()))
    }
}

const CGROUPS: &str = "cgroups";

/// Removes cgroups that a node has left, if one was killed together with what keeps it.
///
/// # Errors
/// If the processes in them do not end.
pub(crate) fn sweep(config: &std::path::Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == CGROUPS)
        {
            keeper::remove_cgroups(&path)?;
        }
    }
    Ok(())
}

/// The API server's right to what kubelets serve: logs, exec, port-forward.
#[must_use]
pub fn rights() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bulkhead-sandbox-kubelet-client"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT}],
    })
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> RealNodeError {
    let what = what.into();
    move |source| RealNodeError::Io { what, source }
}

fn errno(what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> RealNodeError {
    let what = what.into();
    move |source| RealNodeError::Io {
        what,
        source: source.into(),
    }
}
