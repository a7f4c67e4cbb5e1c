//! Ids by the back door: what is left out or emptied must not end up as the image's or root's.

use serde_json::{Value, json};

use super::bad_pods::good_but;
use super::{APPLY, JSON_PATCH};
use crate::credential::{Account, Credential};
use crate::field::Door;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// A pod whose Secret would belong to root's group, if nobody stamped another.
fn without_group(group: Value) -> Value {
    good_but(&[
        (
            "/securityContext",
            json!({"runAsNonRoot": true, "fsGroup": group}),
        ),
        (
            "/volumes",
            json!([{"name": "v", "secret": {"secretName": "attack-own"}}]),
        ),
    ])
}

pub(super) fn techniques() -> Vec<Technique> {
    let star = || Credential::Account(Account::Star);
    let pods = "/api/v1/namespaces/{own}/pods";
    let mut all = Vec::new();

    let made = move |field: &crate::Field| {
        let name = "attack-missing-fs-group-null";
        let body = json!({"metadata": {"name": name}, "spec": without_group(Value::Null)});
        let collection = field.fill(pods);
        let request = Request::post(format!("{collection}?dryRun=All"), &body);
        Attack::shot(Door::ApiServer, star(), request)
            .truth(Truth::Absent(format!("{collection}/{name}")))
    };
    let does = "Creates a pod with a Secret whose file group is set to nothing.";
    let group = Expected::new(Layer::Harmless, 201, "\"fsGroup\":").lacking("\"fsGroup\":0");
    all.push(
        Technique::new(
            "missing-fs-group-null",
            Family::Pods,
            Theorem::T2,
            does,
            made,
        )
        .stopped_by(group),
    );

    let projected = move |field: &crate::Field| {
        let name = "attack-missing-fs-group-token";
        let source =
            json!({"serviceAccountToken": {"path": "t", "audience": "bulkhead.dev/gateway"}});
        let volume = json!({"name": "v", "projected": {"sources": [source]}});
        let spec = good_but(&[("/volumes", json!([volume]))]);
        let body = json!({"metadata": {"name": name}, "spec": spec});
        let collection = field.fill(pods);
        let request = Request::post(format!("{collection}?dryRun=All"), &body);
        Attack::shot(Door::ApiServer, star(), request)
            .truth(Truth::Absent(format!("{collection}/{name}")))
    };
    let does = "Creates a pod whose token would be everybody's to read.";
    let group = Expected::new(Layer::Harmless, 201, "\"fsGroup\":").lacking("\"fsGroup\":0");
    all.push(
        Technique::new(
            "missing-fs-group-token",
            Family::Pods,
            Theorem::T3,
            does,
            projected,
        )
        .stopped_by(group),
    );

    let applied = move |field: &crate::Field| {
        let path = format!("{}/attack-fs-group-root", field.fill(pods));
        let body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "attack-fs-group-root"},
            "spec": without_group(json!(0)),
        });
        let target = format!("{path}?fieldManager=attack&force=true");
        let request = Request::patch(target, APPLY, &body);
        Attack::shot(Door::ApiServer, star(), request).truth(Truth::Absent(path))
    };
    let does = "Applies a pod whose Secret belongs to root's group.";
    let refused = Expected::new(Layer::Webhook, 403, "id-outside-tenant-range");
    all.push(
        Technique::new("fs-group-root", Family::Pods, Theorem::T2, does, applied)
            .stopped_by(refused),
    );

    let tested = move |field: &crate::Field| {
        let path = field.fill("/apis/apps/v1/namespaces/{own}/deployments/attack-own");
        let patch = json!([{
            "op": "add", "path": "/spec/template/spec/securityContext/runAsUser", "value": 4242,
        }]);
        let request = Request::patch(path.as_str(), JSON_PATCH, &patch);
        Attack::shot(Door::ApiServer, star(), request).truth(Truth::Same(path))
    };
    let does = "Patches a harmless Deployment so that its pods run as another's user.";
    let refused = Expected::new(Layer::Webhook, 403, "id-outside-tenant-range");
    all.push(
        Technique::new("id-by-json-patch", Family::Pods, Theorem::T2, does, tested)
            .stopped_by(refused),
    );

    let mapped = move |field: &crate::Field| {
        let name = "attack-id-unmapped";
        let spec = good_but(&[
            ("/hostUsers", json!(true)),
            (
                "/securityContext",
                json!({"runAsNonRoot": true, "runAsUser": 65_535}),
            ),
        ]);
        let collection = field.fill(pods);
        let body = json!({"metadata": {"name": name}, "spec": spec});
        Attack::shot(
            Door::ApiServer,
            star(),
            Request::post(collection.as_str(), &body),
        )
        .truth(Truth::Absent(format!("{collection}/{name}")))
    };
    let does = "Creates a pod with an id that is its own in a user namespace, without one.";
    let refused = Expected::new(Layer::Webhook, 403, "id-outside-tenant-range");
    all.push(
        Technique::new(
            "id-without-user-namespace",
            Family::Pods,
            Theorem::T2,
            does,
            mapped,
        )
        .stopped_by(refused),
    );
    all
}
