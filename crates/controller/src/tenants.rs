//! One Tenant: its finalizer, its claims, its status, and its end.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_api::Usage;
use bulkhead_cluster::{DeleteOptions, Kind, NamespaceRecord, ObjectRef, TenantRecord};
use bulkhead_isolation::tenant_objects;
use bulkhead_model::{Uid, labels};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::apply::{carry_out, list};
use crate::context::{Context, ReconcileError, ours};
use crate::decide::plan::{after, plan};
use crate::decide::standing::{Standing, standing};
use crate::decide::status::{Known, present, status};
use crate::events::{News, news, tell};
use crate::queue::Outcome;
use crate::{namespaces, nodes, prefixes, quotas, shards};

/// How long a right that was taken away may still be honoured: the API server hears of changes
/// to roles with a delay of up to a second.
const REVOCATION: Duration = Duration::from_secs(2);

/// Makes a Tenant what it should be.
pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Outcome, ReconcileError> {
    let Some(record) = context.tenants.get(name) else {
        return gone(context, name).await;
    };
    let mut standing = standing(&record);
    if standing == Standing::Deleting {
        return end(context, &record).await;
    }
    let (result, usage) = match claim(context, &record, &mut standing).await {
        Ok(usage) => (establish(context, &record, &standing).await, usage),
        Err(error) => (Err(error), None),
    };
    let mut failure = result.as_ref().err().map(ReconcileError::line);
    if failure.is_none() && context.is_left_out(name) {
        failure = Some("no room is left for its users in the gateway's roles".to_owned());
    }
    let usage = usage.unwrap_or_else(|| present(&record).usage);
    report(context, &record, &standing, failure, None, usage).await?;
    result.map(|()| match standing {
        // Nothing tells of an entry that is given up.
        Standing::Conflict(..) => Outcome::After(prefixes::RETRY),
        _ => Outcome::Done,
    })
}

/// Keeps the Tenant until it is taken apart: the finalizer comes before everything that must be
/// taken back.
async fn hold(context: &Context, record: &TenantRecord) -> Result<(), ReconcileError> {
    let mut finalizers = finalizers(record);
    if finalizers.iter().any(|name| name == labels::FINALIZER) {
        return Ok(());
    }
    finalizers.push(labels::FINALIZER.to_owned());
    set_finalizers(context, record, &finalizers).await
}

/// Claims the tenant's prefix and keeps its account. That the prefix is another's shows in how the
/// tenant stands. The result is what the account says; none of a tenant that cannot have one.
async fn claim(
    context: &Context,
    record: &TenantRecord,
    standing: &mut Standing,
) -> Result<Option<BTreeMap<String, Usage>>, ReconcileError> {
    hold(context, record).await?;
    let Standing::Good(tenant) = standing.clone() else {
        return Ok(None);
    };
    if let Some(error) = prefixes::claim(context, &tenant).await? {
        *standing = Standing::Conflict(tenant.clone(), error);
    }
    quotas::keep(context, &tenant).await.map(Some)
}

/// Makes what the tenant has beside its namespaces what it should be.
async fn establish(
    context: &Context,
    record: &TenantRecord,
    standing: &Standing,
) -> Result<(), ReconcileError> {
    forget_former(context, &record.name, Some(&record.uid)).await?;
    let wanted = match standing {
        Standing::Good(tenant) => {
            context.grants.give(tenant).await?;
            tenant_objects(tenant)
        }
        Standing::Conflict(..) | Standing::Invalid(_) | Standing::Deleting => Vec::new(),
    };
    claims(context, &record.name, &wanted, Look::Last).await
}

/// Makes the tenant's objects in our namespace exactly these, by what the watches told last or,
/// if nothing may be overlooked, by what is there now.
async fn claims(
    context: &Context,
    tenant: &str,
    wanted: &[Value],
    look: Look,
) -> Result<(), ReconcileError> {
    let seen = match look {
        Look::Last if context.objects.is_ready() => {
            context.objects.of_tenant(labels::SYSTEM_NAMESPACE, tenant)
        }
        Look::Last | Look::Now => {
            let rbac = "rbac.authorization.k8s.io/v1";
            let kinds = [Kind::new(rbac, "Role"), Kind::new(rbac, "RoleBinding")];
            let selector = ours(Some(tenant));
            let system = labels::SYSTEM_NAMESPACE;
            list(&context.cluster, &kinds, system, &selector).await?
        }
    };
    let due = plan(wanted, &seen);
    if due.is_empty() {
        return Ok(());
    }
    tracing::info!(tenant, differences = ?due.differences, "mending claims");
    let applied = carry_out(&context.cluster, due.clone()).await?;
    let left = plan(wanted, &after(seen, &due, applied));
    if left.is_empty() {
        Ok(())
    } else {
        Err(ReconcileError::Differs(left.differences.join("; ")))
    }
}

