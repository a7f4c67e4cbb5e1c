//! Users, groups and SELinux levels that are a tenant's alone.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("ids::a_pod_without_ids_gets_the_tenants_and_runs", stamped),
    ("ids::a_foreign_user_is_refused", foreign),
    ("ids::no_two_tenants_have_ids_in_common", disjoint),
    ("ids::what_a_tenant_had_rests", rests),
    ("ids::a_tenant_may_require_user_namespaces", user_namespaces),
    ("ids::one_level_for_all_pods_of_a_tenant", one_level),
];

/// First and last id of a tenant, from its status.
fn range(bed: &Bed, tenant: &str) -> anyhow::Result<(u64, u64)> {
    let path = format!("/apis/bulkhead.dev/v1alpha1/tenants/{tenant}");
    let object = bed.do_as_admin(&Request::get(path))?;
    let uid = text(&object, "/status/ranges/uid");
    ensure!(uid == text(&object, "/status/ranges/gid"), "{object}");
    let (first, last) = uid.split_once('-').context("no range in the status")?;
    Ok((first.parse()?, last.parse()?))
}

fn bare(name: &str) -> Value {
    with(name, json!({}), json!({}))
}

/// A pod with these fields beside its container, and these in it.
fn with(name: &str, mut spec: Value, container: Value) -> Value {
    let mut main = json!({"name": "main", "image": "x"});
    if let (Value::Object(main), Value::Object(more)) = (&mut main, container) {
        main.extend(more);
    }
    if let Value::Object(spec) = &mut spec {
        spec.insert("containers".into(), json!([main]));
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

fn stamped(bed: &Bed) -> anyhow::Result<()> {
    let pods = format!("/api/v1/namespaces/{}/pods", bed.own());
    bed.do_as_tenant(&Request::post(pods.as_str(), &bare("e2e-ids")))?;
    let path = format!("{pods}/e2e-ids");
    let pod = eventually("the pod runs", || {
        let pod = bed.do_as_tenant(&Request::get(path.as_str()))?;
        Ok((text(&pod, "/status/phase") == "Running").then_some(pod))
    })?;
    let (first, _) = range(bed, &bed.field.attacker.tenant)?;
    let id = json!(first);
    let context = pod.pointer("/spec/securityContext").context("no context")?;
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        ensure!(context.get(field) == Some(&id), "{field}: {context}");
    }
    ensure!(
        context.get("supplementalGroups") == Some(&json!([id])),
        "{context}"
    );
    ensure!(
        text(context, "/supplementalGroupsPolicy") == "Strict",
        "{context}"
    );
    // What a tool takes off a running pod must not need the tenant's ids at hand.
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "x"}]}});
    let strategic = "application/strategic-merge-patch+json";
    let request = Request::patch(format!("{path}/ephemeralcontainers"), strategic, &debug);
    bed.do_as_tenant(&request)?;
    bed.do_as_tenant(&Request::delete(path)).map(drop)
}

fn foreign(bed: &Bed) -> anyhow::Result<()> {
    let (theirs, _) = range(bed, &bed.field.victim.tenant)?;
    let theirs = json!({"securityContext": {"runAsUser": theirs}});
    let pod = with("e2e-foreign", theirs, json!({}));
    let pods = format!("/api/v1/namespaces/{}/pods", bed.own());
    let answer = bed.tenant(&Request::post(pods.as_str(), &pod))?;
    refused(
        &answer,
        403,
        &["id-outside-tenant-range", "securityContext.runAsUser"],
    )?;
    // The same behind the gateway's back.
    let answer = bed.admin(&Request::post(pods, &pod))?;
    refused(&answer, 403, &["id-outside-tenant-range", "bulkhead.dev"])
}

fn disjoint(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-ids", &json!({}))?;
    let field = &bed.field;
    let mut ranges = Vec::new();
    for tenant in [&field.attacker.tenant, &field.victim.tenant, &guest.name] {
        ranges.push(range(bed, tenant)?);
    }
    ranges.sort_unstable();
    ensure!(
        ranges
            .iter()
            .all(|(first, last)| first < last && *first >= 1_000_000_000),
        "{ranges:?}"
    );
    ensure!(
        ranges
            .iter()
            .zip(ranges.iter().skip(1))
            .all(|(one, next)| one.1 < next.0),
        "{ranges:?}"
    );
    // The pods' rules are a copy of the ledger.
    let (first, last) = range(bed, &guest.name)?;
    let entry = bed.do_as_admin(&Request::get(entry(first)))?;
    ensure!(text(&entry, "/spec/holder/tenant") == guest.name, "{entry}");
    let namespace = bed.do_as_admin(&Request::get(format!(
        "/api/v1/namespaces/{}",
        guest.namespace
    )))?;
    let rules = text(&namespace, "/metadata/annotations/bulkhead.dev~1rules");
    ensure!(rules.contains(&format!("\"{first}-{last}\"")), "{rules}");
    guest.leave()
}

