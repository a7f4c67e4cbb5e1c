//! Bulkhead's processes and configurations go away: tenants' namespaces take nothing new, the rest of
//! the cluster goes on, and nothing opens.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use bulkhead_attack::{Account, Credential, Door, Layer, Verdict, good_pod, run_one, techniques};
use bulkhead_controls::{Control, Mend, REGISTRY, Rule};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{names, refused, succeeded, text};
use crate::guest::{Guest, uid};
use crate::trials::denials;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "outages::without_webhook_no_pod_gets_in_and_the_cluster_goes_on",
        webhook,
    ),
    (
        "outages::without_webhook_configuration_the_guards_hold",
        configuration,
    ),
    (
        "outages::without_the_mutating_webhook_the_validating_one_refuses",
        judge,
    ),
    ("outages::without_controller_nothing_opens", controller),
    ("outages::without_gateway_nothing_opens", gateway),
    ("outages::without_any_process_the_guards_hold", nothing_runs),
];

/// Does something while processes are stopped; starts them again whatever came of it.
fn without(
    bed: &Bed,
    processes: &[&str],
    act: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for process in processes {
        bed.kill(process)?;
    }
    let result = act();
    for process in processes.iter().rev() {
        bed.start(process)?;
    }
    result
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": good_pod()})
}

/// Makes every attack that a guard alone must stop.
pub(super) fn guards_hold(bed: &Bed) -> anyhow::Result<()> {
    let by_guards = techniques().into_iter().filter(|technique| {
        let straight = technique
            .plan(&bed.field)
            .shots
            .iter()
            .all(|shot| shot.door == Door::ApiServer);
        straight
            && technique
                .stopped_by
                .iter()
                .all(|expected| expected.layer == Layer::Guard)
    });
    let mut tried = 0;
    for technique in by_guards {
        if let Verdict::Failed { why } = bed.wait(run_one(&bed.field, &technique)).verdict {
            anyhow::bail!("{}: {why}", technique.name);
        }
        tried += 1;
    }
    ensure!(tried >= 40, "only {tried} attacks are a guard's alone");
    Ok(())
}

fn webhook(bed: &Bed) -> anyhow::Result<()> {
    let doomed = format!("{}-doomed", bed.field.attacker.tenant);
    bed.do_as_tenant(&Request::post(
        "/api/v1/namespaces",
        &json!({"metadata": {"name": doomed}}),
    ))?;
    let job = json!({
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/app:1"}]}}},
    });
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    bed.do_as_tenant(&Request::post(
        format!("/apis/batch/v1/namespaces/{doomed}/jobs"),
        &job,
    ))?;
    bed.do_as_tenant(&Request::post(
        format!("/api/v1/namespaces/{doomed}/persistentvolumeclaims"),
        &claim,
    ))?;
    let pods = format!("/api/v1/namespaces/{doomed}/pods");
    eventually("the job has a pod", || {
        Ok((!names(&bed.do_as_tenant(&Request::get(pods.as_str()))?).is_empty()).then_some(()))
    })?;
    let own = format!("/api/v1/namespaces/{}", bed.own());
    without(bed, &["webhook"], || {
        let down = |response: &bulkhead_attack::wire::Response| {
            refused(response, 500, &["failed calling webhook"])
        };
        let service = json!({"metadata": {"name": "e2e-no"}, "spec": {"ports": [{"port": 80}]}});
        for (kind, object) in [("pods", &pod("e2e-no")), ("services", &service)] {
            let through = bed.tenant(&Request::post(format!("{own}/{kind}"), object))?;
            refused(&through, 503, &["cannot be judged at the moment"])?;
            ensure!(
                !through.message().contains("127.0.0.1"),
                "a tenant is told where the webhook is: {}",
                through.message()
            );
        }
        down(&bed.account(
            Account::Star,
            &Request::post(format!("{own}/pods"), &pod("e2e-no")),
        )?)?;
        down(&bed.admin(&Request::post(format!("{own}/pods"), &pod("e2e-no")))?)?;
        // What nobody judges goes on.
        let config = json!({"metadata": {"name": "e2e-meanwhile"}});
        bed.do_as_tenant(&Request::post(format!("{own}/configmaps"), &config))?;
        bed.do_as_tenant(&Request::delete(format!("{own}/configmaps/e2e-meanwhile")))?;
        for namespace in ["kube-system", "default"] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            eventually("the platform's namespaces take pods", || {
                Ok(bed
                    .admin(&Request::post(path.as_str(), &pod("e2e-platform")))?
                    .is_success()
                    .then_some(()))
            })?;
            bed.do_as_admin(&Request::delete(format!(
                "{path}/e2e-platform?gracePeriodSeconds=0"
            )))?;
        }
        bed.do_as_tenant(&Request::delete(format!("/api/v1/namespaces/{doomed}")))?;
        eventually("a namespace can be deleted", || {
            Ok((bed
                .admin(&Request::get(format!("/api/v1/namespaces/{doomed}")))?
                .status
                == 404)
                .then_some(()))
        })
    })?;
    eventually("pods are taken again", || {
        Ok(bed
            .tenant(&Request::post(
                format!("{own}/pods?dryRun=All"),
                &pod("e2e-yes"),
            ))?
            .is_success()
            .then_some(()))
    })
}

