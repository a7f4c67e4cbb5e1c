//! One namespace: made safe, read back, opened; or closed.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_cluster::{ClusterError, Kind, NamespaceRecord, ObjectRef, TenantRecord};
use bulkhead_isolation::{Metadata, namespace_metadata, namespace_objects};
use bulkhead_model::{Tenant, labels};
use futures::try_join;
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
            let label = record.tenant.as_ref().map(ToString::to_string);
            tracing::warn!(
                namespace = name,
                label,
                "no tenant's: taking our access away"
            );
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
    prune(&context.cluster, plan(&[], &live).prune).await?;
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

/// Brings about all that isolates the namespace, reads it back, and only then opens it.
async fn isolate(
    context: &Context,
    tenant: &Tenant,
    live: Value,
    record: &NamespaceRecord,
) -> Result<Outcome, ReconcileError> {
    let wanted = Wanted::of(tenant, record);
    let mut live = live;
    let objects = wanted.list(context).await?;
    let (difference, plan) = wanted.compare(&live, &objects);
    if difference.is_some() || !plan.is_empty() {
        let differences: Vec<&String> = difference.iter().chain(&plan.differences).collect();
        tracing::info!(namespace = %record.name, ?differences, "mending");
        let mended = wanted
            .mend(context, &live, difference.is_some(), plan)
            .await;
        let read_back = match mended {
            Ok(()) => wanted.read_back(context).await,
            Err(error) => Err(error.into()),
        };
        live = match read_back {
            Ok(live) => live,
            Err(error) if error.is_conflict() => return Err(error),
            Err(error) => {
                // Known to be wrong and not mended.
                withdraw(context, record).await?;
                return Err(error);
            }
        };
    }
    if !record.is_isolated() {
        open(context, tenant, &live).await?;
    }
    Ok(Outcome::Done)
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

    fn compare(&self, live: &Value, objects: &[Value]) -> (Option<String>, Plan) {
        (
            difference(&self.namespace, Some(live)),
            plan(&self.objects, objects),
        )
    }

    async fn mend(
        &self,
        context: &Context,
        live: &Value,
        metadata_differs: bool,
        plan: Plan,
    ) -> Result<(), ClusterError> {
        let namespace = async {
            if !metadata_differs {
                return Ok(());
            }
            let patch = metadata::patch(&self.metadata, live);
            context
                .cluster
                .merge_patch(&self.reference(), &patch)
                .await
                .map(drop)
        };
        try_join!(namespace, carry_out(&context.cluster, plan)).map(drop)
    }

    /// The namespace as it is now, if it and all in it are as wanted.
    async fn read_back(&self, context: &Context) -> Result<Value, ReconcileError> {
        let reference = self.reference();
        let (live, objects) = try_join!(
            context.cluster.get(&reference),
            read(&context.cluster, &self.objects)
        )?;
        let Some(live) = live else {
            return Err(ReconcileError::Differs("the namespace is gone".to_owned()));
        };
        let still = NamespaceRecord::of(&live)
            .is_some_and(|now| now.belongs_to(&self.tenant.name, &self.tenant.uid));
        if !still {
            return Err(ReconcileError::Differs(
                "its labels have changed".to_owned(),
            ));
        }
        match self.compare(&live, &objects) {
            (None, plan) if plan.is_empty() => Ok(live),
            (metadata, plan) => {
                let differences: Vec<String> =
                    metadata.into_iter().chain(plan.differences).collect();
                Err(ReconcileError::Differs(differences.join("; ")))
            }
        }
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
