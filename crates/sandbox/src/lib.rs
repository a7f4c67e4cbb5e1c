//! A real local Kubernetes cluster: etcd, API server, controller manager, scheduler, simulated nodes, or
//! real ones.
//!
//! A *sandbox* lives in one directory ([`Layout`]). A supervisor ([`supervisor::run`]) owns every
//! process in it and is spoken to through a socket ([`Control`]). Whoever brings a sandbox up
//! prepares the directory ([`dir::claim`], [`pki`], [`kubeconfig`]), hands the supervisor what to run
//! ([`control_plane`]), and waits for it over [`https`].

pub mod binaries;
pub mod control;
pub mod control_plane;
pub mod dir;
pub mod https;
pub mod kubeconfig;
pub mod launcher;
pub mod logs;
pub mod nodes;
pub mod pki;
pub mod ports;
pub mod protocol;
pub mod real_nodes;
pub mod start;
pub mod state;
pub mod supervisor;
pub mod version;

pub use binaries::{Binaries, Program};
pub use control::Control;
pub use dir::Layout;
pub use protocol::{Launch, ProcessStatus};
pub use start::{StartError, Starting};
pub use state::State;
