//! The table of controls, in the guide's order and by name within a section. A new control is a
//! rule file, a page, and a line here.

use crate::boundary::{
    foreign_namespace, namespace_shadows_domain, status_write, tenant_label_change,
};
use crate::claim::{
    host_path_claim, storage_annotation, storage_class_unlisted, volume_preclaimed,
};
use crate::classes::{
    device_admin_access, device_class_unlisted, missing_runtime_class, priority_class_unlisted,
};
use crate::control::Control;
use crate::dockerfile::root_user;
use crate::identity::{
    certificate_signer_unlisted, direct_api_access, foreign_owner_reference, iam_role_chosen,
    impersonation_unconstrained, legacy_token_secret, rbac_beyond_tenant, tenant_extends_api,
    token_audience_chosen,
};
use crate::ids::{
    host_user_namespace, id_outside_tenant_range, missing_fs_group, selinux_label_chosen,
    selinux_label_shared,
};
use crate::network::{
    annotation_forged, cross_namespace_reference, foreign_endpoint, hostname_taken,
    ingress_class_unlisted, metadata_reachable, open, policy_widened,
};
use crate::placement::{
    cross_namespace_affinity, drain_blocked, foreign_toleration, missing_node_selector,
    node_name_set, shared_node,
};
use crate::pod::{
    apparmor_unconfined, capabilities_kept, forbidden_capability, host_ipc, host_network,
    host_path_volume, host_pid, host_port, host_process, no_resource_limit, node_exhaustion,
    privilege_escalation, privileged_container, probe_host, runs_as_root, runtime_annotation,
    seccomp_unconfined, unknown_pod_field, unmasked_proc, unsafe_sysctl, unsafe_volume_type,
    untrusted_registry, writable_host_path,
};
use crate::service::{external_ip, load_balancer_annotation};

/// Every control.
pub static REGISTRY: &[Control] = &[
    foreign_toleration::CONTROL,
    missing_node_selector::CONTROL,
    node_name_set::CONTROL,
    shared_node::CONTROL,
    certificate_signer_unlisted::CONTROL,
    direct_api_access::CONTROL,
    iam_role_chosen::CONTROL,
    impersonation_unconstrained::CONTROL,
    legacy_token_secret::CONTROL,
    token_audience_chosen::CONTROL,
    cross_namespace_reference::CONTROL,
    foreign_namespace::CONTROL,
    foreign_owner_reference::CONTROL,
    namespace_shadows_domain::CONTROL,
    rbac_beyond_tenant::CONTROL,
    tenant_extends_api::CONTROL,
    tenant_label_change::CONTROL,
    capabilities_kept::CONTROL,
    forbidden_capability::CONTROL,
    host_process::CONTROL,
    privilege_escalation::CONTROL,
    privileged_container::CONTROL,
    root_user::CONTROL,
    host_user_namespace::CONTROL,
    id_outside_tenant_range::CONTROL,
    missing_fs_group::CONTROL,
    runs_as_root::CONTROL,
    host_path_claim::CONTROL,
    host_path_volume::CONTROL,
    storage_annotation::CONTROL,
    storage_class_unlisted::CONTROL,
    volume_preclaimed::CONTROL,
    writable_host_path::CONTROL,
    host_network::CONTROL,
    host_port::CONTROL,
    metadata_reachable::CONTROL,
    annotation_forged::CONTROL,
    policy_widened::CONTROL,
    open::CONTROL,
    probe_host::CONTROL,
    foreign_endpoint::CONTROL,
    hostname_taken::CONTROL,
    ingress_class_unlisted::CONTROL,
    load_balancer_annotation::CONTROL,
    external_ip::CONTROL,
    status_write::CONTROL,
    seccomp_unconfined::CONTROL,
    selinux_label_chosen::CONTROL,
    selinux_label_shared::CONTROL,
    untrusted_registry::CONTROL,
    apparmor_unconfined::CONTROL,
    host_ipc::CONTROL,
    host_pid::CONTROL,
    runtime_annotation::CONTROL,
    unknown_pod_field::CONTROL,
    unmasked_proc::CONTROL,
    unsafe_sysctl::CONTROL,
    unsafe_volume_type::CONTROL,
    cross_namespace_affinity::CONTROL,
    device_admin_access::CONTROL,
    device_class_unlisted::CONTROL,
    drain_blocked::CONTROL,
    missing_runtime_class::CONTROL,
    no_resource_limit::CONTROL,
    node_exhaustion::CONTROL,
    priority_class_unlisted::CONTROL,
];

/// The control of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Control> {
    REGISTRY.iter().find(|control| control.name == name)
}
