//! The life of a tenant by `bulkhead tenant`, as an administrator leads it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Account, Kubeconfig, good_pod};
use bulkhead_model::{ClaimKind, entry_name};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::{Guest, uid};

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("life::from_create_to_the_report_of_delete", commands),
    ("life::a_cordon_that_is_said_to_hold_holds", cordon),
    ("life::every_field_changes_while_pods_run", fields),
    ("life::a_tenant_is_not_renamed", rename),
    (
        "life::after_a_restore_with_another_uid_nothing_is_lost",
        restore,
    ),
];

const MERGE: &str = "application/merge-patch+json";

/// Runs `bulkhead tenant` as the administrator.
pub(super) fn bulkhead(bed: &Bed, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(&bed.binary)
        .args(["tenant", "--kubeconfig"])
        .arg(bed.layout.admin_kubeconfig())
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "`bulkhead tenant {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn commands(bed: &Bed) -> anyhow::Result<()> {
    let name = "e2e-life";
    let said = bulkhead(bed, &["create", name, "--admin", "lea", "--viewer", "vic"])?;
    ensure!(said.contains("is ready"), "{said}");
    ensure!(bulkhead(bed, &["list"])?.contains(name), "it is not listed");
    let again = bulkhead(bed, &["create", name, "--admin", "lea"]);
    ensure!(
        again.is_err_and(|error| error.to_string().contains("already exists")),
        "a second tenant of the name was made"
    );
    let root = bed.layout.root().display().to_string();
    let file = bed.scratch().join("lea.kubeconfig");
    let path = file.display().to_string();
    let stranger = bulkhead(
        bed,
        &["kubeconfig", name, "--user", "mallory", "--sandbox", &root],
    );
    ensure!(
        stranger.is_err_and(|error| error.to_string().contains("is no member")),
        "a stranger got a certificate"
    );
    bulkhead(
        bed,
        &[
            "kubeconfig",
            name,
            "--user",
            "lea",
            "--sandbox",
            &root,
            "-o",
            &path,
        ],
    )?;
    let lea = Kubeconfig::read(&file)?.client()?;
    let namespace = json!({"metadata": {"name": format!("{name}-app")}});
    eventually("the member makes a namespace", || {
        let response = bed.send(&lea, &Request::post("/api/v1/namespaces", &namespace))?;
        Ok((response.status == 201 || response.status == 409).then_some(()))
    })?;
    eventually("the description says that it is open", || {
        let text = bulkhead(bed, &["describe", name])?;
        let open = text
            .lines()
            .any(|line| line.trim_start().starts_with("e2e-life-app ") && line.contains(" open"));
        Ok((open && text.contains("nothing\n")).then_some(()))
    })?;
    let asked = bulkhead(bed, &["delete", name]);
    ensure!(
        asked.is_err_and(|error| error.to_string().contains("--yes")),
        "it was deleted without a yes"
    );
    let report = bulkhead(bed, &["delete", name, "--yes"])?;
    for line in [
        "namespaces left           none (it had 1)",
        "rights left               none",
        "credentials that work     none",
    ] {
        ensure!(report.contains(line), "expected `{line}` in:\n{report}");
    }
    let after = bed.send(
        &lea,
        &Request::get(format!("/api/v1/namespaces/{name}-app/pods")),
    )?;
    ensure!(!after.is_success(), "the certificate still opens something");
    Ok(())
}

/// Once the command returns, no ServiceAccount of the tenant writes any more.
fn cordon(bed: &Bed) -> anyhow::Result<()> {
    let tenant = bed.field.attacker.tenant.clone();
    let configs = format!("/api/v1/namespaces/{}/configmaps", bed.own());
    let config = |name: &str| json!({"metadata": {"name": name}});
    for round in 0..3 {
        bulkhead(bed, &["cordon", &tenant])?;
        let write = Request::post(configs.as_str(), &config("e2e-cordoned"));
        let held = bed
            .account(Account::Star, &write)
            .and_then(|response| refused(&response, 403, &["tenant-cordoned"]));
        bulkhead(bed, &["uncordon", &tenant])?;
        held.with_context(|| format!("in round {round}"))?;
        let name = format!("e2e-uncordoned-{round}");
        let write = Request::post(configs.as_str(), &config(&name));
        succeeded(&bed.account(Account::Star, &write)?)?;
        bed.do_as_admin(&Request::delete(format!("{configs}/{name}")))?;
    }
    Ok(())
}

/// Waits until the controller has seen a tenant's spec as it is and all is in place.
pub(super) fn settled(bed: &Bed, path: &str) -> anyhow::Result<Value> {
    eventually("the tenant is ready as its spec is now", || {
        let tenant = bed.do_as_admin(&Request::get(path))?;
        let ready = text(&tenant, "/status/conditions/0/status") == "True";
        let observed = tenant.pointer("/status/observedGeneration");
        Ok((ready && observed == tenant.pointer("/metadata/generation")).then_some(tenant))
    })
}

