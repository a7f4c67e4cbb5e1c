//! What grows after it was made, or becomes something else, is charged as well: pods, claims, Services, over
//! two namespaces.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("quota::a_pod_that_is_resized_is_charged", pods),
    ("quota::a_claim_that_grows_is_charged", claims),
    ("quota::a_service_of_another_type_is_charged", services),
];

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A tenant with these limits and two namespaces.
fn limited<'a>(
    bed: &'a Bed,
    name: &str,
    hard: &Value,
    more: &Value,
) -> anyhow::Result<(Guest<'a>, [String; 2])> {
    let mut spec = json!({"resources": {"quota": {"hard": hard}}});
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more.clone());
    }
    let guest = Guest::arrive(bed, name, &spec)?;
    let second = format!("{name}-two");
    guest.make_namespace(&second)?;
    eventually("the second namespace opens", || {
        let path = format!("/api/v1/namespaces/{second}/pods?dryRun=All");
        let pod = json!({"metadata": {"name": "probe"}, "spec": bulkhead_attack::good_pod()});
        Ok(bed
            .admin(&Request::post(path, &pod))?
            .is_success()
            .then_some(()))
    })?;
    let namespaces = [guest.namespace.clone(), second];
    Ok((guest, namespaces))
}

fn exceeds(bed: &Bed, request: &Request, texts: &[&str]) -> anyhow::Result<()> {
    let answer = bed.admin(request)?;
    refused(&answer, 403, &["exceeded quota of the tenant"])?;
    refused(&answer, 403, texts)
}

/// What was given back is there for others a moment later.
fn soon(bed: &Bed, what: &str, request: &Request) -> anyhow::Result<()> {
    eventually(what, || succeeded(&bed.admin(request)?).map(|_| Some(())))
}

/// Waits for a node that does not come: simulated nodes resize nothing.
fn pod(name: &str, cpu: &str) -> Value {
    let mut spec = bulkhead_attack::good_pod();
    if let Some(resources) = spec.pointer_mut("/containers/0/resources") {
        *resources = json!({"requests": {"cpu": cpu, "memory": "1Mi"}, "limits": {"cpu": "2", "memory": "1Mi"}});
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("nodeSelector".to_owned(), json!({"e2e/of": "nowhere"}));
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

fn pods(bed: &Bed) -> anyhow::Result<()> {
    let hard = json!({"requests.cpu": "1"});
    let (guest, [one, two]) = limited(bed, "quotaresize", &hard, &json!({}))?;
    let make = |namespace: &str, cpu: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        bed.do_as_admin(&Request::post(path, &pod("sized", cpu)))
    };
    make(&one, "600m")?;
    make(&two, "300m")?;
    let resize = |namespace: &str, cpu: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/pods/sized/resize");
        let size = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]}});
        Request::patch(path, STRATEGIC, &size)
    };
    bed.do_as_admin(&resize(&one, "700m"))?;
    exceeds(
        bed,
        &resize(&two, "301m"),
        &["requests.cpu: 1m asked for, 1 of 1 in use"],
    )?;
    bed.do_as_admin(&resize(&one, "500m"))?;
    soon(
        bed,
        "what one pod gave up is another's",
        &resize(&two, "500m"),
    )?;
    exceeds(bed, &resize(&one, "501m"), &["requests.cpu"])?;
    guest.leave()
}

