//! What a tenant may do works, with the kube crate through the gateway.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Client, Request};
use bulkhead_model::labels;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::{Value, json};

use super::work::is_mended;
use crate::Check;
use crate::bed::{Bed, PATIENCE, eventually};
use crate::client::{refused, succeeded, text};

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("work::kube_lists_own_namespaces_only", namespaces),
    ("work::kube_gets_a_mended_pod_that_runs", mended),
    ("work::kube_watches", watches),
    ("work::kube_watches_namespaces", watches_namespaces),
    ("work::kube_applies_and_patches", applies),
    ("work::a_service_account_that_is_a_member_works", machine),
    ("work::objects_carry_their_tenant", stamped),
    ("work::the_audit_log_names_the_person", audit),
];

fn namespaces(bed: &Bed) -> anyhow::Result<()> {
    let client = bed.kube(&bed.field.attacker.tenant)?;
    let list = bed.wait(Api::<Namespace>::all(client).list(&ListParams::default()))?;
    let tenant = |n: &Namespace| {
        n.metadata
            .labels
            .as_ref()
            .and_then(|l| l.get(labels::TENANT))
            .cloned()
    };
    ensure!(!list.items.is_empty(), "nothing is listed");
    ensure!(
        list.items
            .iter()
            .all(|n| tenant(n).as_ref() == Some(&bed.field.attacker.tenant)),
        "{list:?}"
    );
    Ok(())
}

fn mended(bed: &Bed) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(bed.kube(&bed.field.attacker.tenant)?, bed.own());
    // What people write who have never heard of any of this.
    let plain: Pod = serde_json::from_value(json!({
        "metadata": {"name": "e2e-mended"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]},
    }))?;
    bed.wait(api.create(&PostParams::default(), &plain))?;
    let pod = eventually("the mended pod runs", || {
        let pod = bed.wait(api.get("e2e-mended"))?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        Ok((phase.as_deref() == Some("Running")).then_some(pod))
    })?;
    is_mended(&serde_json::to_value(&pod)?)?;
    bed.wait(api.delete("e2e-mended", &DeleteParams::default()))?;
    Ok(())
}

fn watches(bed: &Bed) -> anyhow::Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(bed.kube(&bed.field.attacker.tenant)?, bed.own());
    bed.wait(async {
        let mut stream = api
            .watch(
                &WatchParams::default().fields("metadata.name=e2e-watched"),
                "0",
            )
            .await?
            .boxed();
        let made: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "e2e-watched"}}))?;
        api.create(&PostParams::default(), &made).await?;
        let change = json!({"data": {"a": "b"}});
        api.patch(
            "e2e-watched",
            &PatchParams::default(),
            &Patch::Merge(&change),
        )
        .await?;
        api.delete("e2e-watched", &DeleteParams::default()).await?;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let next = tokio::time::timeout(PATIENCE, stream.try_next())
                .await
                .context("no event")??;
            match next.context("the watch has ended")? {
                WatchEvent::Added(_) => seen.push("added"),
                WatchEvent::Modified(_) => seen.push("modified"),
                WatchEvent::Deleted(_) => seen.push("deleted"),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(error) => anyhow::bail!("{error}"),
            }
        }
        ensure!(seen == ["added", "modified", "deleted"], "{seen:?}");
        Ok(())
    })
}

fn watches_namespaces(bed: &Bed) -> anyhow::Result<()> {
    let api: Api<Namespace> = Api::all(bed.kube(&bed.field.attacker.tenant)?);
    let prefix = format!("{}-", bed.field.attacker.tenant);
    bed.wait(async {
        let mut stream = api
            .watch(&WatchParams::default().timeout(3), "0")
            .await?
            .boxed();
        let mut seen = 0;
        while let Ok(Some(event)) =
            tokio::time::timeout(Duration::from_secs(10), stream.try_next()).await?
        {
            if let WatchEvent::Added(namespace) | WatchEvent::Modified(namespace) = event {
                let name = namespace.metadata.name.unwrap_or_default();
                ensure!(name.starts_with(&prefix), "`{name}` is not the tenant's");
                seen += 1;
            }
        }
        ensure!(seen > 0, "no namespace was seen");
        Ok(())
    })
}

