//! Controls over pods, wherever they stand.

use bulkhead_model::Json;
use bulkhead_model::view::Pod;

use crate::context::Context;

pub(crate) mod apparmor_unconfined;
pub(crate) mod capabilities_kept;
pub(crate) mod forbidden_capability;
pub(crate) mod host_ipc;
pub(crate) mod host_network;
pub(crate) mod host_path_volume;
pub(crate) mod host_pid;
pub(crate) mod host_port;
pub(crate) mod host_process;
pub(crate) mod no_resource_limit;
pub(crate) mod node_exhaustion;
pub(crate) mod privilege_escalation;
pub(crate) mod privileged_container;
pub(crate) mod probe_host;
pub(crate) mod runs_as_root;
pub(crate) mod runtime_annotation;
pub(crate) mod seccomp_unconfined;
pub(crate) mod unknown_pod_field;
pub(crate) mod unmasked_proc;
pub(crate) mod unsafe_sysctl;
pub(crate) mod unsafe_volume_type;
pub(crate) mod untrusted_registry;
pub(crate) mod writable_host_path;

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

/// What a rule about Linux makes of the pod's system.
enum System {
    Linux,
    /// The limit means nothing there. No tenant that nobody trusts may slip out of it so.
    Foreign,
    /// Kubernetes' standards ask nothing of it since 1.25.
    Excused,
}

fn system(pod: &Pod<'_>, context: &Context<'_>) -> System {
    if context.is_strict() {
        return if runs_on_linux(pod) {
            System::Linux
        } else {
            System::Foreign
        };
    }
    let windows = pod.spec().at("os").str("name") == Some("windows");
    if windows && context.since(25) {
        System::Excused
    } else {
        System::Linux
    }
}

/// Whether Kubernetes' standards let the pod be root, and see all of `/proc`, because its users
/// are not the node's. `Strict` does not.
fn is_excused_by_user_namespace(pod: &Pod<'_>, context: &Context<'_>) -> bool {
    let own_users = pod.spec().get("hostUsers").and_then(Json::as_bool) == Some(false);
    !context.is_strict() && context.since(35) && own_users
}

/// The one user or group that a tenant's process may never have is 0. What is no positive number
/// is no better.
fn is_root(id: &Json<'_>) -> bool {
    id.as_i64().is_none_or(|id| id <= 0)
}
