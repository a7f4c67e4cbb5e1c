//! Nodes of tenants' own: claimed through the ledger, marked, emptied of others' pods, and given
//! back once their tenant's pods are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::{Condition, ConditionStatus, NodeStatus, TenantStatus};
use bulkhead_cluster::{Claim, Event, Eviction, Kind, Ledger, ObjectRef, TenantRecord};
use bulkhead_model::{ClaimKind, Holder, NodeSelector, Placement, Tenant, Uid, labels};
use futures::stream::{self, StreamExt as _};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::context::{Context, Key, ReconcileError};
use crate::decide::nodes::{Leaving, Owner, label_of, stays, step};
use crate::decide::status::present;
use crate::queue::Outcome;

/// How soon a node is looked at again while pods are leaving it.
const BUSY: Duration = Duration::from_secs(2);
/// How often a node that is as it should be is looked at: pods that tolerate everything are
/// nobody's to announce.
const QUIET: Duration = Duration::from_secs(60);
/// How long a tenant's status may lag behind its nodes, so that many changes make one write.
const SETTLE: Duration = Duration::from_millis(200);
/// How many evictions one node has under way at a time.
const AT_ONCE: usize = 8;
/// How many names a message holds before it only counts.
const NAMED: usize = 5;

/// What is known of a node that a tenant has, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The UID of its tenant.
    uid: String,
    /// Whether it is the tenant's alone.
    ready: bool,
    /// What keeps it from that, if anything does.
    message: String,
}

/// Notes by node and tenant: a node may be one tenant's and wanted by another.
pub(crate) type Notes = BTreeMap<(String, String), Note>;

/// Makes a node whose it should be.
pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Outcome, ReconcileError> {
    let ledger = Ledger::new(&context.cluster);
    let reference = ObjectRef::cluster(Kind::new("v1", "Node"), name);
    let node = context.cluster.get(&reference).await?;
    let holder = holder(&ledger, name).await?;
    let Some(node) = node else {
        // One of its name that comes back is claimed anew.
        if let Some(holder) = holder {
            let _ = ledger.release(ClaimKind::Node, name, &holder).await?;
        }
        note(context, name, BTreeMap::new());
        return Ok(Outcome::Done);
    };
    let claimants = claimants(context, &node);
    let holder = match (holder, claimants.first()) {
        (Some(holder), _) => holder,
        (None, None) => {
            note(context, name, BTreeMap::new());
            return Ok(Outcome::Done);
        }
        (None, Some(first)) => {
            let claim = ledger
                .claim(ClaimKind::Node, name, first, Map::new())
                .await?;
            match claim {
                Claim::Ours => {
                    tracing::info!(node = name, tenant = %first.tenant, "claimed");
                    first.clone()
                }
                Claim::Theirs(holder) => holder,
            }
        }
    };
    let held = claimants.contains(&holder) || is_unreadable(context, &holder);
    let leaving = leaving(context, name, &holder, held).await?;
    let tenant = holder.tenant.as_str();
    let owner = if held {
        Owner::Tenant(tenant)
    } else {
        Owner::Former(tenant)
    };
    let left = leaving.len();
    let step = step(&node, &owner, leaving, OffsetDateTime::now_utc());
    if let Some(patch) = &step.patch {
        tracing::info!(node = name, tenant, label = ?label_of(&node), held, "marking");
        context.cluster.merge_patch(&reference, patch).await?;
    }
    let blocked = evict(context, step.evict).await?;
    let mut notes = BTreeMap::new();
    if held {
        notes.insert(
            tenant.to_owned(),
            own_note(&holder, step.done, left, &blocked),
        );
    }
    for other in claimants.iter().filter(|other| **other != holder) {
        notes.insert(other.tenant.to_string(), lost_note(other, &holder));
    }
    note(context, name, notes);
    if !held && step.done {
        let _ = ledger.release(ClaimKind::Node, name, &holder).await?;
        tracing::info!(node = name, tenant, "released");
        // Somebody else may be waiting for it.
        return Ok(Outcome::After(Duration::ZERO));
    }
    Ok(Outcome::After(if step.done { QUIET } else { BUSY }))
}

async fn holder(ledger: &Ledger, node: &str) -> Result<Option<Holder>, ReconcileError> {
    let record = ledger.read(ClaimKind::Node, node).await?;
    Ok(record.and_then(|record| record.entry.ok()?.holder))
}

/// The tenants that select a node, the eldest first.
fn claimants(context: &Context, node: &Value) -> Vec<Holder> {
    let written = |key: &str| node.get("metadata")?.get("labels")?.get(key)?.as_str();
    let selects = |tenant: &Arc<Tenant>| {
        selector(&tenant.nodes.placement).is_some_and(|it| it.selects(written))
    };
    let mut records = context
        .tenants
        .select(|record| !record.deleting && record.tenant.as_ref().is_ok_and(selects));
    records.sort_by(|a, b| (&a.created, &a.uid).cmp(&(&b.created, &b.uid)));
    records
        .iter()
        .filter_map(|record| record.tenant.as_ref().ok())
        .map(|tenant| Holder {
            tenant: tenant.name.clone(),
            uid: tenant.uid.clone(),
        })
        .collect()
}

