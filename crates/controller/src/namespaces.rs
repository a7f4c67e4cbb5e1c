//! One namespace: made safe, read back, opened; or closed.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_cluster::{ClusterError, Kind, NamespaceRecord, ObjectRef, TenantRecord};
use bulkhead_isolation::{Metadata, is_taken_up, namespace_metadata, namespace_objects};
use bulkhead_model::{Tenant, labels};
use futures::join;
use serde_json::{Value, json};

use crate::apply::{carry_out, list, prune};
use crate::context::{Context, Key, ReconcileError, ours};
use crate::decide::metadata;
use crate::decide::plan::{Plan, after, difference, plan};
use crate::decide::standing::{Standing, standing};
use crate::queue::Outcome;

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The kinds that isolate a namespace.
pub(crate) fn kinds() -> [Kind; 4] {
    [
        Kind::new(RBAC, "RoleBinding"),
        Kind::new("networking.k8s.io/v1", "NetworkPolicy"),
        Kind::new("v1", "LimitRange"),
        Kind::new("v1", "ResourceQuota"),
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

/// A namespace and all objects of ours in it, together.
struct Seen {
    namespace: Value,
    record: NamespaceRecord,
    objects: Vec<Value>,
}

impl Seen {
    /// As the watches told it last; none if they know of no such namespace.
    fn last(context: &Context, name: &str) -> Option<Self> {
        let (namespaces, objects): (Vec<Value>, Vec<Value>) = context
            .objects
            .in_namespace(name)
            .into_iter()
            .partition(|object| object.get("kind").is_some_and(|kind| kind == "Namespace"));
        let namespace = namespaces.into_iter().next()?;
        Some(Self {
            record: NamespaceRecord::of(&namespace)?,
            namespace,
            objects,
        })
    }

    /// As it is now.
    async fn now(context: &Context, name: &str) -> Result<Option<Self>, ClusterError> {
        let reference = ObjectRef::cluster(Kind::namespace(), name);
        let Some(namespace) = context.cluster.get(&reference).await? else {
            return Ok(None);
        };
        let Some(record) = NamespaceRecord::of(&namespace) else {
            return Ok(None);
        };
        let objects = list(&context.cluster, &kinds(), name, &ours(None)).await?;
        Ok(Some(Self {
            namespace,
            record,
            objects,
        }))
    }
}

/// Makes a namespace what it should be.
///
/// What the watches told last is gone by first: a namespace that is as it should be costs no
/// request, and every write is conditional or comes out the same if that was old. If it was, or
/// the watches are down, or it did not go well before, the API server is asked.
pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Outcome, ReconcileError> {
    if name == labels::SYSTEM_NAMESPACE {
        return Ok(Outcome::Done);
    }
    if context.objects.is_ready()
        && !context.has_problem(name)
        && let Some(seen) = Seen::last(context, name)
    {
        match make(context, seen).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    let Some(seen) = Seen::now(context, name).await? else {
        context.note_problem(name, None);
        return Ok(Outcome::Done);
    };
    match make(context, seen).await {
        Err(error) if error.is_conflict() => Ok(Outcome::After(Duration::from_millis(20))),
        other => other,
    }
}

async fn make(context: &Context, seen: Seen) -> Result<Outcome, ReconcileError> {
    let record = seen.record.clone();
    if record.deleting {
        context.note_problem(record.name.as_str(), None);
        return Ok(Outcome::Done);
    }
    match owner(context, &record).await? {
        Owner::Tenant(tenant) => {
            let result = match context.grants.give(&tenant).await {
                Ok(tenant) => isolate(context, &tenant, seen).await,
                Err(error) => Err(error),
            };
            let problem = result.as_ref().err().filter(|error| !error.is_conflict());
            note(context, &record, problem.map(ReconcileError::line));
            result
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
    // Whether its prefix conflicts with another's is no matter: it keeps what it has.
    Ok(match standing(&record) {
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
    seen: Seen,
) -> Result<Outcome, ReconcileError> {
    let record = seen.record.clone();
    let wanted = Wanted::of(tenant, &record);
    let before = wanted.compare(seen.namespace, seen.objects);
    let (after, result) = if before.differences().is_empty() {
        (before, Ok(()))
    } else {
        tracing::info!(namespace = %record.name, differences = ?before.differences(), "mending");
        let breach = before.is_breach();
        match wanted.mend(context, before).await {
            Ok(after) => (after, Ok(())),
            // The next look is at what is there now; until then nothing more is known.
            Err(error) if error.is_conflict() => return Err(error),
            Err(error) => match wanted.read_back(context).await {
                Ok(after) => (after, Err(error)),
                Err(unknown) => {
                    if breach && !unknown.is_conflict() {
                        // Known to have been wrong, and not known to be mended.
                        withdraw(context, &record).await?;
                    }
                    return Err(unknown);
                }
            },
        }
    };
    let left = after.differences();
    let result = match result {
        Ok(()) if !left.is_empty() => Err(ReconcileError::Differs(left.join("; "))),
        other => other,
    };
    if after.is_breach() {
        if !result.as_ref().is_err_and(ReconcileError::is_conflict) {
            withdraw(context, &record).await?;
        }
    } else if !record.is_isolated() {
        // Only here: when limits change, what is open stays open. The ledger enforces them before
        // the control plane does.
        if let Some(quota) = after.not_taken_up() {
            return result.and(Err(ReconcileError::Differs(quota)));
        }
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

    fn compare(&self, live: Value, objects: Vec<Value>) -> Found {
        Found {
            metadata: difference(&self.namespace, Some(&live)),
            plan: plan(&self.objects, &objects),
            live,
            objects,
        }
    }

    /// Does all that can be done; the first error is the result. Else what is there now: the API
    /// server answers each write with the object as it has stored it, which is read here as
    /// anything else that is read back.
    async fn mend(&self, context: &Context, found: Found) -> Result<Found, ReconcileError> {
        let namespace = async {
            if found.metadata.is_none() {
                return Ok(found.live.clone());
            }
            let patch = metadata::patch(&self.metadata, &found.live);
            context.cluster.merge_patch(&self.reference(), &patch).await
        };
        let (namespace, applied) =
            join!(namespace, carry_out(&context.cluster, found.plan.clone()));
        let objects = after(found.objects, &found.plan, applied?);
        self.if_still_theirs(namespace?, objects)
    }

    /// The namespace and what is in it as they are now.
    async fn read_back(&self, context: &Context) -> Result<Found, ReconcileError> {
        match Seen::now(context, self.record.name.as_str()).await? {
            Some(seen) => self.if_still_theirs(seen.namespace, seen.objects),
            None => Err(ReconcileError::Differs("it is gone".to_owned())),
        }
    }

    fn if_still_theirs(
        &self,
        namespace: Value,
        objects: Vec<Value>,
    ) -> Result<Found, ReconcileError> {
        let theirs = NamespaceRecord::of(&namespace).is_some_and(|now| {
            now.uid == self.record.uid && now.belongs_to(&self.tenant.name, &self.tenant.uid)
        });
        if theirs {
            Ok(self.compare(namespace, objects))
        } else {
            Err(ReconcileError::Differs(
                "it is no longer this tenant's".to_owned(),
            ))
        }
    }
}

/// A namespace as it is, beside what it should be.
struct Found {
    live: Value,
    objects: Vec<Value>,
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

    /// What the control plane does not enforce yet.
    fn not_taken_up(&self) -> Option<String> {
        let late = self.objects.iter().find(|object| !is_taken_up(object))?;
        let name = ObjectRef::of(late).map_or_else(|_| String::new(), |it| it.to_string());
        Some(format!("{name}: status.hard differs"))
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