fn fields(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-fields", &json!({}))?;
    let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    let pod = json!({"metadata": {"name": "runs"}, "spec": good_pod()});
    succeeded(&guest.send(&Request::post(pods.as_str(), &pod))?)?;
    let path = format!("{pods}/runs");
    let running = || -> anyhow::Result<String> {
        eventually("the pod runs", || {
            let pod = bed.do_as_admin(&Request::get(path.as_str()))?;
            let runs = text(&pod, "/status/phase") == "Running";
            Ok(runs.then(|| text(&pod, "/metadata/uid").to_owned()))
        })
    };
    let before = running()?;
    for spec in [
        json!({"members": [{"kind": "User", "name": "e2e-fields-admin", "role": "Admin"},
                           {"kind": "Group", "name": "others", "role": "Viewer"}]}),
        json!({"roles": [{"name": "more", "clusterRole": "bulkhead-tenant-viewer"}]}),
        json!({"podSecurity": {"allowedCapabilities": ["NET_BIND_SERVICE"]}}),
        json!({"network": {"isolation": "Open"}}),
        json!({"network": {"isolation": "DefaultDeny"}}),
        json!({"resources": {"limitRange": {"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]}}}),
        json!({"cordoned": true}),
        json!({"cordoned": false}),
        json!({"roles": null}),
    ] {
        let patch = Request::patch(guest.path(), MERGE, &json!({"spec": spec}));
        bed.do_as_admin(&patch).with_context(|| spec.to_string())?;
        settled(bed, &guest.path()).with_context(|| spec.to_string())?;
        ensure!(running()? == before, "the pod was replaced at {spec}");
    }
    guest.leave()
}

fn rename(bed: &Bed) -> anyhow::Result<()> {
    let path = format!(
        "/apis/bulkhead.dev/v1alpha1/tenants/{}",
        bed.field.attacker.tenant
    );
    let patch = json!({"metadata": {"name": "e2e-renamed"}});
    let response = bed.admin(&Request::patch(path.as_str(), MERGE, &patch))?;
    ensure!(
        [400, 422].contains(&response.status),
        "{} {}",
        response.status,
        response.message()
    );
    bed.do_as_admin(&Request::get(path)).map(drop)
}

/// The Tenant goes without its controller and its finalizer, and comes back with another UID. Its
/// namespaces are nobody's meanwhile: closed and fenced in, but there.
fn restore(bed: &Bed) -> anyhow::Result<()> {
    let quota = json!({"resources": {"quota": {"hard": {"pods": "4"}}}});
    let guest = Guest::arrive(bed, "e2e-restored", &quota)?;
    let ns = format!("/api/v1/namespaces/{}", guest.namespace);
    let config = json!({"metadata": {"name": "kept"}, "data": {"k": "v"}});
    succeeded(&guest.send(&Request::post(format!("{ns}/configmaps"), &config))?)?;
    let old = uid(bed, &guest.name)?;
    let account = format!(
        "/apis/bulkhead.dev/v1alpha1/ledgerentries/{}",
        entry_name(ClaimKind::Quota, &old)
    );
    bed.do_as_admin(&Request::get(account.as_str()))
        .context("no account")?;
    let tenant = bed.do_as_admin(&Request::get(guest.path()))?;
    bed.kill("controller")?;
    let taken_away = bed
        .do_as_admin(&Request::delete(guest.path()))
        .and_then(|_| {
            let none = json!({"metadata": {"finalizers": null}});
            bed.do_as_admin(&Request::patch(guest.path(), MERGE, &none))
        });
    bed.start("controller")?;
    taken_away?;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces";
    let gone = |path: String| bed.gone(&path);
    gone(format!(
        "{rbac}/bulkhead-system/roles/bulkhead-claims-{}",
        guest.name
    ))?;
    gone(format!(
        "{rbac}/{}/rolebindings/bulkhead-admin",
        guest.namespace
    ))?;
    bed.do_as_admin(&Request::get(format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/bulkhead-isolation",
        guest.namespace
    )))
    .context("the fence around its pods went too")?;
    let back = json!({
        "apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant",
        "metadata": {"name": guest.name}, "spec": tenant.get("spec"),
    });
    bed.do_as_admin(&Request::post("/apis/bulkhead.dev/v1alpha1/tenants", &back))?;
    ensure!(uid(bed, &guest.name)? != old, "the UID is the old one");
    eventually("the description names the command", || {
        let text = bulkhead(bed, &["describe", &guest.name])?;
        Ok(
            (text.contains("not adopted") && text.contains("bulkhead tenant adopt e2e-restored"))
                .then_some(()),
        )
    })?;
    let reading = Request::get(format!("{ns}/configmaps/kept"));
    ensure!(
        !guest.send(&reading)?.is_success(),
        "it is open to the new one unasked"
    );
    bulkhead(bed, &["adopt", &guest.name])?;
    eventually("everything is there again", || {
        let kept = succeeded(&guest.send(&reading)?)?;
        Ok((text(&kept, "/data/k") == "v").then_some(()))
    })?;
    let pod = json!({"metadata": {"name": "new"}, "spec": good_pod()});
    eventually("it takes pods again", || {
        let response = guest.send(&Request::post(format!("{ns}/pods?dryRun=All"), &pod))?;
        Ok(response.is_success().then_some(()))
    })?;
    // No namespace is the old one's any more.
    gone(account)?;
    guest.leave()
}