fn selector(placement: &Placement) -> Option<&NodeSelector> {
    match placement {
        Placement::Dedicated(selector) => Some(selector),
        Placement::Shared | Placement::Labelled(_) => None,
    }
}

/// A Tenant that cannot be read keeps the nodes that it has: nobody knows that it wants them no
/// more.
fn is_unreadable(context: &Context, holder: &Holder) -> bool {
    let record = context.tenants.get(holder.tenant.as_str());
    record.is_some_and(|record| {
        record.uid == holder.uid.as_str() && !record.deleting && record.tenant.is_err()
    })
}

/// The pods that have to leave: everybody's but the holder's, or the former holder's.
async fn leaving(
    context: &Context,
    node: &str,
    holder: &Holder,
    held: bool,
) -> Result<Vec<Leaving>, ReconcileError> {
    let pods = context.cluster.pods_on(node).await?;
    let found = pods.iter().filter_map(|pod| {
        let text = |field: &str| pod.get("metadata")?.get(field)?.as_str().map(str::to_owned);
        let namespace = text("namespace")?;
        let record = context.namespaces.get(&namespace);
        let of = |uid: Option<&Uid>| {
            record.as_ref().is_some_and(|record| match uid {
                Some(uid) => record.belongs_to(&holder.tenant, uid),
                None => record.tenant.as_ref() == Some(&holder.tenant),
            })
        };
        let leaves = if held {
            !of(Some(&holder.uid))
        } else {
            of(None)
        };
        (leaves && !stays(pod, record.is_some())).then_some(Leaving {
            namespace,
            name: text("name")?,
            uid: text("uid")?,
            going: text("deletionTimestamp").is_some(),
        })
    });
    Ok(found.collect())
}

