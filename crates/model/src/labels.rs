//! Labels, annotations and well-known names. Those under `bulkhead.dev/` on a Namespace are
//! guarded inside the API server (the guard `tenant-label-change`).

/// Label of a tenant's namespaces and objects: the tenant's name.
pub const TENANT: &str = "bulkhead.dev/tenant";
/// Label of a tenant's namespaces: the UID of the Tenant object. Name and UID together make a
/// namespace a tenant's.
pub const TENANT_UID: &str = "bulkhead.dev/tenant-uid";
/// Annotation that a namespace's creator stamps: the prefix its name must start with. An
/// annotation, because a label's value cannot end in `-`.
pub const PREFIX: &str = "bulkhead.dev/prefix";
/// Annotation of a namespace: the tenant's [`crate::TenantRules`] as JSON.
pub const RULES: &str = "bulkhead.dev/rules";
/// Annotation of a namespace: the tenant's UID once everything that isolates the namespace has
/// been read back. Pods are refused without it.
pub const ISOLATED: &str = "bulkhead.dev/isolated";
/// Annotation of a namespace whose tenant is cordoned: `true`. Its presence counts.
pub const CORDONED: &str = "bulkhead.dev/cordoned";
/// Finalizer of Tenant objects.
pub const FINALIZER: &str = "bulkhead.dev/tenant";
/// Key of the impersonation extra that carries the person behind a synthetic user.
pub const USER_EXTRA: &str = "bulkhead.dev/user";
/// The group of every synthetic user.
pub const TENANTS_GROUP: &str = "bulkhead:tenants";
/// What the name of every synthetic user starts with.
pub const SYNTHETIC_PREFIX: &str = "bulkhead:tenant:";
/// Bulkhead's own namespace.
pub const SYSTEM_NAMESPACE: &str = "bulkhead-system";
/// The ConfigMap in Bulkhead's namespace whose keys are the serial numbers of client certificates that
/// the gateway takes no more.
pub const REVOKED_CERTIFICATES: &str = "revoked-certificates";
/// Field manager of everything that the controller applies.
pub const FIELD_MANAGER: &str = "bulkhead";
/// API group of Bulkhead's kinds and of the virtual resources that guards ask about.
pub const GROUP: &str = "bulkhead.dev";
/// Audience of the ServiceAccount tokens that the gateway accepts. The API server does not.
pub const AUDIENCE: &str = "bulkhead.dev/gateway";
/// What the names of the forwarder's impersonation shards start with.
pub const FORWARDER_SHARD_PREFIX: &str = "bulkhead-forwarder-";
/// What guarded keys look like: this domain, its subdomains, or [`PSA_PREFIX`].
pub const GUARDED_DOMAIN: &str = "bulkhead.dev/";
/// Pod Security Admission's labels, guarded too.
pub const PSA_PREFIX: &str = "pod-security.kubernetes.io/";
/// Label of ledger entries: what they are about, so that those of one kind can be followed.
pub const CLAIM: &str = "bulkhead.dev/claim";
/// Label of a node that is a tenant's alone: the tenant's name. Kubelets cannot set labels of
/// this domain, on their own node or another.
pub const NODE_TENANT: &str = "node-restriction.kubernetes.io/tenant";
/// Key of the taints of a node that is a tenant's alone. The value is the tenant's name, or empty
/// while the node drives the pods of a former tenant out.
pub const NODE_TAINT: &str = "tenantID";
/// What the names of objects start with that the controller puts into tenants' namespaces.
pub const OURS: &str = "bulkhead-";