const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

const CONFIGURATIONS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/bulkhead-mend",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bulkhead-judge",
];

fn configuration(bed: &Bed) -> anyhow::Result<()> {
    let evil = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "e2e-evil"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true, "containers": [{"name": "main", "image": "x"}]}},
        },
    });
    let probe = Request::post(
        format!(
            "/apis/apps/v1/namespaces/{}/deployments?dryRun=All",
            bed.own()
        ),
        &evil,
    );
    let saved: Vec<Value> = CONFIGURATIONS
        .iter()
        .map(|path| bed.do_as_admin(&Request::get(*path)))
        .collect::<anyhow::Result<_>>()?;
    let result = without(bed, &["controller"], || {
        for path in CONFIGURATIONS {
            bed.do_as_admin(&Request::delete(path))?;
        }
        eventually("the webhook is asked no more", || {
            let says = [
                "ValidatingAdmissionPolicy 'bulkhead-control-templates'",
                "host-network",
            ];
            Ok(refused(&bed.admin(&probe)?, 403, &says).ok())
        })?;
        guards_hold(bed)?;
        policies_hold(bed)?;
        closed_namespace(bed)
    });
    for (path, object) in CONFIGURATIONS.iter().zip(saved) {
        put_back(bed, path, object)?;
    }
    eventually("the webhook is asked again", || {
        Ok(refused(
            &bed.admin(&probe)?,
            403,
            &["admission webhook", "host-network"],
        )
        .ok())
    })?;
    result
}