/// Where to look.
#[derive(Clone, Copy)]
enum Look {
    /// At what the watches told last.
    Last,
    /// At what is there now.
    Now,
}

/// A Tenant that is gone without our having let it go: somebody took the finalizer away.
async fn gone(context: &Context, name: &str) -> Result<Outcome, ReconcileError> {
    let reference = ObjectRef::cluster(Kind::tenant(), name);
    if context.cluster.get(&reference).await?.is_none() {
        claims(context, name, &[], Look::Now).await?;
        forget_former(context, name, None).await?;
    }
    Ok(Outcome::Done)
}

/// What former tenants of a name had goes into quarantine, and their accounts are closed, once no
/// namespace carries their UID: until then their pods may run.
async fn forget_former(
    context: &Context,
    name: &str,
    uid: Option<&str>,
) -> Result<(), ReconcileError> {
    for holder in context.grants.holders(name).await? {
        let stands = |of: &Uid| {
            let namespaces = context.namespaces.all();
            namespaces.iter().any(|n| n.tenant_uid.as_ref() == Some(of))
        };
        if uid == Some(holder.uid.as_str()) || stands(&holder.uid) {
            continue;
        }
        quotas::close(context, &holder).await?;
        context.grants.give_up(&holder).await?;
    }
    Ok(())
}

