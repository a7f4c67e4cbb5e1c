//! Which tenant has a prefix: the one that the ledger names. Two Tenants that were made in the
//! same instant may both have passed admission; only one of them gets the entry.

use std::time::Duration;

use bulkhead_api::FieldError;
use bulkhead_cluster::{Kind, Ledger, ObjectRef, Revision};
use bulkhead_isolation::ledger::names::{self, Taken};
use bulkhead_model::{ClaimKind, FieldPath, Holder, LedgerEntry, Tenant, TenantName, Uid};
use serde_json::Map;

use crate::context::{Context, ReconcileError};

/// How often a tenant whose prefix is another's asks again.
pub(crate) const RETRY: Duration = Duration::from_secs(30);

/// Claims a tenant's prefix. The result is what stands in the way, if anything does. A claim
/// whose Tenant is gone, as the API server says now, is given up on its behalf.
pub(crate) async fn claim(
    context: &Context,
    tenant: &Tenant,
) -> Result<Option<FieldError>, ReconcileError> {
    let ledger = Ledger::new(&context.cluster);
    let root = names::root(&tenant.prefix);
    let holder = holder(tenant);
    loop {
        let claimed = ledger
            .update(ClaimKind::Prefix, root, |entry| {
                let none = Map::new();
                let data = entry.map_or(&none, |entry| &entry.data);
                match names::claim(data, &tenant.prefix, &holder) {
                    Ok(Some(data)) => (Revision::Write(shared(root, data)), Ok(())),
                    Ok(None) => (Revision::Keep, Ok(())),
                    Err(taken) => (Revision::Keep, Err(taken)),
                }
            })
            .await?;
        let Err(taken) = claimed else {
            return Ok(None);
        };
        match &taken.holder {
            Some(other) if !exists(context, other).await? => {
                tracing::info!(prefix = taken.prefix, holder = %other, "a prefix is free: its Tenant is gone");
                give_up(&ledger, root, other).await?;
            }
            _ => return Ok(Some(refusal(tenant, &taken))),
        }
    }
}

/// Gives up what a Tenant has of a prefix.
pub(crate) async fn release(
    context: &Context,
    prefix: &bulkhead_model::Prefix,
    holder: &Holder,
) -> Result<(), ReconcileError> {
    let ledger = Ledger::new(&context.cluster);
    give_up(&ledger, names::root(prefix), holder).await
}

/// Who a tenant is to the ledger.
pub(crate) fn holder(tenant: &Tenant) -> Holder {
    Holder {
        tenant: tenant.name.clone(),
        uid: tenant.uid.clone(),
    }
}

async fn give_up(ledger: &Ledger, root: &str, holder: &Holder) -> Result<(), ReconcileError> {
    ledger
        .update(ClaimKind::Prefix, root, |entry| {
            let left = entry.and_then(|entry| names::release(&entry.data, holder));
            let revision = match left {
                None => Revision::Keep,
                Some(data) if data.is_empty() => Revision::Delete,
                Some(data) => Revision::Write(shared(root, data)),
            };
            (revision, ())
        })
        .await?;
    Ok(())
}

/// Whether a Tenant is there, by name and UID, and not as a cache remembers it.
async fn exists(context: &Context, holder: &Holder) -> Result<bool, ReconcileError> {
    let reference = ObjectRef::cluster(Kind::tenant(), holder.tenant.as_str());
    let live = context.cluster.get(&reference).await?;
    let uid = live.as_ref().and_then(|live| live.pointer("/metadata/uid"));
    Ok(uid.and_then(|uid| uid.as_str()) == Some(holder.uid.as_str()))
}

fn shared(root: &str, data: Map<String, serde_json::Value>) -> LedgerEntry {
    LedgerEntry {
        kind: ClaimKind::Prefix,
        key: root.to_owned(),
        holder: None,
        data,
    }
}

/// In the words of admission, which refuses all but what comes in the same instant.
fn refusal(tenant: &Tenant, taken: &Taken) -> FieldError {
    let whose = match &taken.holder {
        Some(holder) => format!("of the tenant `{}`", holder.tenant),
        None => "in a ledger entry that cannot be read".to_owned(),
    };
    FieldError {
        path: FieldPath::of("spec.namespaceOptions.prefix"),
        message: format!(
            "`{}` overlaps with the prefix `{}` {whose}: one namespace name could be both tenants'",
            tenant.prefix, taken.prefix
        ),
    }
}

/// The holder that a Tenant object is, whether its spec can be read or not.
pub(crate) fn holder_of(name: &str, uid: &str) -> Option<Holder> {
    Some(Holder {
        tenant: TenantName::parse(name).ok()?,
        uid: Uid::parse(uid).ok()?,
    })
}
