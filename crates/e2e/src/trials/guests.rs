//! Tenants that are cordoned, changed, and deleted.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Credential, Door};
use serde_json::json;

use super::of_tenant;
use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{names, refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("tenants::a_cordoned_tenant_keeps_what_it_has", cordon),
    ("tenants::a_member_that_is_taken_out_is_out", member),
    ("tenants::deletion_takes_everything_along", deletion),
    ("tenants::drift_is_mended", drift),
];

fn configs(guest: &Guest<'_>) -> String {
    format!("/api/v1/namespaces/{}/configmaps", guest.namespace)
}

fn change(bed: &Bed, guest: &Guest<'_>, spec: serde_json::Value) -> anyhow::Result<()> {
    let patch = Request::patch(
        guest.path(),
        "application/merge-patch+json",
        &json!({"spec": spec}),
    );
    bed.do_as_admin(&patch).map(drop)
}

fn cordon(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-cordon", &json!({}))?;
    succeeded(&guest.send(&Request::post(
        configs(&guest),
        &json!({"metadata": {"name": "before"}}),
    ))?)?;
    change(bed, &guest, json!({"cordoned": true}))?;
    let after = json!({"metadata": {"name": "after"}});
    eventually("writes are refused", || {
        Ok(refused(
            &guest.send(&Request::post(
                format!("{}?dryRun=All", configs(&guest)),
                &after,
            ))?,
            403,
            &["tenant-cordoned"],
        )
        .ok())
    })?;
    refused(
        &guest.send(&Request::delete(format!("{}/before", configs(&guest))))?,
        403,
        &["tenant-cordoned"],
    )?;
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-cordon-more"}});
    refused(
        &guest.send(&Request::post("/api/v1/namespaces", &namespace))?,
        403,
        &["tenant-cordoned"],
    )?;
    succeeded(&guest.send(&Request::get(configs(&guest)))?)?;
    accounts_are_cordoned_too(bed, &guest)?;
    change(bed, &guest, json!({"cordoned": false}))?;
    eventually("writes are taken again", || {
        Ok(guest
            .send(&Request::post(configs(&guest), &after))?
            .is_success()
            .then_some(()))
    })?;
    guest.leave()
}

