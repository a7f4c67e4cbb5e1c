//! Where pods run, and whose way they stand in.

use bulkhead_model::view::{Fields, Pod};

use crate::context::Context;

pub(crate) mod cross_namespace_affinity;
pub(crate) mod drain_blocked;
pub(crate) mod foreign_toleration;
pub(crate) mod missing_node_selector;
pub(crate) mod node_name_set;
pub(crate) mod shared_node;

const NODE_SELECTOR: &str = "spec.nodeSelector";
const TOLERATIONS: &str = "spec.tolerations";

/// Why a DaemonSet must say itself what is added to other pods: its controller decides by the
/// template on which nodes there are pods.
const NOTHING_IS_ADDED: &str =
    "; to DaemonSets and their pods nothing is added, so the template must say it";

/// What the controller of DaemonSets is called: an identity of its own, or the controller
/// manager's.
const DAEMON_SET_CONTROLLERS: [&str; 2] = [
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:kube-controller-manager",
];

/// Whether the DaemonSet controller makes this pod. An owner that somebody has written down
/// would prove nothing; who asks does.
fn is_of_daemon_set(pod: &Pod<'_>, context: &Context<'_>) -> bool {
    let owners = pod.metadata().list("ownerReferences");
    context.resource == "pods"
        && DAEMON_SET_CONTROLLERS.contains(&context.user.username.as_str())
        && owners.iter().any(|owner| {
            let owner = Fields::of(Some(owner));
            owner.flag("controller")
                && owner.str("kind") == Some("DaemonSet")
                && owner
                    .str("apiVersion")
                    .is_some_and(|api| api.starts_with("apps/"))
        })
}

/// Whether the author of the template has to say himself where its pods run.
fn is_daemon_set(pod: &Pod<'_>, context: &Context<'_>) -> bool {
    context.resource == "daemonsets" || is_of_daemon_set(pod, context)
}

/// Whether the pod has been given a node already. Where a pod runs does not change; on nodes that
/// are not its tenant's any more, the controller deals with it.
fn is_bound(context: &Context<'_>) -> bool {
    let spec = context.old_pod_spec();
    spec.and_then(|spec| spec.str("nodeName"))
        .is_some_and(|name| !name.is_empty())
}