/// The end of a tenant, in an order in which nothing stays reachable: first access, then pods,
/// then namespaces; what is left is reported until nothing is.
async fn end(context: &Context, record: &TenantRecord) -> Result<Outcome, ReconcileError> {
    if !finalizers(record)
        .iter()
        .any(|name| name == labels::FINALIZER)
    {
        return Ok(Outcome::Done);
    }
    let result = dismantle(context, record).await;
    let (failure, left) = match &result {
        Ok(left) => (None, Some(left.clone())),
        Err(error) => (Some(error.line()), None),
    };
    let usage = present(record).usage;
    report(context, record, &Standing::Deleting, failure, left, usage).await?;
    if !result?.is_empty() {
        return Ok(Outcome::After(Duration::from_secs(1)));
    }
    // Whoever still got a namespace through while rights faded away is seen by now.
    let since = context.withdrawn_since(&record.uid);
    if let Some(wait) = REVOCATION.checked_sub(since.elapsed()) {
        return Ok(Outcome::After(wait));
    }
    if !namespaces_of(context, record).await?.is_empty() {
        return Ok(Outcome::After(Duration::ZERO));
    }
    forget_former(context, &record.name, None).await?;
    if let Some(holder) = prefixes::holder_of(&record.name, &record.uid) {
        quotas::close(context, &holder).await?;
        // One whose spec cannot be read keeps its prefix until somebody asks for it.
        if let Ok(tenant) = &record.tenant {
            prefixes::release(context, &tenant.prefix, &holder).await?;
        }
    }
    let mut finalizers = finalizers(record);
    finalizers.retain(|name| name != labels::FINALIZER);
    match set_finalizers(context, record, &finalizers).await {
        Ok(()) => {
            tracing::info!(tenant = record.name, "gone");
            let news = News {
                warning: false,
                reason: "Deleted".to_owned(),
                note: "nothing of it is left: its namespaces are gone, and the gateway acts as no user of it".to_owned(),
            };
            tell(context, record, news, &now()).await;
        }
        Err(ReconcileError::Cluster(error)) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    context.forget_withdrawn(&record.uid);
    Ok(Outcome::Done)
}

/// Takes away what the tenant has. The result is what is left of it.
async fn dismantle(
    context: &Context,
    record: &TenantRecord,
) -> Result<Vec<String>, ReconcileError> {
    shards::reconcile(context).await?;
    claims(context, &record.name, &[], Look::Now).await?;
    context.withdrawn_since(&record.uid);
    let namespaces = namespaces_of(context, record).await?;
    let standing: Vec<&NamespaceRecord> = namespaces
        .iter()
        .map(|(record, _)| record)
        .filter(|record| !record.deleting)
        .collect();
    let closing: Vec<_> = standing
        .iter()
        .map(|namespace| namespaces::close(context, namespace))
        .collect();
    let closed: Vec<Result<(), ReconcileError>> =
        stream::iter(closing).buffer_unordered(8).collect().await;
    closed.into_iter().collect::<Result<(), _>>()?;
    for namespace in standing {
        tracing::info!(namespace = %namespace.name, tenant = record.name, "deleting");
        let reference = ObjectRef::cluster(Kind::namespace(), namespace.name.as_str());
        match context
            .cluster
            .delete(&reference, &DeleteOptions::uid(&namespace.uid))
            .await
        {
            Err(error) if error.is_conflict() => {}
            other => drop(other?),
        }
    }
    Ok(namespaces
        .iter()
        .map(|(record, object)| left_over(record, object))
        .collect())
}

/// The tenant's namespaces as they are now, not as a cache remembers them.
async fn namespaces_of(
    context: &Context,
    record: &TenantRecord,
) -> Result<Vec<(NamespaceRecord, Value)>, ReconcileError> {
    let selector = format!(
        "{}={},{}={}",
        labels::TENANT,
        record.name,
        labels::TENANT_UID,
        record.uid
    );
    let objects = context
        .cluster
        .list(&Kind::namespace(), None, &selector)
        .await?;
    Ok(objects
        .into_iter()
        .filter_map(|o| Some((NamespaceRecord::of(&o)?, o)))
        .collect())
}

/// A namespace's name, and what keeps it, in the words of the namespace controller.
fn left_over(record: &NamespaceRecord, object: &Value) -> String {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let text = |condition: &Value, field: &str| {
        condition
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let reasons: Vec<String> = conditions
        .into_iter()
        .flatten()
        .filter(|condition| text(condition, "status") == "True")
        .map(|condition| text(condition, "message"))
        .collect();
    if reasons.is_empty() {
        record.name.to_string()
    } else {
        format!("{} ({})", record.name, reasons.join("; "))
    }
}

/// Writes the status if it says something new.
async fn report(
    context: &Context,
    record: &TenantRecord,
    standing: &Standing,
    failure: Option<String>,
    left: Option<Vec<String>>,
    usage: BTreeMap<String, Usage>,
) -> Result<(), ReconcileError> {
    let namespaces = context.namespaces_labelled(&record.name);
    let known = Known {
        namespaces: &namespaces,
        problems: context.problems(),
        failure,
        left,
        ranges: match standing {
            Standing::Good(tenant) | Standing::Conflict(tenant, _) => context.grants.ranges(tenant),
            Standing::Invalid(_) | Standing::Deleting => present(record).ranges,
        },
        usage,
    };
    let now = now();
    let (before, mut wanted) = (present(record), status(record, standing, &known, &now));
    nodes::report(context, record, &mut wanted, &now);
    if before == wanted {
        return Ok(());
    }
    let object = json!({
        "apiVersion": bulkhead_api::API_VERSION,
        "kind": bulkhead_api::KIND,
        "metadata": {"name": record.name, "uid": record.uid},
        "status": wanted,
    });
    match context.cluster.apply_status(&object).await {
        // Gone, or another of its name has come.
        Err(error) if error.is_not_found() || error.is_conflict() => return Ok(()),
        other => drop(other?),
    }
    for news in news(&before, &wanted) {
        tell(context, record, news, &now).await;
    }
    Ok(())
}

fn finalizers(record: &TenantRecord) -> Vec<String> {
    let finalizers = record
        .object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    finalizers
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Sets the whole list, on condition that nobody has changed the object since it was read.
async fn set_finalizers(
    context: &Context,
    record: &TenantRecord,
    finalizers: &[String],
) -> Result<(), ReconcileError> {
    let patch = json!({"metadata": {
        "uid": record.uid,
        "resourceVersion": record.object.pointer("/metadata/resourceVersion"),
        "finalizers": finalizers,
    }});
    let reference = ObjectRef::cluster(Kind::tenant(), &record.name);
    context.cluster.merge_patch(&reference, &patch).await?;
    Ok(())
}

/// Whole seconds, as Kubernetes writes times.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0)
        .unwrap_or(now)
        .format(&Rfc3339)
        .unwrap_or_default()
}