fn entry(first: u64) -> String {
    format!("/apis/bulkhead.dev/v1alpha1/ledgerentries/idblock.{first}")
}

fn rests(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-rests", &json!({}))?;
    let (first, _) = range(bed, &guest.name)?;
    let name = guest.name.clone();
    guest.leave()?;
    let entry = eventually("the block rests", || {
        let entry = bed.do_as_admin(&Request::get(entry(first)))?;
        Ok(entry.pointer("/spec/holder").is_none().then_some(entry))
    })?;
    ensure!(
        entry
            .pointer("/spec/data/released")
            .is_some_and(Value::is_u64),
        "{entry}"
    );
    ensure!(text(&entry, "/spec/data/last/tenant") == name, "{entry}");
    // One of the same name is another tenant, and gets another block.
    let again = Guest::arrive(bed, "e2e-rests", &json!({}))?;
    let (other, _) = range(bed, &again.name)?;
    ensure!(other != first, "{first} was handed out again");
    again.leave()
}

fn user_namespaces(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(
        bed,
        "e2e-users",
        &json!({"podSecurity": {"userNamespaces": "Required"}}),
    )?;
    let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    let pod = succeeded(&guest.send(&Request::post(pods.as_str(), &bare("plain")))?)?;
    ensure!(
        pod.pointer("/spec/hostUsers") == Some(&json!(false)),
        "{pod}"
    );
    ensure!(
        pod.pointer("/spec/securityContext/runAsUser") == Some(&json!(1000)),
        "{pod}"
    );
    let host = with("host", json!({"hostUsers": true}), json!({}));
    let refusal = ["host-user-namespace", "spec.hostUsers"];
    refused(
        &guest.send(&Request::post(pods.as_str(), &host))?,
        403,
        &refusal,
    )?;
    refused(
        &bed.admin(&Request::post(pods.as_str(), &host))?,
        403,
        &refusal,
    )?;
    // In a user namespace the tenant's range is not mapped.
    let (first, _) = range(bed, &guest.name)?;
    let first = json!({"securityContext": {"runAsUser": first}});
    let ranged = with("ranged", first, json!({}));
    let answer = guest.send(&Request::post(pods, &ranged))?;
    refused(&answer, 403, &["id-outside-tenant-range", "1-65535"])?;
    guest.leave()
}

fn one_level(bed: &Bed) -> anyhow::Result<()> {
    let spec = json!({"podSecurity": {"selinuxLevel": "PerTenant"}});
    let (one, two) = (
        Guest::arrive(bed, "e2e-level-a", &spec)?,
        Guest::arrive(bed, "e2e-level-b", &spec)?,
    );
    let level = |guest: &Guest<'_>, name: &str| -> anyhow::Result<String> {
        let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
        let pod = succeeded(&guest.send(&Request::post(pods, &bare(name)))?)?;
        Ok(text(&pod, "/spec/securityContext/seLinuxOptions/level").to_owned())
    };
    let (first, second) = (level(&one, "a")?, level(&one, "b")?);
    ensure!(
        first == second && first.starts_with("s0:c"),
        "{first} {second}"
    );
    ensure!(level(&two, "a")? != first, "two tenants have `{first}`");
    let tenant = bed.do_as_admin(&Request::get(one.path()))?;
    ensure!(text(&tenant, "/status/ranges/selinux") == first, "{tenant}");

    let pods = format!("/api/v1/namespaces/{}/pods", one.namespace);
    let theirs = level(&two, "b")?;
    let theirs = json!({"securityContext": {"seLinuxOptions": {"level": theirs}}});
    let chosen = with("chosen", theirs, json!({}));
    let refusal = ["selinux-label-chosen"];
    refused(
        &one.send(&Request::post(pods.as_str(), &chosen))?,
        403,
        &refusal,
    )?;
    let nothing = json!({"securityContext": {"seLinuxOptions": {}}});
    let emptied = with("emptied", json!({}), nothing);
    refused(
        &one.send(&Request::post(pods.as_str(), &emptied))?,
        403,
        &refusal,
    )?;
    refused(&bed.admin(&Request::post(pods, &emptied))?, 403, &refusal)?;
    one.leave()?;
    two.leave()
}