fn applies(bed: &Bed) -> anyhow::Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(bed.kube(&bed.field.attacker.tenant)?, bed.own());
    bed.wait(async {
        let object = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e2e-kube"}, "data": {"a": value}});
        let params = PatchParams::apply("e2e");
        api.patch("e2e-kube", &params, &Patch::Apply(object("1"))).await?;
        let applied = api.patch("e2e-kube", &params, &Patch::Apply(object("2"))).await?;
        ensure!(applied.data.as_ref().and_then(|d| d.get("a")).map(String::as_str) == Some("2"), "{applied:?}");
        let operations = serde_json::from_value(json!([{"op": "add", "path": "/data/b", "value": "3"}]))?;
        let patched = api.patch("e2e-kube", &PatchParams::default(), &Patch::Json::<()>(operations)).await?;
        ensure!(patched.data.as_ref().is_some_and(|d| d.len() == 2), "{patched:?}");
        // A conflict is one through the gateway as well.
        let other = api.patch("e2e-kube", &PatchParams::apply("other"), &Patch::Apply(object("4"))).await;
        ensure!(matches!(&other, Err(kube::Error::Api(status)) if status.code == 409), "{other:?}");
        api.delete("e2e-kube", &DeleteParams::default()).await?;
        Ok(())
    })
}

/// A ServiceAccount with a token for the gateway, as a pipeline would use it.
fn machine(bed: &Bed) -> anyhow::Result<()> {
    let own = bed.own();
    let accounts = format!("/api/v1/namespaces/{own}/serviceaccounts");
    let made = bed.admin(&Request::post(
        accounts.as_str(),
        &json!({"metadata": {"name": "deployer"}}),
    ))?;
    ensure!(
        made.is_success() || made.status == 409,
        "{}",
        made.message()
    );
    let request = json!({"spec": {"audiences": [labels::AUDIENCE], "expirationSeconds": 600}});
    let answer = bed.do_as_admin(&Request::post(
        format!("{accounts}/deployer/token"),
        &request,
    ))?;
    let authorities = std::fs::read(
        bulkhead_sandbox::pki::AuthorityName::Servers.certificate(&bed.layout.pki()),
    )?;
    let gateway = Client::anonymous(
        bed.state.gateway.trim_start_matches("https://"),
        &authorities,
    )?;
    let bearer = format!("Bearer {}", text(&answer, "/status/token"));
    let send =
        |request: Request| bed.send(&gateway, &request.header("Authorization", bearer.as_str()));
    succeeded(&send(Request::get(format!(
        "/api/v1/namespaces/{own}/pods"
    )))?)?;
    refused(
        &send(Request::get(format!(
            "/api/v1/namespaces/{}/pods",
            bed.theirs()
        )))?,
        404,
        &["not found"],
    )?;
    // A developer creates no namespaces and changes none.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{}-by-machine", bed.field.attacker.tenant)}});
    let created = send(Request::post("/api/v1/namespaces", &namespace))?;
    ensure!(
        created.status == 403,
        "a developer created a namespace: {} {}",
        created.status,
        created.message()
    );
    let deleted = send(Request::delete(format!(
        "/api/v1/namespaces/{own}?dryRun=All"
    )))?;
    refused(&deleted, 403, &["cannot delete resource \"namespaces\""])
}

fn stamped(bed: &Bed) -> anyhow::Result<()> {
    let configs = format!("/api/v1/namespaces/{}/configmaps", bed.own());
    let object = bed.do_as_tenant(&Request::post(
        configs.as_str(),
        &json!({"metadata": {"name": "e2e-stamped"}}),
    ))?;
    ensure!(
        object.pointer("/metadata/labels/bulkhead.dev~1tenant")
            == Some(&Value::from(bed.field.attacker.tenant.as_str())),
        "{object}"
    );
    let claimed = json!({"metadata": {"name": "e2e-claimed", "labels": {(labels::TENANT): bed.field.victim.tenant}}});
    refused(
        &bed.tenant(&Request::post(configs.as_str(), &claimed))?,
        403,
        &["tenant-label-change"],
    )?;
    bed.do_as_tenant(&Request::delete(format!("{configs}/e2e-stamped")))
        .map(drop)
}

/// Whose request it was stands in the API server's own audit log, beside the synthetic user.
fn audit(bed: &Bed) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{}/configmaps/e2e-audited", bed.own());
    bed.tenant(&Request::get(path.as_str()))?;
    let person = format!("{}-admin", bed.field.attacker.tenant);
    let user = format!("bulkhead:tenant:{}:admin", bed.field.attacker.tenant);
    eventually("the request is in the audit log", || {
        let log = std::fs::read_to_string(bed.layout.audit_log())?;
        let line = log.lines().find(|line| line.contains("e2e-audited"));
        let Some(event) = line.and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
            return Ok(None);
        };
        ensure!(
            text(&event, "/impersonatedUser/username") == user,
            "{event}"
        );
        ensure!(
            text(&event, "/impersonatedUser/extra/bulkhead.dev~1user/0") == person,
            "{event}"
        );
        ensure!(
            text(&event, "/user/username")
                == "system:serviceaccount:bulkhead-system:gateway-forwarder",
            "{event}"
        );
        Ok(Some(()))
    })
}
