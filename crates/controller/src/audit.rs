//! What policies in Rego say of objects that exist already: into the statuses of Gatekeeper's
//! constraints, and into PolicyReports.
//!
//! Everything is listed page by page and judged as it comes. Nothing is written that stands there
//! already: `status.auditTimestamp` is when the violations became what they are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bulkhead_cluster::{Cluster, ClusterError, DeleteOptions, Kind, Listable, ObjectRef};
use bulkhead_isolation::LABEL_MANAGED_BY;
use bulkhead_model::labels;
use bulkhead_rego::{
    Audit, CONSTRAINTS, Inventory, Judge, NOTHING_SYNCED, Policies, Process, REPORTS, Refusal,
    bare_policy, covers, is_of_the_platform, is_quiet, load, policy_id,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::context::Context;

/// How long a policy that is written or changed waits for its first audit.
const LOOK: Duration = Duration::from_secs(2);
/// What the audits of all controllers are called: a restart writes nothing.
const WHO: &str = "bulkhead-controller";
/// The name of every report.
const REPORT: &str = "bulkhead";

/// Audits when policies change, and every so often, for ever.
pub(crate) async fn audit(context: &Context, every: Duration) {
    if every.is_zero() {
        return std::future::pending().await;
    }
    let mut last: Option<(Vec<Value>, Instant)> = None;
    loop {
        match look(context, every, last.as_ref()).await {
            Ok(Some(policies)) => last = Some((policies, Instant::now())),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = error.chain(), "cannot audit"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Audits if it is time to: the policies by which it has.
async fn look(
    context: &Context,
    every: Duration,
    last: Option<&(Vec<Value>, Instant)>,
) -> Result<Option<Vec<Value>>, ClusterError> {
    let objects = context.cluster.rego_policies().await?;
    let bare: Vec<Value> = objects.iter().cloned().map(bare_policy).collect();
    if let Some((policies, at)) = last {
        let none = bare.is_empty() && policies.is_empty();
        if none || (*policies == bare && at.elapsed() < every) {
            return Ok(None);
        }
    }
    let (policies, refused) = load(&bare);
    let outcome = Round::new(&context.cluster, &policies, refused)
        .run()
        .await?;
    for object in objects.iter().filter(|object| is_constraint(object)) {
        write_status(&context.cluster, object, &outcome).await?;
    }
    write_reports(&context.cluster, &outcome.audit).await?;
    Ok(Some(bare))
}

fn is_constraint(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str);
    version.is_some_and(|version| version.starts_with(&format!("{CONSTRAINTS}/")))
}

/// What came of a round.
#[derive(Default)]
struct Outcome {
    audit: Audit,
    /// What keeps a policy from being asked at all, by its id.
    broken: BTreeMap<String, Vec<String>>,
    /// What could not be looked at, by the constraint that wants to.
    unseen: BTreeMap<String, Vec<String>>,
}

struct Round<'a> {
    cluster: &'a Cluster,
    policies: &'a Policies,
    outcome: Outcome,
}

impl<'a> Round<'a> {
    fn new(cluster: &'a Cluster, policies: &'a Policies, refused: Vec<Refusal>) -> Self {
        let mut outcome = Outcome::default();
        outcome.refuse(&refused);
        Self {
            cluster,
            policies,
            outcome,
        }
    }

    async fn run(mut self) -> Result<Outcome, ClusterError> {
        let mut judge = match self.policies.judge(&Inventory::default()) {
            Ok(judge) => judge,
            Err(refusals) => {
                self.outcome.refuse(&refusals);
                return Ok(self.outcome);
            }
        };
        if self.policies.asks_for_inventory() {
            let inventory = self.inventory().await;
            // Why there is none is said of each object that is compared with it.
            if let Err(failure) = judge.compare_with(inventory.as_ref().map_err(Clone::clone)) {
                let _ = judge.compare_with(Err(failure.to_string()));
            }
        }
        let listed = self.cluster.list(&Kind::namespace(), None, "").await?;
        let mut namespaces = BTreeMap::new();
        for namespace in listed {
            namespaces.insert(text(&namespace, "/metadata/name").to_owned(), namespace);
        }
        let namespaces = std::sync::Arc::new(namespaces);
        let (mut kinds, problems) = self.cluster.listable().await?;
        for problem in problems {
            self.unseen(problem, |_| true);
        }
        kinds.retain(|listable| self.is_asked(listable));
        for listable in &kinds {
            let mut token = String::new();
            loop {
                let page = match self.cluster.page(&listable.kind, None, "", &token).await {
                    Ok(page) => page,
                    // Gone since it was named.
                    Err(error) if error.is_not_found() => break,
                    Err(error) => {
                        let (group, kind) = (&listable.group, &listable.kind.kind);
                        self.unseen(error.chain(), |pairs| covers(pairs, group, kind));
                        break;
                    }
                };
                let namespaces = std::sync::Arc::clone(&namespaces);
                let audit = std::mem::take(&mut self.outcome.audit);
                let work = (judge, audit);
                // It computes, for longer than others should wait.
                let done = tokio::task::spawn_blocking(move || {
                    let (mut judge, mut audit) = work;
                    for object in page.objects {
                        one(&mut judge, &mut audit, &object, &namespaces);
                    }
                    (judge, audit)
                });
                let Ok((after, audit)) = done.await else {
                    return Err(ClusterError::Object {
                        problem: format!("judging {} broke off", listable.kind),
                    });
                };
                (judge, self.outcome.audit) = (after, audit);
                match page.next {
                    Some(next) => token = next,
                    None => break,
                }
            }
        }
        Ok(self.outcome)
    }

    /// What the Config says is synced, as it is now.
    async fn inventory(&self) -> Result<Inventory, String> {
        let config = &self.policies.config;
        if config.sync.is_empty() {
            return Err(NOTHING_SYNCED.to_owned());
        }
        let mut inventory = Inventory::default();
        for synced in &config.sync {
            let kind = Kind::new(&synced.api_version(), &synced.kind);
            let listed = self.cluster.list(&kind, None, "").await;
            let objects = listed.map_err(|error| {
                let why = error.chain();
                format!("what stands in `data.inventory` is not known: {why}")
            })?;
            for object in &objects {
                if !config.excludes(Process::Sync, text(object, "/metadata/namespace")) {
                    inventory.put(object);
                }
            }
        }
        Ok(inventory)
    }

    fn is_asked(&self, listable: &Listable) -> bool {
        let (group, kind) = (&listable.group, &listable.kind.kind);
        let mut constraints = self.policies.constraints.values();
        !is_quiet(group, kind)
            && (!self.policies.plain.is_empty()
                || constraints.any(|constraint| covers(constraint.kinds(), group, kind)))
    }

    fn unseen(&mut self, why: String, whose: impl Fn(&[(Vec<String>, Vec<String>)]) -> bool) {
        for constraint in self.policies.constraints.values() {
            if whose(constraint.kinds()) {
                let id = format!("{}/{}", constraint.kind, constraint.name);
                self.outcome.unseen.entry(id).or_default().push(why.clone());
            }
        }
        tracing::debug!(why, "not audited");
    }
}

impl Outcome {
    fn refuse(&mut self, refusals: &[Refusal]) {
        for refusal in refusals {
            let id = refusal.place.source.split(' ').next().unwrap_or_default();
            let all = self.broken.entry(id.to_owned()).or_default();
            all.push(refusal.to_string());
        }
    }

    /// Why a constraint is not enforced as it stands. While any policy cannot be used, admission
    /// denies whatever it is asked about.
    fn errors(&self, constraint: &Value) -> (bool, Vec<String>) {
        let id = policy_id(constraint);
        let template = format!(
            "ConstraintTemplate/{}",
            text(constraint, "/kind").to_lowercase()
        );
        // A template that does not compile is named by its kind.
        let names = [id.as_str(), template.as_str(), text(constraint, "/kind")];
        let broken = names.into_iter().filter_map(|name| self.broken.get(name));
        let broken: Vec<String> = broken.flatten().cloned().collect();
        let enforced = broken.is_empty();
        let unseen = self.unseen.get(&id).into_iter().flatten().cloned();
        (enforced, broken.into_iter().chain(unseen).collect())
    }
}

/// Judges one object, unless the platform's namespaces are not asked about.
fn one(judge: &mut Judge, audit: &mut Audit, object: &Value, namespaces: &BTreeMap<String, Value>) {
    if is_of_the_platform(object) {
        return;
    }
    let of = text(object, "/metadata/namespace");
    let namespace = namespaces.get(of);
    let found = judge.audit(object, namespace);
    if found.is_empty() {
        return;
    }
    // In a tenant's namespace we may write, and in no other.
    let label = namespace.and_then(|namespace| namespace.pointer("/metadata/labels"));
    let tenants = label.is_some_and(|labels| labels.get(labels::TENANT).is_some());
    audit.note(object, Some(of).filter(|_| tenants), found);
}

async fn write_status(
    cluster: &Cluster,
    constraint: &Value,
    outcome: &Outcome,
) -> Result<(), ClusterError> {
    let (enforced, errors) = outcome.errors(constraint);
    let mut pod = json!({
        "id": WHO, "constraintUID": text(constraint, "/metadata/uid"),
        "observedGeneration": constraint.pointer("/metadata/generation"),
        "operations": ["audit"], "enforced": enforced,
    });
    if let (Some(fields), false) = (pod.as_object_mut(), errors.is_empty()) {
        let errors = errors.iter();
        let errors = errors.map(|message| json!({"code": "not_audited", "message": message}));
        fields.insert("errors".to_owned(), errors.collect());
    }
    let mut status = outcome.audit.status(&policy_id(constraint));
    if let Some(fields) = status.as_object_mut() {
        fields.insert("byPod".to_owned(), json!([pod]));
    }
    let mut stands = constraint.get("status").cloned().unwrap_or_default();
    if let Some(fields) = stands.as_object_mut() {
        fields.remove("auditTimestamp");
    }
    if stands == status {
        return Ok(());
    }
    let now = OffsetDateTime::now_utc().replace_nanosecond(0);
    let now = now.ok().and_then(|now| now.format(&Rfc3339).ok());
    if let Some(fields) = status.as_object_mut() {
        fields.insert("auditTimestamp".to_owned(), now.into());
    }
    let object = json!({
        "apiVersion": constraint.get("apiVersion"), "kind": constraint.get("kind"),
        "metadata": {"name": text(constraint, "/metadata/name")}, "status": status,
    });
    match cluster.apply_status(&object).await {
        // Deleted meanwhile.
        Err(error) if error.is_not_found() => Ok(()),
        written => written.map(drop),
    }
}

/// Makes the reports so: those that have nothing to say any more go.
async fn write_reports(cluster: &Cluster, audit: &Audit) -> Result<(), ClusterError> {
    let version = format!("{REPORTS}/v1alpha2");
    let managed = format!("{LABEL_MANAGED_BY}={}", labels::FIELD_MANAGER);
    let mut stand = BTreeMap::new();
    for kind in ["ClusterPolicyReport", "PolicyReport"] {
        match cluster
            .list(&Kind::new(&version, kind), None, &managed)
            .await
        {
            Ok(reports) => {
                for report in reports {
                    if text(&report, "/metadata/name") == REPORT {
                        let namespace = text(&report, "/metadata/namespace").to_owned();
                        stand.insert(namespace, report);
                    }
                }
            }
            // Nobody wants reports who has not installed their kinds.
            Err(ClusterError::UnknownKind { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    for namespace in audit.reported() {
        let Some(mut report) = audit.report(namespace, REPORT) else {
            continue;
        };
        let same = |old: &Value| {
            ["summary", "results"]
                .iter()
                .all(|key| old.get(key) == report.get(key))
        };
        if stand.remove(namespace).as_ref().is_some_and(same) {
            continue;
        }
        if let Some(metadata) = report.get_mut("metadata").and_then(Value::as_object_mut) {
            let label = json!({LABEL_MANAGED_BY: labels::FIELD_MANAGER});
            metadata.insert("labels".to_owned(), label);
        }
        match cluster.apply(&report).await {
            // A namespace that is going takes nothing more.
            Err(error)
                if error.is_not_found() || (error.is_forbidden() && !namespace.is_empty()) =>
            {
                tracing::debug!(error = error.chain(), "cannot write a report");
            }
            written => drop(written?),
        }
    }
    for report in stand.values() {
        let reference = ObjectRef::of(report)?;
        let options = DeleteOptions::uid(text(report, "/metadata/uid"));
        cluster.delete(&reference, &options).await?;
    }
    Ok(())
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}