/// Evicts pods. The result are those that a budget keeps.
async fn evict(context: &Context, pods: Vec<Leaving>) -> Result<Vec<String>, ReconcileError> {
    let evicted: Vec<_> = stream::iter(pods)
        .map(|pod| async move {
            let evicted = context
                .cluster
                .evict(&pod.namespace, &pod.name, &pod.uid)
                .await?;
            Ok::<_, ReconcileError>(match evicted {
                Eviction::Accepted => None,
                Eviction::Blocked(_) => Some(format!("{}/{}", pod.namespace, pod.name)),
            })
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let evicted: Result<Vec<Option<String>>, _> = evicted.into_iter().collect();
    Ok(evicted?.into_iter().flatten().collect())
}

fn own_note(holder: &Holder, ready: bool, left: usize, blocked: &[String]) -> Note {
    let message = match (ready, left, blocked) {
        (true, ..) => String::new(),
        (false, 0, _) => "being marked".to_owned(),
        (false, left, []) => format!("others' pods are leaving: {left}"),
        (false, left, blocked) => format!(
            "others' pods are leaving: {left}; kept by their budgets for now: {}",
            names(blocked)
        ),
    };
    Note {
        uid: holder.uid.to_string(),
        ready,
        message,
    }
}

fn lost_note(loser: &Holder, holder: &Holder) -> Note {
    Note {
        uid: loser.uid.to_string(),
        ready: false,
        message: format!("claimed by the tenant `{}`", holder.tenant),
    }
}

fn names(names: &[String]) -> String {
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => {
            format!("{} and {} more", first.join(", "), names.len() - NAMED)
        }
        _ => names.join(", "),
    }
}

/// Notes how a node stands with tenants, and has their statuses written if that is news.
fn note(context: &Context, node: &str, now: BTreeMap<String, Note>) {
    for tenant in context.note_node(node, now) {
        context.queue.add_after(Key::Tenant(tenant), SETTLE);
    }
}

/// Puts a tenant's nodes into its status.
pub(crate) fn report(
    context: &Context,
    record: &TenantRecord,
    status: &mut TenantStatus,
    now: &str,
) {
    let dedicated = record
        .tenant
        .as_ref()
        .is_ok_and(|tenant| selector(&tenant.nodes.placement).is_some());
    let nodes: Vec<NodeStatus> = context
        .nodes_of(&record.name)
        .into_iter()
        .filter(|(_, note)| note.uid == record.uid)
        .map(|(name, note)| NodeStatus {
            name,
            ready: note.ready,
            message: note.message,
        })
        .collect();
    if dedicated && !record.deleting {
        let before = present(record);
        status
            .conditions
            .push(condition(&nodes, &before, record.generation, now));
    }
    status.nodes = nodes;
}

fn condition(nodes: &[NodeStatus], before: &TenantStatus, generation: i64, now: &str) -> Condition {
    use ConditionStatus::{False, True};
    let waiting: Vec<String> = nodes
        .iter()
        .filter(|node| !node.ready)
        .map(|node| node.name.clone())
        .collect();
    let (status, reason, message) = match (nodes.len(), waiting.as_slice()) {
        (0, _) => (
            False,
            "NoNodes",
            "no node has the labels of `spec.nodes.selector`, so the tenant's pods wait".to_owned(),
        ),
        (1, []) => (True, "Dedicated", "1 node is the tenant's alone".to_owned()),
        (n, []) => (
            True,
            "Dedicated",
            format!("{n} nodes are the tenant's alone"),
        ),
        (_, waiting) => (
            False,
            "NodesNotReady",
            format!("not the tenant's alone: {}", names(waiting)),
        ),
    };
    let mut earlier = before.conditions.iter();
    let same = earlier.find(|it| it.kind == Condition::NODES_READY && it.status == status);
    Condition {
        kind: Condition::NODES_READY.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: same.map_or(now, |it| &it.last_transition_time).to_owned(),
        observed_generation: generation,
    }
}

/// Follows the nodes, and the tenants as far as they select some. Ends only if a watch does.
pub(crate) async fn feed(context: &Context) {
    // Claims of nodes that went while nobody looked.
    let entries = format!("{}={}", labels::CLAIM, ClaimKind::Node);
    match context
        .cluster
        .list(&Kind::ledger_entry(), None, &entries)
        .await
    {
        Ok(entries) => {
            for entry in entries {
                if let Some(node) = entry.pointer("/spec/key").and_then(Value::as_str) {
                    context.queue.add(Key::Node(node.to_owned()));
                }
            }
        }
        Err(error) => tracing::warn!(error = error.chain(), "cannot list claims of nodes"),
    }
    let mut nodes = context.cluster.watch(Kind::new("v1", "Node"), None, "");
    let mut tenants = context.tenants.names();
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut placements: BTreeMap<String, Arc<TenantRecord>> = BTreeMap::new();
    loop {
        tokio::select! {
            event = nodes.recv() => match event {
                Some(event) => see(context, &mut seen, event),
                None => return,
            },
            name = tenants.recv() => {
                let Some(name) = name else { return };
                let now = context.tenants.get(&name);
                let before = match &now {
                    Some(now) => placements.insert(name.clone(), now.clone()),
                    None => placements.remove(&name),
                };
                if claims(before.as_deref()) != claims(now.as_deref()) {
                    for node in seen.keys() {
                        context.queue.add(Key::Node(node.clone()));
                    }
                }
            }
        }
    }
}

/// What of a Tenant decides whose nodes are.
fn claims(record: Option<&TenantRecord>) -> Option<(&str, Option<&NodeSelector>)> {
    let record = record.filter(|record| !record.deleting)?;
    match &record.tenant {
        Ok(tenant) => Some((&record.uid, Some(selector(&tenant.nodes.placement)?))),
        Err(_) => Some((&record.uid, None)),
    }
}

/// Queues the nodes whose labels or taints have changed; heartbeats are nothing new.
fn see(context: &Context, seen: &mut BTreeMap<String, Value>, event: Event) {
    let key = |node: &Value| node.pointer("/metadata/name")?.as_str().map(str::to_owned);
    match event {
        Event::Listed(nodes) => {
            let nodes = nodes.iter();
            let now: BTreeMap<String, Value> = nodes
                .filter_map(|node| Some((key(node)?, marks(node))))
                .collect();
            for name in seen.keys().chain(now.keys()) {
                if seen.get(name) != now.get(name) {
                    context.queue.add(Key::Node(name.clone()));
                }
            }
            *seen = now;
        }
        Event::Applied(node) => {
            let Some(name) = key(&node) else { return };
            let marks = marks(&node);
            if seen.get(&name) != Some(&marks) {
                seen.insert(name.clone(), marks);
                context.queue.add(Key::Node(name));
            }
        }
        Event::Deleted(node) => {
            if let Some(name) = key(&node) {
                seen.remove(&name);
                context.queue.add(Key::Node(name));
            }
        }
        _ => {}
    }
}

fn marks(node: &Value) -> Value {
    serde_json::json!([
        node.pointer("/metadata/uid"),
        node.pointer("/metadata/labels"),
        node.pointer("/spec/taints"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, ready: bool) -> NodeStatus {
        NodeStatus {
            name: name.to_owned(),
            ready,
            message: String::new(),
        }
    }

    #[test]
    fn the_condition_counts_and_names() {
        let before = TenantStatus::default();
        for (nodes, expect) in [
            (vec![], "False NoNodes"),
            (vec![status("a", true)], "True Dedicated"),
            (
                vec![status("a", true), status("b", false)],
                "False NodesNotReady",
            ),
        ] {
            let said = condition(&nodes, &before, 3, "2026-01-01T00:00:00Z");
            assert_eq!(format!("{:?} {}", said.status, said.reason), expect);
            assert_eq!(said.observed_generation, 3);
        }
        let said = condition(&[status("b", false)], &before, 3, "now");
        assert_eq!(said.message, "not the tenant's alone: b");
        // What stays as it is keeps its time.
        let mut earlier = before;
        earlier.conditions.push(Condition {
            last_transition_time: "then".to_owned(),
            ..said
        });
        let again = condition(&[status("b", false)], &earlier, 4, "now");
        assert_eq!(again.last_transition_time, "then");
    }
}
