//! The ledger: who writes it, and what it decides.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Account, Credential, Door};
use bulkhead_model::{ClaimKind, entry_name};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, text};
use crate::guest::uid;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "ledger::prefixes_made_in_the_same_instant_have_one_holder",
        same_instant,
    ),
    ("ledger::entries_are_written_by_bulkhead_alone", written),
];

const ENTRIES: &str = "/apis/bulkhead.dev/v1alpha1/ledgerentries";
const TENANTS: &str = "/apis/bulkhead.dev/v1alpha1/tenants";

fn entry(kind: ClaimKind, key: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "LedgerEntry",
        "metadata": {"name": entry_name(kind, key), "labels": {"bulkhead.dev/claim": kind}},
        "spec": {"kind": kind, "key": key, "data": data},
    })
}

/// What admission may let through, because its picture of the others is a moment old: here, a
/// holder that it does not know of at all. And many at once.
fn same_instant(bed: &Bed) -> anyhow::Result<()> {
    let acme = &bed.field.attacker.tenant;
    let data = json!({"twin-dev-": {"tenant": acme, "uid": uid(bed, acme)?}});
    bed.do_as_admin(&Request::post(
        ENTRIES,
        &entry(ClaimKind::Prefix, "twin-", &data),
    ))?;
    let names = ["twin", "twin-dev", "twin-prod", "twin-prod-eu"];
    let answers = bed.wait(futures::future::join_all(names.map(|name| {
        let tenant = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": {}});
        let request = Request::post(TENANTS, &tenant);
        async move { bed.field.as_admin(&request).await }
    })));
    let made: Vec<&str> = names
        .iter()
        .zip(answers)
        .filter(|(_, answer)| answer.as_ref().is_ok_and(|answer| answer.is_success()))
        .map(|(name, _)| *name)
        .collect();
    let reasons = eventually("every Tenant is judged", || {
        let reasons: Vec<String> = made
            .iter()
            .map(|name| reason(bed, name))
            .collect::<anyhow::Result<_>>()?;
        Ok(reasons.iter().all(|r| !r.is_empty()).then_some(reasons))
    })?;
    for (name, reason) in made.iter().zip(&reasons) {
        // `twin-` and `twin-dev-` share names with what acme has.
        let free = name.starts_with("twin-prod");
        ensure!(
            free || reason == "PrefixConflict",
            "{name} is {reason}: {made:?} {reasons:?}"
        );
    }
    let held = bed.do_as_admin(&Request::get(format!(
        "{ENTRIES}/{}",
        entry_name(ClaimKind::Prefix, "twin-")
    )))?;
    let held = held
        .pointer("/spec/data")
        .and_then(Value::as_object)
        .context("no data")?;
    for (a, _) in held {
        for (b, _) in held {
            ensure!(
                a == b || !(a.starts_with(b) || b.starts_with(a)),
                "{held:?}"
            );
        }
    }
    for name in made {
        bed.do_as_admin(&Request::delete(format!("{TENANTS}/{name}")))?;
    }
    eventually("what the others had is given back", || {
        let path = format!("{ENTRIES}/{}", entry_name(ClaimKind::Prefix, "twin-"));
        let left = bed.do_as_admin(&Request::get(path))?;
        let left = left.pointer("/spec/data").and_then(Value::as_object);
        Ok(left
            .is_some_and(|left| left.keys().all(|key| key == "twin-dev-"))
            .then_some(()))
    })?;
    let path = format!("{ENTRIES}/{}", entry_name(ClaimKind::Prefix, "twin-"));
    bed.do_as_admin(&Request::delete(path)).map(drop)
}

fn reason(bed: &Bed, tenant: &str) -> anyhow::Result<String> {
    let tenant = bed.do_as_admin(&Request::get(format!("{TENANTS}/{tenant}")))?;
    Ok(text(&tenant, "/status/conditions/0/reason").to_owned())
}

/// Neither by a right that was given by mistake nor with the webhook's own token.
fn written(bed: &Bed) -> anyhow::Result<()> {
    let role = json!({"metadata": {"name": "e2e-ledger"}, "rules": [
        {"apiGroups": ["bulkhead.dev"], "resources": ["*"], "verbs": ["create", "update", "patch", "delete"]}]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    bed.do_as_admin(&Request::post(format!("{rbac}/clusterroles"), &role))?;
    let binding = json!({
        "metadata": {"name": "e2e-ledger"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e2e-ledger"},
        "subjects": [{"kind": "ServiceAccount", "namespace": bed.own(), "name": Account::Star.name()}],
    });
    bed.do_as_admin(&Request::post(
        format!("{rbac}/clusterrolebindings"),
        &binding,
    ))?;
    let mine = entry(ClaimKind::Node, "e2e-node", &json!({}));
    let dry = format!("{ENTRIES}?dryRun=All");
    let result = eventually("the guard refuses", || {
        let answer = bed.account(Account::Star, &Request::post(dry.as_str(), &mine))?;
        refused(&answer, 403, &["ledger-write"]).map(Some)
    });
    for path in ["clusterrolebindings", "clusterroles"] {
        bed.do_as_admin(&Request::delete(format!("{rbac}/{path}/e2e-ledger")))?;
    }
    result?;
    let webhook = bed
        .field
        .client(Door::ApiServer, &Credential::Stolen("webhook"))?;
    for (kind, allowed) in [
        (ClaimKind::Prefix, false),
        (ClaimKind::Node, false),
        (ClaimKind::IdBlock, false),
        (ClaimKind::Quota, true),
    ] {
        let answer = bed.send(
            &webhook,
            &Request::post(dry.as_str(), &entry(kind, "e2e-x", &json!({}))),
        )?;
        if allowed {
            ensure!(answer.is_success(), "{kind}: {}", answer.message());
        } else {
            refused(&answer, 403, &["ledger-write"])?;
        }
    }
    let changed = entry(ClaimKind::Node, "e2e-node", &json!({}));
    let other = json!({"spec": {"key": "another"}});
    bed.do_as_admin(&Request::post(ENTRIES, &changed))?;
    let path = format!("{ENTRIES}/{}", entry_name(ClaimKind::Node, "e2e-node"));
    let answer = bed.admin(&Request::patch(
        path.as_str(),
        "application/merge-patch+json",
        &other,
    ))?;
    refused(&answer, 422, &["about one thing for good"])?;
    bed.do_as_admin(&Request::delete(path)).map(drop)
}
