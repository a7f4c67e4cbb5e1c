//! What no policy in Rego is asked about, at admission, in audits and over files.

use crate::labels::SYSTEM_NAMESPACE;

/// Namespaces of the platform.
pub const PLATFORM_NAMESPACES: [&str; 4] = [
    "kube-system",
    "kube-node-lease",
    "kube-public",
    SYSTEM_NAMESPACE,
];

/// API groups in which the cluster talks with itself, and those of policies and of what is said of them.
pub const QUIET_GROUPS: [&str; 10] = [
    "coordination.k8s.io",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "templates.gatekeeper.sh",
    "constraints.gatekeeper.sh",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "config.gatekeeper.sh",
    "wgpolicyk8s.io",
];