/// A ServiceAccount of the tenant's, straight at the API server.
fn accounts_are_cordoned_too(bed: &Bed, guest: &Guest<'_>) -> anyhow::Result<()> {
    let namespace = &guest.namespace;
    let binding = json!({
        "metadata": {"name": "e2e-account"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bulkhead-tenant-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    });
    let bindings =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    bed.do_as_admin(&Request::post(bindings, &binding))?;
    let token = bed.do_as_admin(&Request::post(
        format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token"),
        &json!({"spec": {"expirationSeconds": 600}}),
    ))?;
    let credential = Credential::Token(text(&token, "/status/token").to_owned());
    let client = bed.field.client(Door::ApiServer, &credential)?;
    succeeded(&bed.send(&client, &Request::get(configs(guest)))?)?;
    // The gateway reads the Tenant itself; the guard waits for the controller's annotation.
    let object = json!({"metadata": {"name": "x"}});
    let post = Request::post(format!("{}?dryRun=All", configs(guest)), &object);
    let words = ["ValidatingAdmissionPolicy", "tenant-cordoned"];
    eventually("its accounts' writes are refused", || {
        Ok(refused(&bed.send(&client, &post)?, 403, &words).ok())
    })?;
    let deleted = bed.send(
        &client,
        &Request::delete(format!("{}/before", configs(guest))),
    )?;
    refused(
        &deleted,
        403,
        &["ValidatingAdmissionPolicy", "tenant-cordoned"],
    )
}

fn member(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-member", &json!({}))?;
    change(
        bed,
        &guest,
        json!({"members": [{"kind": "User", "name": "somebody-else", "role": "Admin"}]}),
    )?;
    eventually("the member is out", || {
        let response = guest.send(&Request::get(configs(&guest)))?;
        Ok(refused(&response, 403, &["a member of no tenant"]).ok())
    })?;
    // A viewer reads, but no Secrets, and writes nothing.
    change(
        bed,
        &guest,
        json!({"members": [{"kind": "User", "name": "e2e-member-admin", "role": "Viewer"}]}),
    )?;
    eventually("the viewer is in", || {
        Ok(guest
            .send(&Request::get(configs(&guest)))?
            .is_success()
            .then_some(()))
    })?;
    let secrets = format!("/api/v1/namespaces/{}/secrets", guest.namespace);
    refused(
        &guest.send(&Request::get(secrets))?,
        403,
        &["cannot list resource \"secrets\""],
    )?;
    let object = json!({"metadata": {"name": "x"}});
    refused(
        &guest.send(&Request::post(configs(&guest), &object))?,
        403,
        &["cannot create resource \"configmaps\""],
    )?;
    guest.leave()
}

fn deletion(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-gone", &json!({}))?;
    guest.make_namespace("e2e-gone-two")?;
    // A finalizer of somebody's own keeps an object, and with it the namespace and the Tenant.
    let kept = json!({"metadata": {"name": "kept", "finalizers": ["e2e.example/keep"]}});
    bed.do_as_admin(&Request::post(configs(&guest), &kept))?;
    bed.do_as_admin(&Request::delete(guest.path()))?;
    eventually("nothing of it is reachable", || {
        let response = guest.send(&Request::get(configs(&guest)))?;
        Ok((response.status == 403 || response.status == 404).then_some(()))
    })?;
    eventually("what is left is reported", || {
        let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
        let message = tenant
            .pointer("/status/conditions")
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(message.contains(&guest.namespace).then_some(()))
    })?;
    eventually("the other namespace is gone meanwhile", || {
        Ok((bed
            .admin(&Request::get("/api/v1/namespaces/e2e-gone-two"))?
            .status
            == 404)
            .then_some(()))
    })?;
    let free = Request::patch(
        format!("{}/kept", configs(&guest)),
        "application/merge-patch+json",
        &json!({"metadata": {"finalizers": null}}),
    );
    bed.do_as_admin(&free)?;
    bed.gone(&guest.path())?;
    let all = format!("/api/v1/namespaces?labelSelector={}", of_tenant("e2e-gone"));
    ensure!(
        names(&bed.do_as_admin(&Request::get(all))?).is_empty(),
        "a namespace is left"
    );
    eventually("its users are in no role of the gateway's", || {
        let roles = bed.do_as_admin(&Request::get(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ))?;
        Ok((!roles.to_string().contains("bulkhead:tenant:e2e-gone:")).then_some(()))
    })
}

fn drift(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-drift", &json!({}))?;
    let bindings = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
        guest.namespace
    );
    let policies = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
        guest.namespace
    );
    for collection in [&bindings, &policies] {
        let before = names(&bed.do_as_admin(&Request::get(collection.as_str()))?);
        ensure!(!before.is_empty(), "there is nothing in {collection}");
        for name in &before {
            bed.do_as_admin(&Request::delete(format!("{collection}/{name}")))?;
        }
        eventually("what was deleted is there again", || {
            Ok(
                (names(&bed.do_as_admin(&Request::get(collection.as_str()))?) == before)
                    .then_some(()),
            )
        })?;
    }
    // What an administrator changes by mistake is put right.
    let list = bed.do_as_admin(&Request::get(policies.as_str()))?;
    let path = format!("{policies}/{}", text(&list, "/items/0/metadata/name"));
    let open = Request::patch(
        path.as_str(),
        "application/merge-patch+json",
        &json!({"spec": {"podSelector": {"matchLabels": {"no": "pod"}}}}),
    );
    bed.do_as_admin(&open)?;
    let wanted = list.pointer("/items/0/spec/podSelector").cloned();
    eventually("the policy is closed again", || {
        Ok((bed
            .do_as_admin(&Request::get(path.as_str()))?
            .pointer("/spec/podSelector")
            .cloned()
            == wanted)
            .then_some(()))
    })?;
    guest.leave()
}
