//! Policies in Rego, as their users bring them: the guide's example, and Gatekeeper's way.

use std::time::Instant;

use anyhow::{bail, ensure};
use bulkhead_attack::wire::{Request, Response};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, PATIENCE};

/// Policies hold everywhere in the cluster, and so refuse what other trials do.
pub(super) const DISRUPTIVE: &[(&str, Check)] = &[
    (
        "rego::the_guides_example_is_enforced_as_it_is_pasted",
        guide,
    ),
    (
        "rego::a_policy_that_cannot_be_used_is_refused_when_it_is_written",
        refused,
    ),
    (
        "rego::templates_and_constraints_work_as_gatekeepers_do",
        gatekeeper,
    ),
];

const MAPS: &str = "/api/v1/namespaces/bulkhead-system/configmaps";
const TEMPLATES: &str = "/apis/templates.gatekeeper.sh/v1/constrainttemplates";
const CONSTRAINTS: &str = "/apis/constraints.gatekeeper.sh/v1beta1/trialrequiredlabels";

/// As the guide prints it, but for the break in the line of its text.
const GUIDE: &str = r#"deny[message] {
    # match only if a Pod is being created
    input.request.kind.kind == "Pod"

    # examine each container
    container := input.request.object.spec.containers[_]
    # match if privileged is set
    container.securityContext.privileged
    message := sprintf("Container %v runs in privileged mode.", [container.name])
}
"#;

fn map(name: &str, rego: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"openpolicyagent.org/policy": "rego"}},
        "data": {"policy.rego": rego},
    })
}

/// Tries a request until the answer is as it should be: policies come into force within seconds.
fn until(
    bed: &Bed,
    request: &Request,
    right: impl Fn(&Response) -> bool,
) -> anyhow::Result<Response> {
    let started = Instant::now();
    loop {
        let response = bed.admin(request)?;
        if right(&response) {
            return Ok(response);
        }
        if started.elapsed() > PATIENCE {
            bail!("still {} {}", response.status, response.text());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn guide(bed: &Bed) -> anyhow::Result<()> {
    let pod = |privileged: bool| {
        let container = json!({
            "name": "c", "image": "registry.k8s.io/pause:3.10",
            "securityContext": {"privileged": privileged},
        });
        let pod = json!({"metadata": {"name": "rego-guide"}, "spec": {"containers": [container]}});
        Request::post("/api/v1/namespaces/default/pods?dryRun=All", &pod)
    };
    bed.do_as_admin(&Request::post(MAPS, &map("rego-guide", GUIDE)))?;
    let denial = until(bed, &pod(true), |response| response.status == 403)?;
    ensure!(
        denial
            .text()
            .contains("Container c runs in privileged mode."),
        "{}",
        denial.text()
    );
    let harmless = bed.admin(&pod(false))?;
    ensure!(harmless.is_success(), "{}", harmless.text());
    bed.do_as_admin(&Request::delete(format!("{MAPS}/rego-guide")))?;
    until(bed, &pod(true), Response::is_success)?;
    Ok(())
}

fn refused(bed: &Bed) -> anyhow::Result<()> {
    let rego = "package a\n\ndeny[m] {\n  m := http.send({}).body\n}\n";
    let answer = bed.admin(&Request::post(MAPS, &map("rego-bad", rego)))?;
    let text = answer.text();
    ensure!(
        answer.status == 403
            && text.contains("policy.rego:4:8")
            && text.contains("unsupported-function"),
        "{} {text}",
        answer.status
    );
    let mut cel = template();
    let code = json!([{"engine": "K8sNativeValidation", "source": {}}]);
    if let Some(target) = cel
        .pointer_mut("/spec/targets/0")
        .and_then(Value::as_object_mut)
    {
        target.insert("code".to_owned(), code);
    }
    let answer = bed.admin(&Request::post(TEMPLATES, &cel))?;
    ensure!(
        answer.status == 403 && answer.text().contains("unsupported-policy"),
        "{} {}",
        answer.status,
        answer.text()
    );
    Ok(())
}

fn template() -> Value {
    let rego = "package trialrequiredlabels\n\n\
        violation[{\"msg\": msg, \"details\": {\"missing\": missing}}] {\n  \
          given := {label | input.review.object.metadata.labels[label]}\n  \
          wanted := {label | label := input.parameters.labels[_]}\n  \
          missing := wanted - given\n  \
          count(missing) > 0\n  \
          msg := sprintf(\"labels are missing: %v\", [missing])\n}\n";
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "metadata": {"name": "trialrequiredlabels"},
        "spec": {
            "crd": {"spec": {
                "names": {"kind": "TrialRequiredLabels"},
                "validation": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"labels": {"type": "array", "items": {"type": "string"}}},
                }},
            }},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego}],
        },
    })
}

fn gatekeeper(bed: &Bed) -> anyhow::Result<()> {
    bed.do_as_admin(&Request::post(TEMPLATES, &template()))?;
    let constraint = |name: &str, action: &str, label: Value| {
        json!({
            "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "TrialRequiredLabels",
            "metadata": {"name": name},
            "spec": {
                "enforcementAction": action,
                "match": {
                    "kinds": [{"apiGroups": [""], "kinds": ["ConfigMap"]}],
                    "labelSelector": {"matchLabels": {"rego-trial": action}},
                },
                "parameters": {"labels": [label]},
            },
        })
    };
    // The kind comes a moment after its template.
    let made = Request::post(CONSTRAINTS, &constraint("denies", "deny", json!("owner")));
    until(bed, &made, Response::is_success)?;
    bed.do_as_admin(&Request::post(
        CONSTRAINTS,
        &constraint("warns", "warn", json!("owner")),
    ))?;
    // What the schema of the template does not take, the API server does not take either.
    let wrong = bed.admin(&Request::post(
        CONSTRAINTS,
        &constraint("wrong", "deny", json!(7)),
    ))?;
    ensure!(wrong.status == 422, "{} {}", wrong.status, wrong.text());
    let scoped = bed.admin(&Request::post(
        CONSTRAINTS,
        &constraint("scoped", "scoped", json!("a")),
    ))?;
    ensure!(
        scoped.status == 403 && scoped.text().contains("unsupported-policy"),
        "{} {}",
        scoped.status,
        scoped.text()
    );
    let map = |labels: Value| {
        let map = json!({"metadata": {"name": "rego-trial", "labels": labels}});
        Request::post(
            format!("/api/v1/namespaces/{}/configmaps?dryRun=All", bed.own()),
            &map,
        )
    };
    let denial = until(bed, &map(json!({"rego-trial": "deny"})), |response| {
        response.status == 403
    })?;
    let said = "[TrialRequiredLabels/denies] labels are missing: {\"owner\"}";
    let text: Value = serde_json::from_slice(denial.text().as_bytes())?;
    let text = text
        .pointer("/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    ensure!(text.contains(said), "{text}");
    let labelled = bed.admin(&map(json!({"rego-trial": "deny", "owner": "a"})))?;
    ensure!(labelled.is_success(), "{}", labelled.text());
    let warned = bed.admin(&map(json!({"rego-trial": "warn"})))?;
    ensure!(warned.is_success(), "{}", warned.text());
    // The kind goes with its template, and its constraints with it.
    bed.do_as_admin(&Request::delete(format!("{TEMPLATES}/trialrequiredlabels")))?;
    until(
        bed,
        &map(json!({"rego-trial": "deny"})),
        Response::is_success,
    )?;
    Ok(())
}
