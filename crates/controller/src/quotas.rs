//! A tenant's account in the ledger: the controller writes the limits, the webhook's replicas the
//! rest.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_api::Usage;
use bulkhead_cluster::{Event, Kind, Ledger, Revision};
use bulkhead_isolation::ledger::account::Account;
use bulkhead_model::{ClaimKind, Holder, LedgerEntry, Tenant, labels};
use serde_json::Value;

use crate::context::{Context, Key, ReconcileError};
use crate::prefixes::holder;

/// For how long the usage that people read may be old, so that many changes make one write.
const SETTLE: Duration = Duration::from_secs(5);

/// Makes the limits of the tenant's account those of its spec. A tenant without a quota has none. The
/// result is what of each limit is in use.
pub(crate) async fn keep(
    context: &Context,
    tenant: &Tenant,
) -> Result<BTreeMap<String, Usage>, ReconcileError> {
    let holder = holder(tenant);
    if tenant.quota.is_empty() {
        close(context, &holder).await?;
        return Ok(BTreeMap::new());
    }
    let account = Ledger::new(&context.cluster)
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
                account,
            )
        })
        .await?;
    Ok(usage(&account))
}

fn usage(account: &Account) -> BTreeMap<String, Usage> {
    let limits = account.hard.iter().map(|(resource, hard)| {
        let usage = Usage {
            used: account.used_of(resource).map(|used| used.to_string()),
            hard: hard.to_string(),
        };
        (resource.clone(), usage)
    });
    limits.collect()
}

/// Follows the accounts, for what Tenants' statuses say of them. Ends only if the watch does.
pub(crate) async fn feed(context: &Context) {
    let accounts = format!("{}={}", labels::CLAIM, ClaimKind::Quota);
    let mut events = context.cluster.watch(Kind::ledger_entry(), None, &accounts);
    // Every Tenant is looked at in the beginning anyway.
    while let Some(event) = events.recv().await {
        let Event::Applied(entry) = event else {
            continue;
        };
        let tenant = entry.pointer("/spec/holder/tenant").and_then(Value::as_str);
        if let Some(tenant) = tenant {
            context
                .queue
                .add_after(Key::Tenant(tenant.to_owned()), SETTLE);
        }
    }
}

/// Closes a tenant's account.
pub(crate) async fn close(context: &Context, holder: &Holder) -> Result<(), ReconcileError> {
    let ledger = Ledger::new(&context.cluster);
    ledger
        .release(ClaimKind::Quota, holder.uid.as_str(), holder)
        .await?;
    Ok(())
}
