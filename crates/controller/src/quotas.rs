//! A tenant's account in the ledger: the controller writes the limits, the webhook's replicas the
//! rest.

use bulkhead_cluster::{Ledger, Revision};
use bulkhead_isolation::ledger::account::Account;
use bulkhead_model::{ClaimKind, Holder, LedgerEntry, Tenant};

use crate::context::{Context, ReconcileError};
use crate::prefixes::holder;

/// Makes the limits of the tenant's account those of its spec. A tenant without a quota has none.
pub(crate) async fn keep(context: &Context, tenant: &Tenant) -> Result<(), ReconcileError> {
    let holder = holder(tenant);
    if tenant.quota.is_empty() {
        return close(context, &holder).await;
    }
    Ledger::new(&context.cluster)
        .update(ClaimKind::Quota, tenant.uid.as_str(), |entry| {
            // One that cannot be read is made anew: nothing is lent until all is counted again.
            let found = entry.and_then(|entry| Account::parse(&entry.data).ok());
            let mut account = found.clone().unwrap_or_default();
            account.hard.clone_from(&tenant.quota);
            let same = found.as_ref() == Some(&account);
            let entry = LedgerEntry {
                kind: ClaimKind::Quota,
                key: tenant.uid.to_string(),
                holder: Some(holder.clone()),
                data: account.data(),
            };
            (
                if same {
                    Revision::Keep
                } else {
                    Revision::Write(entry)
                },
                (),
            )
        })
        .await?;
    Ok(())
}

/// Closes a tenant's account.
pub(crate) async fn close(context: &Context, holder: &Holder) -> Result<(), ReconcileError> {
    let ledger = Ledger::new(&context.cluster);
    ledger
        .release(ClaimKind::Quota, holder.uid.as_str(), holder)
        .await?;
    Ok(())
}
