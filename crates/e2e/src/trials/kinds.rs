//! A kind of the cluster's own, of which the sandbox was told that it holds pod templates.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::{Request, Response};
use bulkhead_attack::{evil_pods, good_pod};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded};

pub(super) const TRIALS: &[(&str, Check)] = &[(
    "kinds::of_the_clusters_own_are_judged_at_both_doors",
    both_doors,
)];

/// What the sandbox is started with.
pub(crate) const NAMED: [&str; 2] = [
    "trainings.e2e.example.com/Training=.spec.driver.template",
    "trainings.e2e.example.com/Training=.spec.workers[*].template",
];

const API: &str = "e2e.example.com/v1";
const MERGE: &str = "application/merge-patch+json";

fn both_doors(bed: &Bed) -> anyhow::Result<()> {
    let path = define(bed)?;
    // In turn in each place where a template may stand.
    let places: [fn(&Value) -> Value; 3] = [
        |pod| json!({"driver": template(pod)}),
        |pod| json!({"driver": template(&good_pod()), "workers": [template(&good_pod()), template(pod)]}),
        |pod| json!({"workers": {"small": template(&good_pod()), "large": template(pod)}}),
    ];
    for ((control, pod), place) in evil_pods().into_iter().zip(places.iter().cycle()) {
        let object = training("evil", place(&pod));
        let early = bed.tenant(&Request::post(path.as_str(), &object))?;
        refused(&early, 403, &["the gateway: ", control, "why:", "mend:"])
            .with_context(|| object.to_string())?;
        let late = bed.admin(&Request::post(path.as_str(), &object))?;
        let webhook = "admission webhook \"judge.bulkhead.dev\" denied the request";
        refused(&late, 403, &[webhook, control]).with_context(|| object.to_string())?;
    }
    let good = training(
        "good",
        json!({"driver": template(&good_pod()), "workers": []}),
    );
    let made = bed.do_as_tenant(&Request::post(path.as_str(), &good))?;
    // Templates stay as their authors keep them.
    ensure!(made.pointer("/spec") == good.pointer("/spec"), "{made:#}");
    later(bed, &format!("{path}/e2e-good"))
}

/// What is spoilt afterwards, and what hides from the judge.
fn later(bed: &Bed, path: &str) -> anyhow::Result<()> {
    let webhook = "admission webhook \"judge.bulkhead.dev\" denied the request";
    let evil = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "x"}]});
    let patch = |spec: Value| Request::patch(path, MERGE, &json!({"spec": spec}));
    let refuse = |spec: Value, words: &[&str]| -> anyhow::Result<()> {
        for response in [
            bed.tenant(&patch(spec.clone()))?,
            bed.admin(&patch(spec.clone()))?,
        ] {
            refused(&response, 403, words).with_context(|| spec.to_string())?;
        }
        Ok(())
    };
    refuse(
        json!({"workers": [template(&evil)]}),
        &[
            webhook,
            "host-network",
            "spec.workers[0].template.spec.hostNetwork",
        ],
    )?;
    // A string that the kind's controller may take for a list of one.
    refuse(
        json!({"workers": "one"}),
        &["`spec.workers` must be of type list"],
    )?;
    refuse(
        json!({"driver": {"template": {"spec": {"containers": {"name": "c"}}}}}),
        &["`spec.driver.template.spec.containers` must be of type list"],
    )?;
    let harmless = Request::patch(path, MERGE, &json!({"metadata": {"labels": {"a": "b"}}}));
    bed.do_as_tenant(&harmless).map(drop)
}

/// The kind, and the tenant's right to it. Returns where its objects are.
fn define(bed: &Bed) -> anyhow::Result<String> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "trainings.e2e.example.com"},
        "spec": {
            "group": "e2e.example.com", "scope": "Namespaced",
            "names": {"kind": "Training", "plural": "trainings", "singular": "training", "listKind": "TrainingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    bed.do_as_admin(&Request::post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition,
    ))?;
    let rbac = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}",
        bed.own()
    );
    let name = json!({"name": "e2e-trainings"});
    let role = json!({"metadata": name, "rules": [{
        "apiGroups": ["e2e.example.com"], "resources": ["trainings"], "verbs": ["create", "get", "patch", "update"]}]});
    bed.do_as_admin(&Request::post(format!("{rbac}/roles"), &role))?;
    let user = format!("bulkhead:tenant:{}:admin", bed.field.attacker.tenant);
    let binding = json!({
        "metadata": name,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "e2e-trainings"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    bed.do_as_admin(&Request::post(format!("{rbac}/rolebindings"), &binding))?;
    let path = format!("/apis/{API}/namespaces/{}/trainings", bed.own());
    let probe = Request::post(format!("{path}?dryRun=All"), &training("probe", json!({})));
    let served =
        |response: Response| (response.status != 404 && response.status != 403).then_some(response);
    let served = eventually("the kind is served", || Ok(served(bed.tenant(&probe)?)))?;
    succeeded(&served)?;
    Ok(path)
}

fn training(name: &str, spec: Value) -> Value {
    json!({"apiVersion": API, "kind": "Training", "metadata": {"name": format!("e2e-{name}")}, "spec": spec})
}

fn template(pod: &Value) -> Value {
    json!({"template": {"metadata": {"labels": {"e2e": "training"}}, "spec": pod}})
}
