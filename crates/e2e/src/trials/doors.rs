//! Doors and disks of the platform: names, classes, kinds of Services.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("doors::a_tenant_answers_for_its_own_names", names),
    (
        "doors::services_and_classes_are_as_the_tenant_says",
        classes,
    ),
    (
        "doors::no_namespace_of_a_tenant_is_called_like_a_domain",
        domains,
    ),
    ("doors::wrong_settings_are_refused_with_their_path", wrong),
    ("doors::no_claim_is_bound_to_a_folder_of_a_node", folders),
    (
        "doors::of_two_tenants_that_race_for_a_name_one_has_it",
        race,
    ),
];

fn ingress(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": [{"host": host, "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}},
        }]}}]},
    })
}

fn names(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(
        bed,
        "e2e-names",
        &json!({"hostnames": {"allowed": ["*.e2e-names.example"], "allowedRegex": "e2e-names-[a-z]+\\.shared\\.example"}}),
    )?;
    let path = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
        guest.namespace
    );
    let create = |object: &Value| guest.send(&Request::post(path.as_str(), object));
    succeeded(&create(&ingress("web", "www.e2e-names.example"))?)?;
    succeeded(&create(&ingress("wild", "*.e2e-names.example"))?)?;
    succeeded(&create(&ingress("shared", "e2e-names-a.shared.example"))?)?;
    for host in [
        "www.globex.example",
        "e2e-names.example",
        "*.example",
        "*.e2e-names-a.shared.example",
    ] {
        let response = create(&ingress("bad", host))?;
        refused(&response, 403, &["hostname-taken", host, "mend:"])?;
        // By a patch, too.
        let patch = json!([{"op": "replace", "path": "/spec/rules/0/host", "value": host}]);
        let request = Request::patch(format!("{path}/web"), "application/json-patch+json", &patch);
        refused(&guest.send(&request)?, 403, &["hostname-taken", host])?;
    }
    guest.leave()
}

/// The control plane itself would bind the claim: it knows no better.
fn folders(bed: &Bed) -> anyhow::Result<()> {
    let volume = |name: &str, source: &str, value: &Value| {
        json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"], "capacity": {"storage": "3Gi"}, source: value,
                "persistentVolumeReclaimPolicy": "Retain",
            },
        })
    };
    let volumes = "/api/v1/persistentvolumes";
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", bed.own());
    let claim = json!({
        "metadata": {"name": "e2e-folder"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "3Gi"}}},
    });
    let read = |path: String| bed.do_as_admin(&Request::get(path));
    let folder = volume(
        "e2e-folder",
        "hostPath",
        &json!({"path": "/var/lib/kubelet"}),
    );
    bed.do_as_admin(&Request::post(volumes, &folder))?;
    bed.do_as_tenant(&Request::post(claims.as_str(), &claim))?;
    eventually("the volume is meant for the claim", || {
        let volume = read(format!("{volumes}/e2e-folder"))?;
        Ok((text(&volume, "/spec/claimRef/name") == "e2e-folder").then_some(()))
    })?;
    eventually("the binder is refused", || {
        let metrics = read(format!("{claims}/e2e-folder"))?;
        ensure!(text(&metrics, "/spec/volumeName").is_empty(), "{metrics}");
        let logs = std::fs::read_to_string(bed.layout.root().join("logs/webhook.log"))?;
        let refused = |line: &str| {
            line.contains("host-path-claim") && line.contains("persistent-volume-binder")
        };
        Ok(logs.lines().any(refused).then_some(()))
    })?;
    // A pod may wait for it; once it is there on a disk, it is bound.
    bed.do_as_tenant(&Request::delete(format!("{claims}/e2e-folder")))?;
    bed.do_as_admin(&Request::delete(format!("{volumes}/e2e-folder")))?;
    // The claim goes once a controller has seen that no pod uses it.
    bed.gone(&format!("{claims}/e2e-folder"))?;
    let disk = json!({"driver": "e2e.example", "volumeHandle": "1"});
    bed.do_as_admin(&Request::post(volumes, &volume("e2e-disk", "csi", &disk)))?;
    bed.do_as_tenant(&Request::post(claims.as_str(), &claim))?;
    eventually("the claim is bound to a disk", || {
        let claim = read(format!("{claims}/e2e-folder"))?;
        Ok((text(&claim, "/spec/volumeName") == "e2e-disk").then_some(()))
    })?;
    bed.do_as_tenant(&Request::delete(format!("{claims}/e2e-folder")))?;
    bed.do_as_admin(&Request::delete(format!("{volumes}/e2e-disk")))
        .map(drop)
}

/// Two tenants that may both have the same names, at the same time, again and again.
fn race(bed: &Bed) -> anyhow::Result<()> {
    let shared = json!({"hostnames": {"allowed": ["*.race.example"]}});
    let guests = [
        Guest::arrive(bed, "e2e-racea", &shared)?,
        Guest::arrive(bed, "e2e-raceb", &shared)?,
    ];
    for round in 0..20 {
        // A name, or a wildcard and a name below it.
        let single = format!("r{round}.race.example");
        let hosts = if round % 2 == 0 {
            [single.clone(), single]
        } else {
            [
                format!("*.r{round}.race.example"),
                format!("x.r{round}.race.example"),
            ]
        };
        let answers = std::thread::scope(|scope| {
            let tries: Vec<_> = guests
                .iter()
                .zip(&hosts)
                .map(|(guest, host)| {
                    scope.spawn(move || {
                        let path = format!(
                            "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
                            guest.namespace
                        );
                        guest.send(&Request::post(path, &ingress(&format!("r{round}"), host)))
                    })
                })
                .collect();
            tries.into_iter().map(|it| it.join()).collect::<Vec<_>>()
        });
        let mut won = 0;
        for answer in answers {
            let Ok(answer) = answer else {
                anyhow::bail!("a thread has failed");
            };
            let answer = answer?;
            if answer.is_success() {
                won += 1;
            } else {
                refused(&answer, 403, &["hostname-taken", "another tenant"])?;
            }
        }
        ensure!(won == 1, "round {round}: {won} have it");
    }
    let [one, two] = guests;
    one.leave()?;
    two.leave()
}

