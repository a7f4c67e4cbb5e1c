//! Pods: let in, mended, refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::reviews::{ask, good_pod, refusal, review};

fn patch(response: &Value) -> Value {
    assert_eq!(response["allowed"], true, "{response}");
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = STANDARD
        .decode(response["patch"].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&patch).unwrap()
}

fn apply(object: &mut Value, patch: &Value) {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(object, &patch).unwrap();
}

#[tokio::test]
async fn a_good_pod_is_let_in() {
    let response = ask("/validate", &review(good_pod())).await;
    assert_eq!(response, json!({"uid": "7d9b", "allowed": true}));
}

#[tokio::test]
async fn a_bad_pod_is_refused_in_words_that_help() {
    let mut pod = good_pod();
    pod["spec"]["hostNetwork"] = json!(true);
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    let response = ask("/validate", &review(pod)).await;
    assert_eq!(
        response["auditAnnotations"],
        json!({"controls": "privileged-container,host-network"})
    );
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["reason"], "Forbidden");
    insta::assert_snapshot!(refusal(&response));
}

#[tokio::test]
async fn a_mended_pod_is_one_that_the_judge_lets_in() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "acme-dev"},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
    });
    refusal(&ask("/validate", &review(pod.clone())).await);
    let patch = patch(&ask("/mutate", &review(pod.clone())).await);
    apply(&mut pod, &patch);
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"bulkhead.dev/tenant": "acme"})
    );
    assert_eq!(
        ask("/validate", &review(pod.clone())).await["allowed"],
        true,
        "{pod:#}"
    );
    // The API server may ask twice.
    assert_eq!(
        ask("/mutate", &review(pod)).await,
        json!({"uid": "7d9b", "allowed": true})
    );
}

#[tokio::test]
async fn new_objects_are_labelled_with_their_tenant() {
    for (before, after) in [
        (json!(null), json!({"bulkhead.dev/tenant": "acme"})),
        (json!({}), json!({"bulkhead.dev/tenant": "acme"})),
        (
            json!({"app": "web"}),
            json!({"app": "web", "bulkhead.dev/tenant": "acme"}),
        ),
    ] {
        let mut pod = good_pod();
        pod["metadata"]["labels"] = before;
        let patch = patch(&ask("/mutate", &review(pod.clone())).await);
        apply(&mut pod, &patch);
        assert_eq!(pod["metadata"]["labels"], after);
    }
    let mut labelled = good_pod();
    labelled["metadata"]["labels"] = json!({"bulkhead.dev/tenant": "acme"});
    assert!(
        ask("/mutate", &review(labelled))
            .await
            .get("patch")
            .is_none()
    );
}

#[tokio::test]
async fn only_what_is_new_is_mended() {
    let mut update = review(good_pod());
    update["request"]["operation"] = json!("UPDATE");
    update["request"]["oldObject"] = good_pod();
    assert!(ask("/mutate", &update).await.get("patch").is_none());
    update["request"]["subResource"] = json!("resize");
    assert!(ask("/mutate", &update).await.get("patch").is_none());

    let mut debug = update.clone();
    debug["request"]["subResource"] = json!("ephemeralcontainers");
    debug["request"]["object"]["spec"]["ephemeralContainers"] =
        json!([{"name": "debug", "image": "busybox"}]);
    let patch = patch(&ask("/mutate", &debug).await);
    let mut object = debug["request"]["object"].take();
    apply(&mut object, &patch);
    assert!(object["metadata"].get("labels").is_none());
    debug["request"]["object"] = object;
    assert_eq!(ask("/validate", &debug).await["allowed"], true);
}

#[tokio::test]
async fn a_template_is_judged_as_its_pods_will_be() {
    let deployment = |spec: Value| {
        let mut review = review(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "acme-dev"},
            "spec": {"selector": {}, "template": {"metadata": {}, "spec": spec}},
        }));
        review["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
        review["request"]["resource"] =
            json!({"group": "apps", "version": "v1", "resource": "deployments"});
        review
    };
    let plain = deployment(json!({"containers": [{"name": "web", "image": "nginx"}]}));
    assert_eq!(ask("/validate", &plain).await["allowed"], true);
    let bad =
        deployment(json!({"hostPID": true, "containers": [{"name": "web", "image": "nginx"}]}));
    let response = ask("/validate", &bad).await;
    assert!(
        refusal(&response).contains("spec.template.spec.hostPID"),
        "{response}"
    );
}
