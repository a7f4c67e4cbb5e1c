//! One namespace: made safe, read back, opened; or closed.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_cluster::{ClusterError, Kind, NamespaceRecord, ObjectRef, TenantRecord};
use bulkhead_isolation::{Metadata, namespace_metadata, namespace_objects};
use bulkhead_model::{Tenant, labels};
use futures::{join, try_join};
use serde_json::{Value, json};

use crate::apply::{carry_out, list, prune, read};
use crate::context::{Context, Key, ReconcileError, ours};
use crate::decide::metadata;
use crate::decide::plan::{Plan, difference, plan};
use crate::decide::standing::{Standing, standing};
use crate::queue::Outcome;

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The kinds that isolate a namespace.
pub(crate) fn kinds() -> [Kind; 3] {
    [
        Kind::new(RBAC, "RoleBinding"),
        Kind::new("networking.k8s.io/v1", "NetworkPolicy"),
        Kind::new("v1", "LimitRange"),
    ]
}

/// Whose a namespace is.
enum Owner {
    /// No tenant's that exists: its labels name none, or another object than they mean.
    Nobody,
    /// A tenant's that has no rights, for this reason.
    Closed(String),
    /// A tenant's that is being deleted.
    Deleted,
    /// This tenant's.
    Tenant(Arc<Tenant>),
}

/// Makes a namespace what it should be.
pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Outcome, ReconcileError> {
    if name == labels::SYSTEM_NAMESPACE {
        return Ok(Outcome::Done);
    }
    let reference = ObjectRef::cluster(Kind::namespace(), name);
    let live = context.cluster.get(&reference).await?;
    let Some((live, record)) = live
        .and_then(|live| Some((NamespaceRecord::of(&live)?, live)))
        .map(|(record, live)| (live, record))
        .filter(|(_, record)| !record.deleting)
    else {
        context.note_problem(name, None);
        return Ok(Outcome::Done);
    };
    match owner(context, &record).await? {
        Owner::Tenant(tenant) => {
            let result = isolate(context, &tenant, live, &record).await;
            let problem = result.as_ref().err().filter(|error| !error.is_conflict());
            note(context, &record, problem.map(ReconcileError::line));
            match result {
                Err(error) if error.is_conflict() => Ok(Outcome::After(Duration::from_millis(20))),
                other => other,
            }
        }
        Owner::Closed(reason) => {
            note(context, &record, Some(reason));
            withdraw(context, &record).await?;
            Ok(Outcome::Done)
        }
        Owner::Deleted => {
            close(context, &record).await?;
            Ok(Outcome::Done)
        }
        Owner::Nobody => {
            close(context, &record).await?;
            note(context, &record, None);
            Ok(Outcome::Done)
        }
    }
}

/// Takes a namespace out of everybody's reach, of pods and of people. What fences its pods in
/// stays: whoever runs there is still not to be trusted.
pub(crate) async fn close(
    context: &Context,
    record: &NamespaceRecord,
) -> Result<(), ReconcileError> {
    withdraw(context, record).await?;
    let bindings = [Kind::new(RBAC, "RoleBinding")];
    let live = list(
        &context.cluster,
        &bindings,
        record.name.as_str(),
        &ours(None),
    )
    .await?;
    let access = plan(&[], &live).prune;
    if !access.is_empty() {
        tracing::warn!(namespace = %record.name, "access taken away");
    }
    prune(&context.cluster, access).await?;
    Ok(())
}

/// Closes a namespace to pods.
async fn withdraw(context: &Context, record: &NamespaceRecord) -> Result<(), ClusterError> {
    // Without the label the annotation means nothing, and it is not ours to change.
    if record.isolated.is_none() || record.tenant.is_none() {
        return Ok(());
    }
    tracing::warn!(namespace = %record.name, "closed to pods");
    let patch = json!({"metadata": {"annotations": {labels::ISOLATED: null}}});
    let reference = ObjectRef::cluster(Kind::namespace(), record.name.as_str());
    context
        .cluster
        .merge_patch(&reference, &patch)
        .await
        .map(drop)
}

/// Whose a namespace is. What the cache does not know is asked for: it may only be late.
async fn owner(context: &Context, record: &NamespaceRecord) -> Result<Owner, ClusterError> {
    let (Some(tenant), Some(uid)) = (&record.tenant, &record.tenant_uid) else {
        return Ok(Owner::Nobody);
    };
    let meant = |record: &Arc<TenantRecord>| record.uid == uid.as_str();
    let record = match context.tenants.get(tenant.as_str()).filter(meant) {
        Some(record) => record,
        None => {
            let reference = ObjectRef::cluster(Kind::tenant(), tenant.as_str());
            let live = context
                .cluster
                .get(&reference)
                .await?
                .and_then(TenantRecord::of);
            match live.map(Arc::new).filter(meant) {
                Some(record) => record,
                None => return Ok(Owner::Nobody),
            }
        }
    };
    Ok(match standing(&record, &context.tenants.all()) {
        Standing::Good(tenant) | Standing::Conflict(tenant, _) => Owner::Tenant(tenant),
        Standing::Invalid(_) => Owner::Closed("the Tenant's spec is invalid".to_owned()),
        Standing::Deleting => Owner::Deleted,
    })
}

