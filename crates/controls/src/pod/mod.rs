//! Controls over pods, wherever they stand.

use bulkhead_model::Json;
use bulkhead_model::view::Pod;

pub(crate) mod capabilities_kept;
pub(crate) mod forbidden_capability;
pub(crate) mod host_ipc;
pub(crate) mod host_network;
pub(crate) mod host_path_volume;
pub(crate) mod host_pid;
pub(crate) mod host_port;
pub(crate) mod privilege_escalation;
pub(crate) mod privileged_container;
pub(crate) mod runs_as_root;
pub(crate) mod seccomp_unconfined;
pub(crate) mod unsafe_volume_type;

/// Where a pod says which system it is for.
const OS: &str = "spec.os.name";

/// Why a rule about Linux refuses a pod of another system.
const NOT_LINUX: &str = "names another system than `linux`, where this limit does not exist";

/// Whether the fields that limit a Linux container mean anything here. For a pod that declares
/// another system the API server refuses them, and no runtime obeys them.
pub(crate) fn runs_on_linux(pod: &Pod<'_>) -> bool {
    match pod.spec().at("os").get("name") {
        None => true,
        Some(name) => name.as_str() == Some("linux"),
    }
}

/// The one user or group that a tenant's process may never have is 0. What is no positive number
/// is no better.
fn is_root(id: &Json<'_>) -> bool {
    id.as_i64().is_none_or(|id| id <= 0)
}
