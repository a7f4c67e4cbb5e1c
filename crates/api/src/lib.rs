//! The Tenant API (`bulkhead.dev/v1alpha1`): its CustomResourceDefinition, its status, and the
//! way from an object on the wire to [`bulkhead_model::Tenant`].
//!
//! The schema refuses what a schema can see, with the field's path. [`parse_tenant`] refuses the
//! same again and the rest: an object may be older than the schema, or come from a file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod classes;
mod crd;
mod error;
mod exposure;
mod identity;
mod ledger;
mod limits;
mod network;
mod nodes;
mod parse;
mod pod_security_policy;
mod status;

/// The fields of an object as it is stored.
pub(crate) type Fields<'a> = bulkhead_model::view::Fields<'a, serde_json::Value>;

pub use bulkhead_model::quantity::{percent, same_quantity};
pub use crd::crds;
pub use error::FieldError;
pub use ledger::{LEDGER_KIND, entry_object, parse_entry};
pub use limits::default_limits;
pub use nodes::overlapping_nodes;
pub use parse::{overlapping, parse_tenant};
pub use status::{
    Condition, ConditionStatus, NamespaceStatus, NodeStatus, Ranges, TenantStatus, Usage,
};

/// `apiVersion` of a Tenant.
pub const API_VERSION: &str = "bulkhead.dev/v1alpha1";
/// `kind` of a Tenant.
pub const KIND: &str = "Tenant";
/// The longest name of a Tenant: its default prefix, the name and `-`, must be a prefix.
pub const MAX_NAME: usize = 40;
/// ClusterRoles that no role of a tenant may mean. They hold Secrets of every ServiceAccount,
/// `impersonate` and RoleBindings to anybody, none of which a namespace keeps in. Names that
/// start with `system:`, and those of Bulkhead's own that are not for tenants, are refused too.
pub const REFUSED_CLUSTER_ROLES: [&str; 3] = ["cluster-admin", "admin", "edit"];