fn claims(bed: &Bed) -> anyhow::Result<()> {
    const CLASS: &str = "e2e-grows";
    let of_class = format!("{CLASS}.storageclass.storage.k8s.io/requests.storage");
    let hard = json!({"requests.storage": "10Gi", of_class.as_str(): "9Gi"});
    let classes = json!({"storageClasses": {"allowed": [CLASS]}});
    let class = json!({
        "metadata": {"name": CLASS}, "provisioner": "e2e.example/none", "allowVolumeExpansion": true});
    let of_classes = "/apis/storage.k8s.io/v1/storageclasses";
    bed.do_as_admin(&Request::post(of_classes, &class))?;
    let (guest, [one, two]) = limited(bed, "quotaclaims", &hard, &classes)?;
    let path = |namespace: &str| format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let spec = |size: &str| json!({"accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "resources": {"requests": {"storage": size}}});
    let claim = |size: &str| json!({"metadata": {"name": "data"}, "spec": spec(size)});
    // Bound, because only what is bound may grow.
    let volume = json!({"metadata": {"name": "e2e-grows"}, "spec": {
        "capacity": {"storage": "4Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": "e2e.example", "volumeHandle": "e2e-grows"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": one, "name": "data"}}});
    bed.do_as_admin(&Request::post("/api/v1/persistentvolumes", &volume))?;
    bed.do_as_admin(&Request::post(path(&one), &claim("4Gi")))?;
    bed.do_as_admin(&Request::post(path(&two), &claim("4Gi")))?;
    let grown = format!("{}/data", path(&one));
    eventually("the claim is bound", || {
        let claim = bed.do_as_admin(&Request::get(grown.as_str()))?;
        Ok((text(&claim, "/status/phase") == "Bound").then_some(()))
    })?;
    let grow = |size: &str| {
        let size = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        Request::patch(grown.as_str(), MERGE, &size)
    };
    exceeds(
        bed,
        &grow("6Gi"),
        &[&of_class, "8589934592 of 9663676416 in use"],
    )?;
    bed.do_as_admin(&grow("5Gi"))?;
    let more = json!({"metadata": {"name": "more"}, "spec": spec("1Gi")});
    exceeds(bed, &Request::post(path(&two), &more), &[&of_class])?;
    bed.do_as_admin(&Request::delete(format!("{}/data", path(&two))))?;
    soon(bed, "what was deleted is free", &grow("8Gi"))?;
    guest.leave()?;
    bed.do_as_admin(&Request::delete("/api/v1/persistentvolumes/e2e-grows"))?;
    bed.do_as_admin(&Request::delete(format!("{of_classes}/{CLASS}")))
        .map(drop)
}

fn services(bed: &Bed) -> anyhow::Result<()> {
    let hard = json!({"services.loadbalancers": "1", "services.nodeports": "3"});
    let allowed = json!({"services": {"nodePort": true, "loadBalancer": true}});
    let (guest, [one, two]) = limited(bed, "quotaservices", &hard, &allowed)?;
    let path = |namespace: &str| format!("/api/v1/namespaces/{namespace}/services");
    let service = |name: &str, kind: &str, ports: u16| {
        let ports: Vec<Value> = (1..=ports)
            .map(|port| json!({"name": format!("p{port}"), "port": port}))
            .collect();
        json!({"metadata": {"name": name}, "spec": {"type": kind, "ports": ports}})
    };
    let make = |namespace: &str, service: &Value| Request::post(path(namespace), service);
    let change = |namespace: &str, name: &str, to: &Value| {
        let spec = json!({"spec": to.get("spec")});
        Request::patch(format!("{}/{name}", path(namespace)), MERGE, &spec)
    };
    bed.do_as_admin(&make(&one, &service("a", "ClusterIP", 1)))?;
    bed.do_as_admin(&make(&two, &service("b", "LoadBalancer", 1)))?;
    let balanced = service("a", "LoadBalancer", 1);
    exceeds(
        bed,
        &change(&one, "a", &balanced),
        &["services.loadbalancers: 1 asked for, 1 of 1 in use"],
    )?;
    // One port of the load balancer's, two of these.
    bed.do_as_admin(&change(&one, "a", &service("a", "NodePort", 2)))?;
    exceeds(
        bed,
        &change(&one, "a", &service("a", "NodePort", 3)),
        &["services.nodeports: 1 asked for, 3 of 3 in use"],
    )?;
    exceeds(
        bed,
        &make(&two, &service("c", "NodePort", 1)),
        &["services.nodeports"],
    )?;
    bed.do_as_admin(&change(&two, "b", &service("b", "ClusterIP", 1)))?;
    let third = change(&one, "a", &service("a", "NodePort", 3));
    soon(bed, "the port of the load balancer is free", &third)?;
    bed.do_as_admin(&change(&one, "a", &service("a", "ClusterIP", 1)))?;
    soon(
        bed,
        "the load balancer is free",
        &change(&one, "a", &balanced),
    )?;
    let found = bed.do_as_admin(&Request::get(format!("{}/a", path(&one))))?;
    ensure!(text(&found, "/spec/type") == "LoadBalancer", "{found}");
    guest.leave()
}
