//! The gateway's right to impersonate, name by name.

use std::collections::BTreeMap;

use bulkhead_model::{Tenant, TenantName, labels};
use serde_json::{Value, json};

use crate::RBAC_V1;

/// How many shards there are. They and their bindings are made once, at installation, so that
/// the controller needs no right to make ClusterRoles or bind them.
pub const SHARDS: usize = 32;

/// The most names that one shard holds. The guard of shards looks at each name, and runs out of
/// its budget between 5,000 and 20,000.
pub const SHARD_NAMES: usize = 2_000;

/// The shards, full.
#[derive(Debug, Clone, PartialEq)]
pub struct Shards {
    /// [`SHARDS`] ClusterRoles, to apply in this order.
    pub roles: Vec<Value>,
    /// Tenants for which no shard has room: the gateway cannot act for them.
    pub left_out: Vec<TenantName>,
}

/// Spreads the synthetic users of all tenants over the shards.
///
/// A tenant's shard follows from its name, so a new tenant changes one shard and moves nobody;
/// only when that shard is full the next one with room takes it. Tenants that are being deleted
/// are left out silently: nobody acts for them any more.
#[must_use]
pub fn forwarder_shards(tenants: &[&Tenant]) -> Shards {
    let by_name: BTreeMap<&TenantName, &Tenant> = tenants
        .iter()
        .filter(|tenant| !tenant.deleting)
        .map(|tenant| (&tenant.name, *tenant))
        .collect();
    let mut shards: Vec<Vec<String>> = vec![Vec::new(); SHARDS];
    let mut left_out = Vec::new();
    for (name, tenant) in by_name {
        let users: Vec<String> = tenant
            .all_roles()
            .map(|role| tenant.user(&role).to_string())
            .collect();
        let home = home(name);
        let place = (home..SHARDS).chain(0..home).find(|shard| {
            shards
                .get(*shard)
                .is_some_and(|held| held.len() + users.len() <= SHARD_NAMES)
        });
        match place.and_then(|place| shards.get_mut(place)) {
            Some(shard) => shard.extend(users),
            None => left_out.push(name.clone()),
        }
    }
    let roles = shards
        .into_iter()
        .enumerate()
        .map(|(index, mut users)| {
            users.sort();
            shard(index, Some(users))
        })
        .collect();
    Shards { roles, left_out }
}

/// The shard that a tenant's name leads to (FNV-1a: it must never change, or all tenants move).
fn home(name: &TenantName) -> usize {
    let hash = name
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    usize::try_from(hash % SHARDS as u64).unwrap_or_default()
}

pub(crate) fn shard_name(index: usize) -> String {
    format!("{}{index}", labels::FORWARDER_SHARD_PREFIX)
}

/// One shard: with these users, or without saying which.
pub(crate) fn shard(index: usize, users: Option<Vec<String>>) -> Value {
    let mut role = json!({
        "apiVersion": RBAC_V1,
        "kind": "ClusterRole",
        "metadata": {"name": shard_name(index)},
    });
    if let (Some(users), Some(role)) = (users, role.as_object_mut()) {
        // A rule without names would be a rule for all names.
        let rules = if users.is_empty() {
            json!([])
        } else {
            json!([{
                "apiGroups": [""],
                "resources": ["users"],
                "verbs": ["impersonate"],
                "resourceNames": users,
            }])
        };
        role.insert("rules".into(), rules);
    }
    role
}
