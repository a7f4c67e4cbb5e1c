//! Controls over users, groups, user namespaces and SELinux levels: what tells tenants' processes
//! apart on a node that they share.

use bulkhead_model::view::{Fields, Pod};
use bulkhead_model::{IdRange, Json, PodField, TenantRules, UserNamespaces};

pub(crate) mod host_user_namespace;
pub(crate) mod id_outside_tenant_range;
pub(crate) mod missing_fs_group;
pub(crate) mod selinux_label_chosen;
pub(crate) mod selinux_label_shared;

const HOST_USERS: &str = "hostUsers";
/// The user and group of a pod in a user namespace that names none.
const ID_IN_USER_NAMESPACE: u32 = 1000;

/// The ids that a pod may use, and the one that it gets where it names none.
#[derive(Debug, Clone, Copy)]
struct Ids {
    range: IdRange,
    stamp: u32,
    /// Whose the range is, as it follows "outside".
    whose: &'static str,
}

/// The ids of a pod; none if the tenant has none yet. In a user namespace the kubelet keeps the
/// ids outside apart, and the usual ones inside belong to nobody else.
fn ids(pod: &Pod<'_>, rules: &TenantRules, mended: bool) -> Option<Ids> {
    let range = rules.ids.range?;
    Some(if in_user_namespace(pod, rules, mended) {
        Ids {
            range: IdRange::IN_USER_NAMESPACE,
            stamp: ID_IN_USER_NAMESPACE,
            whose: "its user namespace's",
        }
    } else {
        Ids {
            range,
            stamp: range.first(),
            whose: "the tenant's",
        }
    })
}

/// Whether the pod has a user namespace of its own; `mended`: once it is, which a pod that is
/// being made will be, and one that stands never. An API server that does not serve the field
/// drops it, and the pod would have the node's users after all.
fn in_user_namespace(pod: &Pod<'_>, rules: &TenantRules, mended: bool) -> bool {
    rules.ids.serves(PodField::HostUsers)
        && match pod.spec().get(HOST_USERS) {
            Some(value) => *value == Json::Bool(false),
            None => mended && rules.ids.user_namespaces != UserNamespaces::Optional,
        }
}

/// A security context's `seLinuxOptions`, if there are any.
fn selinux<'a>(context: Fields<'a>) -> Option<Fields<'a>> {
    context
        .get(SELINUX)
        .map(|options| Fields::of(Some(options)))
}

const SELINUX: &str = "seLinuxOptions";
const POD_LEVEL: &str = "spec.securityContext.seLinuxOptions.level";
