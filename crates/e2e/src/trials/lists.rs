//! Lists over all of a tenant's namespaces.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::{names, refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "lists::over_all_namespaces_are_those_of_an_administrator",
        whole,
    ),
    (
        "lists::over_all_namespaces_come_in_pages_of_one_state",
        pages,
    ),
    ("lists::a_member_of_two_tenants_sees_both", two_tenants),
    ("lists::kubectl_gets_all_namespaces", kubectl),
];

const CONFIGS: &str = "/api/v1/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A guest with namespaces beside its first, and so many ConfigMaps in each.
fn furnished<'a>(
    bed: &'a Bed,
    name: &str,
    more: &[&str],
    each: usize,
) -> anyhow::Result<(Guest<'a>, Vec<String>)> {
    let guest = Guest::arrive(bed, name, &json!({}))?;
    let mut namespaces = vec![guest.namespace.clone()];
    for suffix in more {
        let namespace = format!("{name}-{suffix}");
        guest.make_namespace(&namespace)?;
        namespaces.push(namespace);
    }
    for namespace in &namespaces {
        for index in 0..each {
            let object = json!({"metadata": {"name": format!("item-{index}"), "labels": {"e2e": "lists"}}, "data": {"odd": "]},{\"\\"}});
            succeeded(&guest.send(&Request::post(
                format!("/api/v1/namespaces/{namespace}/configmaps"),
                &object,
            ))?)?;
        }
    }
    Ok((guest, namespaces))
}