/// Brings about all that isolates the namespace, reads it back, and only then opens it. Access
/// that cannot be given keeps nothing closed, but is reported.
async fn isolate(
    context: &Context,
    tenant: &Tenant,
    live: Value,
    record: &NamespaceRecord,
) -> Result<Outcome, ReconcileError> {
    let wanted = Wanted::of(tenant, record);
    let objects = wanted.list(context).await?;
    let before = wanted.compare(live, &objects);
    let (after, result) = if before.differences().is_empty() {
        (before, Ok(()))
    } else {
        tracing::info!(namespace = %record.name, differences = ?before.differences(), "mending");
        let breach = before.is_breach();
        let mended = wanted.mend(context, before).await;
        let read_back = wanted.read_back(context, mended.is_ok()).await;
        match (mended, read_back) {
            (Err(error), Ok(after)) => (after, Err(error.into())),
            (Ok(()), Ok(after)) => (after, Ok(())),
            (_, Err(error)) => {
                if breach && !error.is_conflict() {
                    // Known to have been wrong, and not known to be mended.
                    withdraw(context, record).await?;
                }
                return Err(error);
            }
        }
    };
    let left = after.differences();
    let result = match result {
        Ok(()) if !left.is_empty() => Err(ReconcileError::Differs(left.join("; "))),
        other => other,
    };
    if after.is_breach() {
        if !result.as_ref().is_err_and(ReconcileError::is_conflict) {
            withdraw(context, record).await?;
        }
    } else if !record.is_isolated() {
        open(context, tenant, &after.live).await?;
    }
    result.map(|()| Outcome::Done)
}

/// Opens the namespace to pods, if it still is as it was read back.
async fn open(context: &Context, tenant: &Tenant, live: &Value) -> Result<(), ClusterError> {
    let patch = json!({"metadata": {
        "uid": live.pointer("/metadata/uid"),
        "resourceVersion": live.pointer("/metadata/resourceVersion"),
        "annotations": {labels::ISOLATED: tenant.uid},
    }});
    let reference = ObjectRef::of(live)?;
    context.cluster.merge_patch(&reference, &patch).await?;
    tracing::info!(namespace = reference.name, tenant = %tenant.name, "open");
    Ok(())
}

/// What a namespace should be.
struct Wanted<'a> {
    record: &'a NamespaceRecord,
    tenant: &'a Tenant,
    metadata: Metadata,
    /// Its metadata as an object, to compare with.
    namespace: Value,
    objects: Vec<Value>,
}

impl<'a> Wanted<'a> {
    fn of(tenant: &'a Tenant, record: &'a NamespaceRecord) -> Self {
        let metadata = namespace_metadata(tenant);
        Self {
            record,
            tenant,
            namespace: metadata.namespace(&record.name),
            metadata,
            objects: namespace_objects(tenant, &record.name),
        }
    }

    fn reference(&self) -> ObjectRef {
        ObjectRef::cluster(Kind::namespace(), self.record.name.as_str())
    }

    async fn list(&self, context: &Context) -> Result<Vec<Value>, ClusterError> {
        list(
            &context.cluster,
            &kinds(),
            self.record.name.as_str(),
            &ours(None),
        )
        .await
    }

    fn compare(&self, live: Value, objects: &[Value]) -> Found {
        Found {
            metadata: difference(&self.namespace, Some(&live)),
            plan: plan(&self.objects, objects),
            live,
        }
    }

    /// Does all that can be done; the first error is the result.
    async fn mend(&self, context: &Context, found: Found) -> Result<(), ClusterError> {
        let namespace = async {
            if found.metadata.is_none() {
                return Ok(());
            }
            let patch = metadata::patch(&self.metadata, &found.live);
            context
                .cluster
                .merge_patch(&self.reference(), &patch)
                .await
                .map(drop)
        };
        let (namespace, objects) = join!(namespace, carry_out(&context.cluster, found.plan));
        namespace.and(objects)
    }

    /// The namespace and what is in it as they are now. What had to be deleted is looked for
    /// only if not everything is known to have been done.
    async fn read_back(&self, context: &Context, done: bool) -> Result<Found, ReconcileError> {
        let objects = async {
            match done {
                true => read(&context.cluster, &self.objects).await,
                false => self.list(context).await,
            }
        };
        let reference = self.reference();
        let (live, objects) = try_join!(context.cluster.get(&reference), objects)?;
        let still_theirs = live
            .as_ref()
            .and_then(NamespaceRecord::of)
            .is_some_and(|now| {
                now.uid == self.record.uid && now.belongs_to(&self.tenant.name, &self.tenant.uid)
            });
        match live {
            Some(live) if still_theirs => Ok(self.compare(live, &objects)),
            _ => Err(ReconcileError::Differs(
                "it is no longer this tenant's".to_owned(),
            )),
        }
    }
}

/// A namespace as it is, beside what it should be.
struct Found {
    live: Value,
    /// What is wrong with its metadata.
    metadata: Option<String>,
    /// What is wrong with the objects in it.
    plan: Plan,
}

impl Found {
    fn differences(&self) -> Vec<String> {
        self.metadata
            .iter()
            .chain(&self.plan.differences)
            .cloned()
            .collect()
    }

    /// Whether something is wrong that the namespace must not be open with.
    fn is_breach(&self) -> bool {
        self.metadata.is_some() || self.plan.breach
    }
}

/// Notes a problem and has the tenant's status say so.
fn note(context: &Context, record: &NamespaceRecord, problem: Option<String>) {
    if context.note_problem(record.name.as_str(), problem)
        && let Some(tenant) = &record.tenant
    {
        context.queue.add(Key::Tenant(tenant.to_string()));
    }
}
