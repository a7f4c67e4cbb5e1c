//! From a Tenant to the objects that isolate it, and Bulkhead's own identities and rights.
//!
//! Everything here is a value for server-side apply; the controller applies it, reads it back,
//! and asks [`drift`] whether what is there is what was wanted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod drift;
mod fairness;
mod forwarder;
mod install;
pub mod ledger;
mod namespace;
mod network;
mod rights;

pub use drift::{drift, is_taken_up};
pub use forwarder::{SHARD_NAMES, SHARDS, Shards, forwarder_shards};
pub use install::{SERVICE_ACCOUNTS, install};
pub use namespace::{
    LABEL_MANAGED_BY, Metadata, namespace_metadata, namespace_objects, tenant_objects,
};

use bulkhead_model::{Tenant, labels};
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_V1: &str = "rbac.authorization.k8s.io/v1";

/// Labels of everything that the controller makes for a tenant. No decision rests on them.
fn labels_of(tenant: &Tenant) -> Value {
    json!({labels::TENANT: tenant.name, LABEL_MANAGED_BY: labels::FIELD_MANAGER})
}

#[cfg(test)]
mod tests;