fn items(list: &Value) -> Vec<Value> {
    list.get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// What an administrator sees of these namespaces at a state, in the order of the API server's keys.
fn truth(
    bed: &Bed,
    path: &str,
    version: &str,
    namespaces: &[String],
) -> anyhow::Result<Vec<Value>> {
    let request = Request::get(format!(
        "{path}?resourceVersion={version}&resourceVersionMatch=Exact"
    ));
    let all = items(&bed.do_as_admin(&request)?);
    let own = |item: &&Value| {
        namespaces
            .iter()
            .any(|n| n == text(item, "/metadata/namespace"))
    };
    Ok(all.iter().filter(own).cloned().collect())
}

fn whole(bed: &Bed) -> anyhow::Result<()> {
    let (guest, namespaces) = furnished(bed, "e2e-lists", &["b", "a", "app-1"], 3)?;
    for path in [
        CONFIGS,
        "/api/v1/serviceaccounts",
        "/api/v1/events",
        "/apis/rbac.authorization.k8s.io/v1/rolebindings",
        "/apis/apps/v1/deployments",
    ] {
        let list = succeeded(&guest.send(&Request::get(path))?)?;
        let version = text(&list, "/metadata/resourceVersion");
        let expected = truth(bed, path, version, &namespaces)?;
        ensure!(
            items(&list) == expected,
            "{path}: {:?} instead of {:?}",
            names(&list),
            names(&json!({"items": expected}))
        );
    }
    // The client's own selectors and the state that it names count.
    let list = succeeded(&guest.send(&Request::get(format!(
        "{CONFIGS}?labelSelector=e2e%3Dlists&fieldSelector=metadata.name%3Ditem-1"
    )))?)?;
    ensure!(names(&list) == vec!["item-1"; 4], "{:?}", names(&list));
    let version = text(&list, "/metadata/resourceVersion").to_owned();
    let late = json!({"metadata": {"name": "late", "labels": {"e2e": "lists"}}});
    succeeded(&guest.send(&Request::post(
        "/api/v1/namespaces/e2e-lists-b/configmaps",
        &late,
    ))?)?;
    let count = |query: &str| {
        let list = guest.send(&Request::get(format!(
            "{CONFIGS}?labelSelector=e2e%3Dlists&{query}"
        )))?;
        Ok::<_, anyhow::Error>(names(&succeeded(&list)?).len())
    };
    let exact = count(&format!(
        "resourceVersion={version}&resourceVersionMatch=Exact"
    ))?;
    let newest = count(&format!(
        "resourceVersion={version}&resourceVersionMatch=NotOlderThan"
    ))?;
    ensure!((exact, newest) == (12, 13), "{exact}, {newest}");
    // A table has the rows of all, and its columns once.
    let table = succeeded(&guest.send(
        &Request::get(format!("{CONFIGS}?labelSelector=e2e%3Dlists")).header("Accept", TABLE),
    )?)?;
    let rows = table
        .get("rows")
        .and_then(Value::as_array)
        .context("no rows")?;
    let spaces: BTreeSet<&str> = rows
        .iter()
        .map(|row| text(row, "/object/metadata/namespace"))
        .collect();
    ensure!(rows.len() == 13 && spaces.len() == 4, "{table}");
    ensure!(
        text(&table, "/columnDefinitions/0/name") == "Name",
        "{table}"
    );
    // What the API server refuses it refuses in its own words, and what is nowhere is nowhere.
    refused(
        &guest.send(&Request::get(format!(
            "{CONFIGS}?resourceVersionMatch=Exact"
        )))?,
        422,
        &["resourceVersionMatch"],
    )?;
    let everywhere = guest.send(&Request::get("/apis/apiregistration.k8s.io/v1/apiservices"))?;
    refused(&everywhere, 404, &[])?;
    let unknown = guest.send(&Request::get("/apis/unheard.example/v1/things"))?;
    refused(&unknown, 403, &["at the cluster scope", "e2e-lists-admin"])?;
    let only = guest
        .send(&Request::get(CONFIGS).header("Accept", "application/vnd.kubernetes.protobuf"))?;
    refused(&only, 406, &["application/json"])?;
    guest.leave()
}

fn pages(bed: &Bed) -> anyhow::Result<()> {
    let (guest, namespaces) = furnished(bed, "e2e-pages", &["b", "c", "d"], 5)?;
    let selected = format!("{CONFIGS}?labelSelector=e2e%3Dlists");
    for limit in [1, 2, 3, 5, 7, 19, 20, 21] {
        let (mut seen, mut token, mut version) = (Vec::new(), String::new(), String::new());
        loop {
            let page = Request::get(format!("{selected}&limit={limit}&continue={token}"));
            let page = succeeded(&guest.send(&page)?)?;
            let got = items(&page);
            ensure!(
                got.len() <= limit,
                "{} items on a page of {limit}",
                got.len()
            );
            let now = text(&page, "/metadata/resourceVersion");
            ensure!(
                version.is_empty() || version == now,
                "two states: {version}, {now}"
            );
            now.clone_into(&mut version);
            seen.extend(got);
            text(&page, "/metadata/continue").clone_into(&mut token);
            if token.is_empty() {
                break;
            }
            if limit == 3 && seen.len() == 3 {
                // What is made meanwhile is not of this state.
                let late = json!({"metadata": {"name": "late", "labels": {"e2e": "lists"}}});
                let target = "/api/v1/namespaces/e2e-pages-d/configmaps";
                succeeded(&guest.send(&Request::post(target, &late))?)?;
                succeeded(&guest.send(&Request::delete(format!("{target}/late")))?)?;
            }
        }
        let expected = truth(bed, CONFIGS, &version, &namespaces)?;
        let expected: Vec<Value> = expected
            .into_iter()
            .filter(|item| text(item, "/metadata/labels/e2e") == "lists")
            .collect();
        ensure!(
            seen == expected,
            "by {limit}: {:?}",
            names(&json!({"items": seen}))
        );
    }
    // A token is good for its own list.
    let page = succeeded(&guest.send(&Request::get(format!("{selected}&limit=2")))?)?;
    let token = text(&page, "/metadata/continue");
    for (target, status) in [
        (format!("{CONFIGS}?limit=2&continue={token}"), 410),
        (
            format!("/api/v1/secrets?labelSelector=e2e%3Dlists&limit=2&continue={token}"),
            410,
        ),
        (
            format!(
                "{selected}&limit=2&continue={}",
                token.get(1..).unwrap_or_default()
            ),
            410,
        ),
        (
            format!("{selected}&limit=2&continue={token}&resourceVersion=1"),
            400,
        ),
    ] {
        refused(&guest.send(&Request::get(target))?, status, &[])?;
    }
    // Another set of namespaces is another list.
    guest.make_namespace("e2e-pages-e")?;
    let moved = guest.send(&Request::get(format!(
        "{selected}&limit=2&continue={token}"
    )))?;
    refused(&moved, 410, &["your namespaces changed"])?;
    guest.leave()
}

/// Each tenant's part comes under that tenant's user.
fn two_tenants(bed: &Bed) -> anyhow::Result<()> {
    let (one, mut namespaces) = furnished(bed, "e2e-one", &[], 2)?;
    let both = json!({"members": [
        {"kind": "User", "name": "e2e-two-admin", "role": "Admin"},
        {"kind": "User", "name": "e2e-one-admin", "role": "Viewer"},
    ]});
    let two = Guest::arrive(bed, "e2e-two", &both)?;
    namespaces.push(two.namespace.clone());
    let secret = json!({"metadata": {"name": "e2e-two"}});
    succeeded(&two.send(&Request::post(
        format!("/api/v1/namespaces/{}/secrets", two.namespace),
        &secret,
    ))?)?;
    let secret = json!({"metadata": {"name": "e2e-one"}});
    succeeded(&one.send(&Request::post(
        format!("/api/v1/namespaces/{}/secrets", one.namespace),
        &secret,
    ))?)?;
    let list = succeeded(&one.send(&Request::get(CONFIGS))?)?;
    let expected = truth(
        bed,
        CONFIGS,
        text(&list, "/metadata/resourceVersion"),
        &namespaces,
    )?;
    ensure!(items(&list) == expected, "{:?}", names(&list));
    // A viewer reads no Secrets: there are only those of the tenant whose admin it is.
    let secrets = succeeded(&one.send(&Request::get("/api/v1/secrets"))?)?;
    ensure!(names(&secrets) == ["e2e-one"], "{:?}", names(&secrets));
    one.leave()?;
    two.leave()
}

fn kubectl(bed: &Bed) -> anyhow::Result<()> {
    let out = bed.kubectl(&["get", "serviceaccounts", "-A"])?.good()?;
    ensure!(
        out.starts_with("NAMESPACE ") && out.contains(bed.own()),
        "{out}"
    );
    ensure!(!out.contains(bed.theirs()), "the victim's are there: {out}");
    let out = bed.kubectl(&["get", "all", "-A", "-o", "name"])?.good()?;
    ensure!(!out.is_empty(), "nothing is listed");
    for (verb, kind, expected) in [
        ("list", "pods", "yes"),
        ("watch", "deployments.apps", "yes"),
        ("list", "events", "yes"),
        ("list", "clusterroles.rbac.authorization.k8s.io", "no"),
        ("create", "pods", "no"),
        ("list", "persistentvolumes", "no"),
    ] {
        let ran = bed.kubectl(&["auth", "can-i", verb, kind, "-A"])?;
        ensure!(
            ran.out.split_whitespace().next() == Some(expected),
            "{verb} {kind}: {ran:?}"
        );
    }
    Ok(())
}