/// Makes every attack that the webhook stops by a control that is also a generated policy, straight
/// at the API server: the policy refuses it. Pod Security Admission, which would speak first, is
/// switched off meanwhile.
fn policies_hold(bed: &Bed) -> anyhow::Result<()> {
    let own = format!("/api/v1/namespaces/{}", bed.own());
    let enforce = |level: &str| {
        let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
        bed.do_as_admin(&Request::patch(
            own.as_str(),
            "application/merge-patch+json",
            &patch,
        ))
    };
    let before = text(
        &bed.do_as_admin(&Request::get(own.as_str()))?,
        "/metadata/labels/pod-security.kubernetes.io~1enforce",
    )
    .to_owned();
    enforce("privileged")?;
    let mut tried = 0;
    let mut through = Vec::new();
    for technique in techniques() {
        let stopped = |control: &Control| {
            technique
                .stopped_by
                .iter()
                .any(|expected| expected.layer == Layer::Webhook && expected.text == control.name)
        };
        let Some(control) = REGISTRY.iter().find(|it| it.cel.is_some() && stopped(it)) else {
            continue;
        };
        let attack = technique.plan(&bed.field);
        // What only a pod that is mended has in it, no policy looks for in a template.
        // Claims inside of pods and sets become objects of their own, which a policy judges.
        let judged = |target: &str| match control.rule {
            Rule::Claim(_) => target.contains("/persistentvolumeclaims"),
            _ => matches!(control.mend, Mend::ByHand) || target.contains("/pods"),
        };
        if !attack
            .shots
            .iter()
            .all(|shot| shot.door == Door::ApiServer && judged(shot.request.target()))
        {
            continue;
        }
        for shot in attack.shots {
            let response = bed.with(shot.door, &shot.credential, &shot.request)?;
            let says = ["ValidatingAdmissionPolicy 'bulkhead-control-"];
            // What no API server takes needs no policy.
            if response.status == 422 {
                continue;
            }
            if let Err(error) = refused(&response, 403, &says) {
                through.push(format!("{}: {error:#}", technique.name));
            }
        }
        tried += 1;
    }
    enforce(&before)?;
    ensure!(
        through.is_empty(),
        "past the policies:\n{}",
        through.join("\n")
    );
    ensure!(tried >= 100, "only {tried} attacks are a policy's to stop");
    Ok(())
}

fn put_back(bed: &Bed, path: &str, mut object: Value) -> anyhow::Result<()> {
    if let Some(metadata) = object
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.retain(|key, _| matches!(key.as_str(), "name" | "labels" | "annotations"));
    }
    let (collection, _) = path.rsplit_once('/').context("no collection")?;
    let response = bed.admin(&Request::post(collection, &object))?;
    ensure!(
        response.is_success() || response.status == 409,
        "{}",
        response.message()
    );
    Ok(())
}

