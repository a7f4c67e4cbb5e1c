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
    (
        "rego::what_exists_is_audited_and_written_down_once",
        audited,
    ),
    (
        "rego::policies_compare_with_what_the_config_says_is_synced",
        inventory,
    ),
];

const MAPS: &str = "/api/v1/namespaces/bulkhead-system/configmaps";
const TEMPLATES: &str = "/apis/templates.gatekeeper.sh/v1/constrainttemplates";
const CONSTRAINTS: &str = "/apis/constraints.gatekeeper.sh/v1beta1/trialrequiredlabels";
const AUDITED: &str = "/apis/constraints.gatekeeper.sh/v1beta1/trialaudited";
const UNIQUE: &str = "/apis/constraints.gatekeeper.sh/v1beta1/trialunique";

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
    of_template(
        "TrialRequiredLabels",
        "package trialrequiredlabels\n\n\
        violation[{\"msg\": msg, \"details\": {\"missing\": missing}}] {\n  \
          given := {label | input.review.object.metadata.labels[label]}\n  \
          wanted := {label | label := input.parameters.labels[_]}\n  \
          missing := wanted - given\n  \
          count(missing) > 0\n  \
          msg := sprintf(\"labels are missing: %v\", [missing])\n}\n",
    )
}

fn of_template(kind: &str, rego: &str) -> Value {
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "metadata": {"name": kind.to_lowercase()},
        "spec": {
            "crd": {"spec": {
                "names": {"kind": kind},
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

/// A constraint about ConfigMaps that carry a label.
fn constraint(kind: &str, action: &str, label: &str) -> Value {
    json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind,
        "metadata": {"name": "trial"},
        "spec": {
            "enforcementAction": action,
            "match": {
                "kinds": [{"apiGroups": [""], "kinds": ["ConfigMap"]}],
                "labelSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
            },
            "parameters": {"labels": ["owner"]},
        },
    })
}

fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(response.text().as_bytes()).unwrap_or_default()
}

fn audited(bed: &Bed) -> anyhow::Result<()> {
    let maps = format!("/api/v1/namespaces/{}/configmaps", bed.own());
    let report = format!(
        "/apis/wgpolicyk8s.io/v1alpha2/namespaces/{}/policyreports/bulkhead",
        bed.own()
    );
    let victim = json!({"metadata": {"name": "rego-audited", "labels": {"rego-audited": "yes"}}});
    bed.do_as_admin(&Request::post(&maps, &victim))?;
    let rego = "package trialaudited\n\n\
        violation[{\"msg\": msg}] {\n  \
          not input.review.object.metadata.labels.owner\n  \
          msg := sprintf(\"%v has no owner\", [input.review.object.metadata.name])\n}\n";
    bed.do_as_admin(&Request::post(
        TEMPLATES,
        &of_template("TrialAudited", rego),
    ))?;
    let made = constraint("TrialAudited", "dryrun", "rego-audited");
    until(bed, &Request::post(AUDITED, &made), Response::is_success)?;
    let trial = Request::get(format!("{AUDITED}/trial"));
    let total = |wanted: u64| {
        move |response: &Response| at(&json_of(response), "/status/totalViolations") == wanted
    };
    let found = json_of(&until(bed, &trial, total(1))?);
    let violation = json!([{
        "enforcementAction": "dryrun", "group": "", "version": "v1", "kind": "ConfigMap",
        "name": "rego-audited", "namespace": bed.own(), "message": "rego-audited has no owner",
    }]);
    ensure!(*at(&found, "/status/violations") == violation, "{found}");
    ensure!(at(&found, "/status/auditTimestamp").is_string(), "{found}");
    ensure!(*at(&found, "/status/byPod/0/enforced") == true, "{found}");
    let reported = json_of(&until(bed, &Request::get(&report), Response::is_success)?);
    ensure!(*at(&reported, "/summary/warn") == 1, "{reported}");
    ensure!(
        *at(&reported, "/results/0/policy") == "TrialAudited/trial"
            && *at(&reported, "/results/0/resources/0/name") == "rego-audited",
        "{reported}"
    );
    // As `kubectl get constraints` shows it.
    let table =
        Request::get(AUDITED).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table = json_of(&bed.admin(&table)?);
    let columns = at(&table, "/columnDefinitions").as_array();
    let columns: Vec<&str> = columns
        .into_iter()
        .flatten()
        .filter_map(|c| at(c, "/name").as_str())
        .collect();
    ensure!(
        columns == ["Name", "enforcement-action", "total-violations"],
        "{columns:?}"
    );
    ensure!(
        *at(&table, "/rows/0/cells") == json!(["trial", "dryrun", 1]),
        "{table}"
    );
    // Another policy makes another audit, which finds the same and writes nothing.
    bed.do_as_admin(&Request::post(
        MAPS,
        &map(
            "rego-audit-again",
            "package again\ndeny[m] { false; m := \"\" }",
        ),
    ))?;
    std::thread::sleep(std::time::Duration::from_secs(5));
    let again = json_of(&bed.admin(&trial)?);
    let version = "/metadata/resourceVersion";
    ensure!(at(&again, version) == at(&found, version), "{again}");
    let owned = json!({"metadata": {"labels": {"owner": "a"}}});
    bed.do_as_admin(&Request::patch(
        format!("{maps}/rego-audited"),
        "application/merge-patch+json",
        &owned,
    ))?;
    bed.do_as_admin(&Request::delete(format!("{MAPS}/rego-audit-again")))?;
    let clean = json_of(&until(bed, &trial, total(0))?);
    ensure!(at(&clean, "/status/violations").is_null(), "{clean}");
    until(bed, &Request::get(&report), |response| {
        response.status == 404
    })?;
    bed.do_as_admin(&Request::delete(format!("{TEMPLATES}/trialaudited")))?;
    bed.do_as_admin(&Request::delete(format!("{maps}/rego-audited")))?;
    Ok(())
}

fn inventory(bed: &Bed) -> anyhow::Result<()> {
    let maps = format!("/api/v1/namespaces/{}/configmaps", bed.own());
    let rego = "package trialunique\n\n\
        violation[{\"msg\": msg}] {\n  \
          other := data.inventory.namespace[ns][\"v1\"][\"ConfigMap\"][name]\n  \
          other.metadata.labels[\"rego-unique\"] == input.review.object.metadata.labels[\"rego-unique\"]\n  \
          name != input.review.object.metadata.name\n  \
          msg := sprintf(\"the same as %v in %v\", [name, ns])\n}\n";
    bed.do_as_admin(&Request::post(TEMPLATES, &of_template("TrialUnique", rego)))?;
    let made = constraint("TrialUnique", "deny", "rego-unique");
    until(bed, &Request::post(UNIQUE, &made), Response::is_success)?;
    let map = |name: &str, value: &str| json!({"metadata": {"name": name, "labels": {"rego-unique": value}}});
    let tried = Request::post(format!("{maps}?dryRun=All"), &map("rego-second", "a"));
    let says = |words: &'static str| {
        move |response: &Response| response.status == 403 && response.text().contains(words)
    };
    until(bed, &tried, says("nothing is synced"))?;
    let namespace = json!({"metadata": {"name": "gatekeeper-system"}});
    bed.do_as_admin(&Request::post("/api/v1/namespaces", &namespace))?;
    let configs = "/apis/config.gatekeeper.sh/v1alpha1/namespaces/gatekeeper-system/configs";
    let config = json!({
        "apiVersion": "config.gatekeeper.sh/v1alpha1", "kind": "Config", "metadata": {"name": "config"},
        "spec": {"sync": {"syncOnly": [{"group": "", "version": "v1", "kind": "ConfigMap"}]}},
    });
    bed.do_as_admin(&Request::post(configs, &config))?;
    until(bed, &tried, Response::is_success)?;
    bed.do_as_admin(&Request::post(&maps, &map("rego-first", "a")))?;
    until(bed, &tried, says("the same as rego-first in"))?;
    let other = Request::post(format!("{maps}?dryRun=All"), &map("rego-second", "b"));
    let other = bed.admin(&other)?;
    ensure!(other.is_success(), "{}", other.text());
    bed.do_as_admin(&Request::delete(format!("{maps}/rego-first")))?;
    until(bed, &tried, Response::is_success)?;
    bed.do_as_admin(&Request::delete(format!("{TEMPLATES}/trialunique")))?;
    bed.do_as_admin(&Request::delete(format!("{configs}/config")))?;
    bed.do_as_admin(&Request::delete("/api/v1/namespaces/gatekeeper-system"))?;
    Ok(())
}