fn classes(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(
        bed,
        "e2e-doors",
        &json!({
            "services": {"nodePort": true, "externalName": true},
            "hostnames": {"allowed": ["www.e2e-doors.example"]},
            "ingressClasses": {"allowed": ["inner"]},
            "storageClasses": {"allowedRegex": "e2e-.*"},
        }),
    )?;
    let services = format!("/api/v1/namespaces/{}/services", guest.namespace);
    let service = |name: &str, spec: Value| {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        guest.send(&Request::post(services.as_str(), &object))
    };
    succeeded(&service(
        "node",
        json!({"type": "NodePort", "ports": [{"port": 80}]}),
    )?)?;
    succeeded(&service(
        "name",
        json!({"type": "ExternalName", "externalName": "api.example.com"}),
    )?)?;
    let balancer = json!({"type": "LoadBalancer", "ports": [{"port": 80}]});
    refused(
        &service("balancer", balancer)?,
        403,
        &["service-external-ip", "spec.type"],
    )?;
    let inside =
        json!({"type": "ExternalName", "externalName": "web.globex-app.svc.cluster.local"});
    refused(
        &service("inside", inside)?,
        403,
        &["service-external-ip", "spec.externalName"],
    )?;

    let ingresses = format!(
        "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
        guest.namespace
    );
    let door = |name: &str, class: Option<&str>| {
        let mut object = ingress(name, "www.e2e-doors.example");
        if let (Some(class), Some(spec)) = (
            class,
            object.pointer_mut("/spec").and_then(Value::as_object_mut),
        ) {
            spec.insert("ingressClassName".into(), class.into());
        }
        guest.send(&Request::post(ingresses.as_str(), &object))
    };
    succeeded(&door("inner", Some("inner"))?)?;
    refused(
        &door("outer", Some("outer"))?,
        403,
        &["ingress-class-unlisted", "`inner`"],
    )?;
    // The gateway does not know whether the API server has a default, the webhook does.
    refused(
        &door("none", None)?,
        403,
        &["admission webhook", "ingress-class-unlisted", "is not set"],
    )?;

    let claims = format!(
        "/api/v1/namespaces/{}/persistentvolumeclaims",
        guest.namespace
    );
    let claim = |name: &str, class: &str| {
        let object = json!({"metadata": {"name": name}, "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        guest.send(&Request::post(claims.as_str(), &object))
    };
    succeeded(&claim("good", "e2e-fast")?)?;
    for class in ["local", ""] {
        refused(
            &claim("bad", class)?,
            403,
            &["storage-class-unlisted", "spec.storageClassName"],
        )?;
    }
    guest.leave()
}

fn domains(bed: &Bed) -> anyhow::Result<()> {
    for name in ["com", "svc", "io", "xn--p1ai", "cluster"] {
        let object = json!({"metadata": {"name": name, "labels": {"bulkhead.dev/tenant": "acme", "bulkhead.dev/tenant-uid": "x"}}});
        let response = bed.admin(&Request::post("/api/v1/namespaces?dryRun=All", &object))?;
        refused(&response, 403, &["namespace-shadows-domain"])?;
        // Without a tenant it is the administrators' own affair.
        let object = json!({"metadata": {"name": name}});
        succeeded(&bed.admin(&Request::post("/api/v1/namespaces?dryRun=All", &object))?)?;
    }
    Ok(())
}

fn wrong(bed: &Bed) -> anyhow::Result<()> {
    for (spec, field) in [
        (
            json!({"services": {"nodePort": "yes"}}),
            "spec.services.nodePort",
        ),
        (
            json!({"hostnames": {"allowed": ["com"]}}),
            "spec.hostnames.allowed[0]",
        ),
        (
            json!({"hostnames": {"allowed": ["a.*.example"]}}),
            "spec.hostnames.allowed[0]",
        ),
        (
            json!({"hostnames": {"allowedRegex": "(a{999}){999}"}}),
            "spec.hostnames.allowedRegex",
        ),
        (
            json!({"hostnames": {"allowedRegex": "(?=a)"}}),
            "spec.hostnames.allowedRegex",
        ),
        (
            json!({"storageClasses": {"allowed": ["A b"]}}),
            "spec.storageClasses.allowed[0]",
        ),
        (
            json!({"ingressClasses": {"allowedRegex": ""}}),
            "spec.ingressClasses.allowedRegex",
        ),
    ] {
        let tenant = json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "e2e-doorbad"}, "spec": spec});
        let path = "/apis/bulkhead.dev/v1alpha1/tenants?dryRun=All";
        let response = bed.admin(&Request::post(path, &tenant))?;
        ensure!(
            matches!(response.status, 400 | 403 | 422) && response.message().contains(field),
            "{spec}: {} {}",
            response.status,
            response.message()
        );
    }
    Ok(())
}