/// The mutating phase refuses bad pods early. Without it the validating one does, to which Pod
/// Security Admission is no rival where it is off.
fn judge(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-judged", &denials::without_pod_security())?;
    denials::host(bed, &guest)?;
    let [path, _] = CONFIGURATIONS;
    let saved = bed.do_as_admin(&Request::get(path))?;
    bed.do_as_admin(&Request::delete(path))?;
    // The policies stand before the validating phase too.
    let policies: Vec<Value> = ["pods", "templates", "services", "claims", "objects"]
        .iter()
        .map(|about| {
            let path = format!("{BINDINGS}/bulkhead-control-{about}");
            let binding = bed.do_as_admin(&Request::get(path.as_str()))?;
            bed.do_as_admin(&Request::delete(path))?;
            Ok(binding)
        })
        .collect::<anyhow::Result<_>>()?;
    let pods = format!("/api/v1/namespaces/{}/pods", guest.namespace);
    let unmended = json!({"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "main", "image": "x"}]}});
    let probe = Request::post(format!("{pods}?dryRun=All"), &unmended);
    let result = eventually("nothing is mended any more", || {
        Ok(refused(&bed.admin(&probe)?, 403, &["judge.bulkhead.dev"]).ok())
    })
    .and_then(|()| denials::refuses(bed, &guest, "judge"));
    put_back(bed, path, saved)?;
    for binding in policies {
        let path = format!("{BINDINGS}/{}", text(&binding, "/metadata/name"));
        put_back(bed, &path, binding)?;
    }
    eventually("pods are mended again", || {
        Ok(bed.admin(&probe)?.is_success().then_some(()))
    })?;
    result?;
    guest.leave()
}

/// A namespace of the tenant's that nobody has isolated takes no pod, not even an administrator's.
fn closed_namespace(bed: &Bed) -> anyhow::Result<()> {
    let tenant = &bed.field.attacker.tenant;
    let name = format!("{tenant}-closed");
    let path = format!("/api/v1/namespaces/{name}");
    let labels =
        json!({"bulkhead.dev/tenant": tenant, "bulkhead.dev/tenant-uid": uid(bed, tenant)?});
    bed.do_as_admin(&Request::post(
        "/api/v1/namespaces",
        &json!({"metadata": {"name": name, "labels": labels}}),
    ))?;
    eventually("its ServiceAccount is there", || {
        Ok(bed
            .admin(&Request::get(format!("{path}/serviceaccounts/default")))?
            .is_success()
            .then_some(()))
    })?;
    let response = bed.admin(&Request::post(format!("{path}/pods"), &pod("e2e-no")))?;
    let result = refused(
        &response,
        403,
        &[
            "ValidatingAdmissionPolicy 'bulkhead-isolated'",
            "namespace-not-isolated",
        ],
    );
    bed.do_as_admin(&Request::delete(path))?;
    result
}

fn controller(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-alone", &json!({}))?;
    let configs = format!("/api/v1/namespaces/{}/configmaps", guest.namespace);
    let bindings = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
        guest.namespace
    );
    let late = "e2e-alone-late";
    let late_pods = format!("/api/v1/namespaces/{late}/pods?dryRun=All");
    let before = names(&bed.do_as_admin(&Request::get(bindings.as_str()))?);
    without(bed, &["controller"], || {
        for name in &before {
            bed.do_as_admin(&Request::delete(format!("{bindings}/{name}")))?;
        }
        eventually("without its bindings the tenant may nothing", || {
            Ok(refused(
                &guest.send(&Request::get(configs.as_str()))?,
                403,
                &["cannot list resource"],
            )
            .ok())
        })?;
        guest.make_namespace(late)?;
        let response = bed.admin(&Request::post(late_pods.as_str(), &pod("e2e-no")))?;
        // The webhook does not know its rules, or the guard finds it closed: whoever speaks first.
        ensure!(
            response.status == 403,
            "a pod got into a new namespace: {} {}",
            response.status,
            response.message()
        );
        guards_hold(bed)
    })?;
    eventually("the bindings are there again", || {
        Ok((names(&bed.do_as_admin(&Request::get(bindings.as_str()))?) == before).then_some(()))
    })?;
    eventually("the tenant works again", || {
        Ok(guest
            .send(&Request::get(configs.as_str()))?
            .is_success()
            .then_some(()))
    })?;
    eventually("the new namespace opens", || {
        Ok(guest
            .send(&Request::post(late_pods.as_str(), &pod("e2e-yes")))?
            .is_success()
            .then_some(()))
    })?;
    guest.leave()
}

fn gateway(bed: &Bed) -> anyhow::Result<()> {
    let own = format!("/api/v1/namespaces/{}/pods", bed.own());
    without(bed, &["gateway"], || {
        ensure!(
            bed.tenant(&Request::get(own.as_str())).is_err(),
            "the gateway still answers"
        );
        let client = bed.field.client(Door::ApiServer, &Credential::Tenant)?;
        refused(
            &bed.send(&client, &Request::get(own.as_str()))?,
            401,
            &["Unauthorized"],
        )?;
        let running = bed.do_as_admin(&Request::get(format!(
            "{own}?fieldSelector=status.phase%3DRunning"
        )))?;
        ensure!(
            !names(&running).is_empty(),
            "the tenant's pods do not run any more"
        );
        for technique in techniques()
            .into_iter()
            .filter(|t| t.name.starts_with("cross-") && t.name.ends_with("-star"))
        {
            if let Verdict::Failed { why } = bed.wait(run_one(&bed.field, &technique)).verdict {
                anyhow::bail!("{}: {why}", technique.name);
            }
        }
        Ok(())
    })?;
    succeeded(&bed.tenant(&Request::get(own))?).map(drop)
}

fn nothing_runs(bed: &Bed) -> anyhow::Result<()> {
    without(bed, &["gateway", "webhook", "controller"], || {
        guards_hold(bed)
    })
}
