//! The scope's decisions, one row each, and its promise over generated requests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::collections::BTreeSet;

use bulkhead_model::{NamespaceName, Prefix, SyntheticUser, TenantName, Uid};
use bulkhead_scope::{
    Body, Caller, Credential, Denial, Membership, Outcome, PatchType, Path, ScopedRequest, parse,
    scope,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn member(tenant: &str, uid: &str, namespaces: &[&str]) -> Membership {
    Membership {
        tenant: TenantName::parse(tenant).unwrap(),
        uid: Uid::parse(uid).unwrap(),
        user: SyntheticUser::parse(&format!("bulkhead:tenant:{tenant}:admin")).unwrap(),
        prefix: Prefix::parse(format!("{tenant}-")).unwrap(),
        cordoned: false,
        usable: bulkhead_scope::Usable::default(),
        namespaces: namespaces
            .iter()
            .map(|n| NamespaceName::parse(*n).unwrap())
            .collect(),
    }
}

fn caller(memberships: Vec<Membership>) -> Caller {
    Caller {
        person: "alice".into(),
        memberships,
    }
}

fn alice() -> Caller {
    caller(vec![member("acme", "u-1", &["acme-app", "acme-dev"])])
}

fn both() -> Caller {
    caller(vec![
        member("acme", "u-1", &["acme-app"]),
        member("beta", "u-2", &["beta-app"]),
    ])
}

fn cordoned() -> Caller {
    caller(vec![Membership {
        cordoned: true,
        ..member("acme", "u-1", &["acme-app"])
    }])
}

fn ask(caller: &Caller, method: &str, target: &str, body: Body) -> Result<Outcome, Denial> {
    scope(parse(method, target)?, caller, body)
}

fn forwarded(outcome: Result<Outcome, Denial>) -> ScopedRequest {
    match outcome {
        Ok(Outcome::Forward(request)) => *request,
        other => panic!("{other:?}"),
    }
}

/// One line that says what was decided.
fn told(outcome: &Result<Outcome, Denial>) -> String {
    match outcome {
        Ok(Outcome::Forward(request)) => {
            let user = match request.credential() {
                Credential::Forwarder { user, .. } => user.to_string(),
                Credential::Reader => "reader".into(),
            };
            let user = user.trim_start_matches("bulkhead:tenant:");
            format!("{user} {} {}", request.method(), request.target())
        }
        Ok(Outcome::Answer(answer)) => format!("answer {}", answer["status"]),
        Ok(Outcome::Each { requests, spec }) => {
            let asked: Vec<String> = requests
                .iter()
                .map(|request| {
                    let body = request.body().value().unwrap();
                    body.pointer("/spec/resourceAttributes/namespace")
                        .unwrap()
                        .to_string()
                })
                .collect();
            format!("each of {} for {spec}", asked.join(", "))
        }
        Ok(Outcome::Spread(spread)) => {
            let parts: Vec<&str> = spread
                .parts()
                .iter()
                .map(|p| p.namespace().as_str())
                .collect();
            format!("{} over {}", spread.request().target(), parts.join(", "))
        }
        Err(denial) => {
            format!(
                "{} [{}] {}",
                denial.status,
                denial.control.unwrap_or("-"),
                denial.message
            )
        }
    }
}

fn object() -> Body {
    Body::Object(json!({"metadata": {"name": "x"}}))
}

fn patch() -> Body {
    Body::Patch(PatchType::Merge, json!({"spec": {}}))
}

#[test]
#[rustfmt::skip]
fn reads_stay_inside() {
    let list = "labelSelector=bulkhead.dev%2Ftenant%20in%20%28acme%29%2Cbulkhead.dev%2Ftenant-uid%20in%20%28u-1%29";
    let nowhere = "404 [foreign-namespace] the server could not find the requested resource";
    for (target, expected) in [
        ("/api/v1/namespaces/acme-app/pods?limit=500", "acme:admin GET /api/v1/namespaces/acme-app/pods?limit=500"),
        ("/api/v1/namespaces/acme-dev/pods/x/log?follow=true", "acme:admin GET /api/v1/namespaces/acme-dev/pods/x/log?follow=true"),
        ("/apis/apps/v1/namespaces/acme-app/deployments/d/scale", "acme:admin GET /apis/apps/v1/namespaces/acme-app/deployments/d/scale"),
        ("/apis/example.com/v1/namespaces/acme-app/things", "acme:admin GET /apis/example.com/v1/namespaces/acme-app/things"),
        ("/api/v1/namespaces/acme-app", "acme:admin GET /api/v1/namespaces/acme-app"),
        ("/api/", "acme:admin GET /api"),
        ("/apis?timeout=32s", "acme:admin GET /apis?timeout=32s"),
        ("/openapi/v3/apis/apps/v1?hash=0AF", "acme:admin GET /openapi/v3/apis/apps/v1?hash=0AF"),
        ("/version", "acme:admin GET /version"),
        ("/api/v1/namespaces/acme-app/pods?watch=true", "acme:admin GET /api/v1/namespaces/acme-app/pods?timeoutSeconds=300&watch=true"),
        ("/api/v1/namespaces/acme-app/pods?watch=true&timeoutSeconds=9", "acme:admin GET /api/v1/namespaces/acme-app/pods?timeoutSeconds=9&watch=true"),
        ("/api/v1/namespaces/acme-app/pods?watch=true&timeoutSeconds=999", "acme:admin GET /api/v1/namespaces/acme-app/pods?timeoutSeconds=300&watch=true"),
        ("/api/v1/namespaces/acme-app/pods?watch=true&timeoutSeconds=0", "acme:admin GET /api/v1/namespaces/acme-app/pods?timeoutSeconds=300&watch=true"),
        ("/api/v1/namespaces", &format!("reader GET /api/v1/namespaces?{list}")),
        ("/api/v1/namespaces?labelSelector=bulkhead.dev/tenant%3Dglobex", &format!("reader GET /api/v1/namespaces?{list}%2Cbulkhead.dev%2Ftenant%3Dglobex")),
        ("/api/v1/namespaces?watch=1", &format!("reader GET /api/v1/namespaces?{list}&timeoutSeconds=300&watch=true")),
        ("/api/v1/namespaces/globex-app/pods", "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("/api/v1/namespaces/acme-none/pods", "404 [foreign-namespace] namespaces \"acme-none\" not found"),
        ("/api/v1/namespaces/kube-system/secrets/x", "404 [foreign-namespace] namespaces \"kube-system\" not found"),
        ("/api/v1/namespaces/globex-app", "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("/api/v1/namespaces/globex-app/pods/x/exec?command=sh", "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("/api/v1/pods", "/api/v1/pods over acme-app, acme-dev"),
        ("/apis/example.com/v1/things?limit=5", "/apis/example.com/v1/things?limit=5 over acme-app, acme-dev"),
        ("/apis/apps/v1/deployments?watch=true", "/apis/apps/v1/deployments?watch=true over acme-app, acme-dev"),
        ("/api/v1/nodes", "reader GET /api/v1/nodes?includeObject=Object&labelSelector=node-restriction.kubernetes.io%2Ftenant%2C%21node-restriction.kubernetes.io%2Ftenant"),
        ("/apis/storage.k8s.io/v1/storageclasses?limit=1&watch=1&timeoutSeconds=900", "reader GET /apis/storage.k8s.io/v1/storageclasses?includeObject=Object&timeoutSeconds=300&watch=true"),
        ("/apis/storage.k8s.io/v1/storageclasses/x", "404 [foreign-namespace] storageclasses.storage.k8s.io \"x\" not found"),
        ("/api/v1/nodes/n", "404 [foreign-namespace] nodes \"n\" not found"),
        ("/api/v1/nodes/n/proxy", "404 [foreign-namespace] nodes \"n\" not found"),
        ("/apis/bulkhead.dev/v1alpha1/tenants", nowhere),
        ("/apis/bulkhead.dev/v1alpha1/tenants/acme", "404 [foreign-namespace] tenants.bulkhead.dev \"acme\" not found"),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", nowhere),
        ("/apis/apps/v1/status", "404 [-] the server could not find the requested resource"),
        ("/apis/apps/v1/finalize/x", "404 [-] the server could not find the requested resource"),
        ("/api/v1/componentstatuses", nowhere),
        ("/apis/apps/v1/namespaces/acme-app", "404 [foreign-namespace] namespaces.apps \"acme-app\" not found"),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "405 [-] reviews are only there to POST"),
        ("/metrics", "404 [-] the server could not find the requested resource"),
        ("/api/v1/namespaces/acme-app/pods/x/exec?command=sh&command=-c&stdin=true", "acme:admin GET /api/v1/namespaces/acme-app/pods/x/exec?command=sh&command=-c&stdin=true"),
        ("/api/v1/namespaces/acme-app/pods/x/portforward", "acme:admin GET /api/v1/namespaces/acme-app/pods/x/portforward"),
        ("/api/v1/namespaces/acme-app/services/x/portforward", "404 [-] the server could not find the requested resource"),
        ("/apis/example.com/v1/namespaces/acme-app/pods/x/exec", "404 [-] the server could not find the requested resource"),
        ("/api/v1/namespaces/acme-app/services/x/proxy", "501 [-] the subresource `proxy` is not served by this gateway"),
        ("/api/v1/namespaces/acme-app/pods/x/status", "403 [-] the subresource `status` is not open to tenants: expected one of log, scale, ephemeralcontainers, resize, eviction, token, exec, attach, portforward"),
        ("/api/v1/namespaces/acme-app/pods/x/unheard", "403 [-] the subresource `unheard` is not open to tenants: expected one of log, scale, ephemeralcontainers, resize, eviction, token, exec, attach, portforward"),
    ] {
        assert_eq!(
            told(&ask(&alice(), "GET", target, Body::Empty)),
            expected,
            "{target}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn writes_stay_inside_and_leave_the_platforms_part_alone() {
    for (method, target, body, expected) in [
        ("POST", "/api/v1/namespaces/globex-app/pods/x/exec?command=sh", Body::Empty, "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("POST", "/api/v1/namespaces/acme-app/pods/x/exec?command=sh", Body::Empty, "acme:admin POST /api/v1/namespaces/acme-app/pods/x/exec?command=sh"),
        ("POST", "/api/v1/namespaces/acme-app/pods?dryRun=All", object(), "acme:admin POST /api/v1/namespaces/acme-app/pods?dryRun=All"),
        ("PUT", "/api/v1/namespaces/acme-app/pods/x", object(), "acme:admin PUT /api/v1/namespaces/acme-app/pods/x"),
        ("PATCH", "/api/v1/namespaces/acme-app/pods/x/resize", patch(), "acme:admin PATCH /api/v1/namespaces/acme-app/pods/x/resize"),
        ("POST", "/api/v1/namespaces/acme-app/pods/x/eviction", object(), "acme:admin POST /api/v1/namespaces/acme-app/pods/x/eviction"),
        ("POST", "/api/v1/namespaces/acme-app/serviceaccounts/x/token", object(), "acme:admin POST /api/v1/namespaces/acme-app/serviceaccounts/x/token"),
        ("DELETE", "/api/v1/namespaces/acme-app/pods", Body::Empty, "acme:admin DELETE /api/v1/namespaces/acme-app/pods"),
        ("DELETE", "/api/v1/namespaces/acme-app/pods/x?dryRun=All", Body::Empty, "acme:admin DELETE /api/v1/namespaces/acme-app/pods/x?dryRun=All"),
        ("DELETE", "/api/v1/namespaces/acme-app/pods/x?dryRun=All", Body::Object(json!({})), "acme:admin DELETE /api/v1/namespaces/acme-app/pods/x"),
        ("DELETE", "/api/v1/namespaces/acme-dev", Body::Empty, "acme:admin DELETE /api/v1/namespaces/acme-dev"),
        ("PATCH", "/api/v1/namespaces/acme-dev", patch(), "acme:admin PATCH /api/v1/namespaces/acme-dev"),
        ("POST", "/api/v1/namespaces/globex-app/pods", object(), "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("DELETE", "/api/v1/namespaces/globex-app", Body::Empty, "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("PATCH", "/api/v1/namespaces/globex-app", patch(), "404 [foreign-namespace] namespaces \"globex-app\" not found"),
        ("DELETE", "/api/v1/namespaces", Body::Empty, "405 [-] namespaces are deleted one by one, by name"),
        ("POST", "/api/v1/pods", object(), "404 [foreign-namespace] the server could not find the requested resource"),
        ("DELETE", "/api/v1/pods", Body::Empty, "404 [foreign-namespace] the server could not find the requested resource"),
        ("POST", "/api/v1/nodes", object(), "403 [foreign-namespace] nodes are the platform's: tenants read those that they may use, and change none"),
        ("PATCH", "/api/v1/namespaces/acme-app/pods/x/status", patch(), "403 [status-write] status-write: the subresource `status` is written by the platform's own components only"),
        ("PUT", "/api/v1/namespaces/acme-app/status", object(), "403 [status-write] status-write: the subresource `status` is written by the platform's own components only"),
        ("PUT", "/api/v1/namespaces/acme-app/finalize", object(), "403 [status-write] status-write: the subresource `finalize` is written by the platform's own components only"),
        ("POST", "/api/v1/namespaces/acme-app/pods/x/binding", object(), "403 [status-write] status-write: the subresource `binding` is written by the platform's own components only"),
        ("POST", "/api/v1/namespaces/acme-app/bindings", object(), "403 [status-write] status-write: only the scheduler binds pods to nodes"),
        ("POST", "/api/v1/namespaces/acme-app/pods/x/exec", object(), "400 [-] `create` takes no body where it opens a connection"),
        ("DELETE", "/api/v1/namespaces/acme-app/pods/x/exec", Body::Empty, "405 [-] a connection is opened by GET or POST"),
        ("PUT", "/api/v1/namespaces/acme-app/pods/x/log", object(), "405 [-] the subresource `log` does not take the verb `update`"),
        ("GET", "/api/v1/namespaces/acme-app/serviceaccounts/x/token", Body::Empty, "405 [-] the subresource `token` does not take the verb `get`"),
        ("POST", "/api/v1/namespaces/acme-app/pods", Body::Object(json!({"metadata": {"namespace": "globex-app"}})), "403 [foreign-namespace] foreign-namespace: `metadata.namespace` of the body is `globex-app`, the request is for the namespace `acme-app`"),
        ("PATCH", "/api/v1/namespaces/acme-app/pods/x", Body::Patch(PatchType::Apply, json!({"metadata": {"namespace": "globex-app"}}), ), "403 [foreign-namespace] foreign-namespace: `metadata.namespace` of the body is `globex-app`, the request is for the namespace `acme-app`"),
        ("PATCH", "/api/v1/namespaces/acme-app/pods/x", Body::Patch(PatchType::Json, json!({})), "400 [-] `patch` takes a patch as body: a list for JSON patches, else an object"),
        ("POST", "/api/v1/namespaces/acme-app/pods", Body::Empty, "400 [-] `create` takes an object as body"),
        ("POST", "/api/v1/namespaces/acme-app/pods", Body::Object(json!([])), "400 [-] `create` takes an object as body"),
        ("GET", "/api/v1/namespaces/acme-app/pods", object(), "400 [-] `list` takes no body"),
    ] {
        assert_eq!(
            told(&ask(&alice(), method, target, body)),
            expected,
            "{method} {target}"
        );
    }
}

#[test]
fn nobody_without_a_tenant_gets_anything() {
    for target in [
        "/version",
        "/api",
        "/api/v1/namespaces",
        "/api/v1/namespaces/acme-app/pods",
    ] {
        assert_eq!(
            told(&ask(&caller(vec![]), "GET", target, Body::Empty)),
            "403 [-] you are a member of no tenant"
        );
    }
}

#[test]
#[rustfmt::skip]
fn a_cordoned_tenant_reads_and_changes_nothing() {
    let told = |method, target, body| told(&ask(&cordoned(), method, target, body));
    assert!(
        told("GET", "/api/v1/namespaces/acme-app/pods", Body::Empty).starts_with("acme:admin GET")
    );
    for (method, target, body) in [
        ("POST", "/api/v1/namespaces/acme-app/pods", object()),
        ("PUT", "/api/v1/namespaces/acme-app/pods/x", object()),
        ("PATCH", "/api/v1/namespaces/acme-app/pods/x", patch()),
        ("DELETE", "/api/v1/namespaces/acme-app/pods/x", Body::Empty),
        ("DELETE", "/api/v1/namespaces/acme-app", Body::Empty),
        ("GET", "/api/v1/namespaces/acme-app/pods/x/exec?command=sh", Body::Empty),
        ("POST", "/api/v1/namespaces/acme-app/pods/x/portforward", Body::Empty),
        ("POST", "/api/v1/namespaces", Body::Object(json!({"metadata": {"name": "acme-new"}}))),
    ] {
        assert!(
            told(method, target, body).starts_with("403 [tenant-cordoned]"),
            "{method} {target}"
        );
    }
    let review = json!({"spec": {"resourceAttributes": {"namespace": "acme-app", "verb": "get", "resource": "pods"}}});
    assert!(
        told(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            Body::Object(review)
        )
        .starts_with("acme:admin POST")
    );
}

#[test]
fn created_objects_are_stamped() {
    let request = forwarded(ask(
        &alice(),
        "POST",
        "/api/v1/namespaces/acme-app/configmaps",
        object(),
    ));
    assert_eq!(
        request.body(),
        &Body::Object(
            json!({"metadata": {"name": "x", "labels": {"bulkhead.dev/tenant": "acme"}}})
        )
    );
    let lie = json!({"metadata": {"labels": {"bulkhead.dev/tenant": "globex"}}});
    assert!(
        told(&ask(
            &alice(),
            "POST",
            "/api/v1/namespaces/acme-app/configmaps",
            Body::Object(lie)
        ))
        .starts_with("403 [tenant-label-change]")
    );
    let eviction = forwarded(ask(
        &alice(),
        "POST",
        "/api/v1/namespaces/acme-app/pods/x/eviction",
        object(),
    ));
    assert_eq!(eviction.body(), &object());
}

#[test]
#[rustfmt::skip]
fn a_namespace_is_created_under_the_prefix_with_the_stamps() {
    let create = |body: Value| ask(&both(), "POST", "/api/v1/namespaces", Body::Object(body));
    let request = forwarded(create(
        json!({"metadata": {"name": "beta-dev", "labels": {"team": "x"}}}),
    ));
    assert_eq!(request.created_namespace().unwrap().as_str(), "beta-dev");
    assert_eq!(
        request.body(),
        &Body::Object(json!({"metadata": {
            "name": "beta-dev",
            "labels": {"team": "x", "bulkhead.dev/tenant": "beta", "bulkhead.dev/tenant-uid": "u-2"},
            "annotations": {"bulkhead.dev/prefix": "beta-"},
        }}))
    );
    assert_eq!(
        request.credential().headers(),
        [
            ("impersonate-user", "bulkhead:tenant:beta:admin"),
            ("impersonate-group", "bulkhead:tenants"),
            ("impersonate-extra-bulkhead.dev%2fuser", "alice"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    for (metadata, expected) in [
        (json!({"name": "other"}), "403 [foreign-namespace] foreign-namespace: namespaces \"other\" is forbidden: the names of your namespaces start with `acme-` or `beta-`"),
        (json!({"name": "acme"}), "403 [foreign-namespace]"),
        (json!({"name": "acme-"}), "400 [-]"),
        (json!({"name": "acme-X"}), "400 [-]"),
        (json!({"name": 1}), "400 [-]"),
        (json!({}), "403 [-] `metadata.name` is missing"),
        (json!({"generateName": "acme-"}), "403 [-] `metadata.name` is missing"),
        (json!({"name": "acme-x", "labels": {"bulkhead.dev/tenant": "acme"}}), "403 [tenant-label-change]"),
        (json!({"name": "acme-x", "labels": {"x.bulkhead.dev/y": "1"}}), "403 [tenant-label-change]"),
        (json!({"name": "acme-x", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}), "403 [tenant-label-change]"),
        (json!({"name": "acme-x", "annotations": {"bulkhead.dev/isolated": "u-1"}}), "403 [tenant-label-change]"),
        (json!({"name": "acme-x", "annotations": {"notbulkhead.dev/x": "1"}}), "acme:admin POST /api/v1/namespaces"),
        (json!({"name": "acme-x", "labels": []}), "400 [-]"),
    ] {
        let told = told(&create(json!({"metadata": metadata})));
        assert!(told.starts_with(expected), "{metadata}: {told}");
    }
}

#[test]
fn only_administrators_create_namespaces_and_reviews_say_so() {
    let viewer = SyntheticUser::parse("bulkhead:tenant:acme:viewer").unwrap();
    let caller = caller(vec![Membership {
        user: viewer,
        ..member("acme", "u-1", &[])
    }]);
    let told = |target, body| told(&ask(&caller, "POST", target, Body::Object(body)));
    assert_eq!(
        told(
            "/api/v1/namespaces",
            json!({"metadata": {"name": "acme-x"}})
        ),
        "403 [-] namespaces \"acme-x\" is forbidden: only the role `admin` creates namespaces, and yours in the tenant `acme` is `viewer`"
    );
    let review =
        json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "namespaces"}}});
    assert_eq!(
        told(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            review
        ),
        "answer {\"allowed\":false,\"reason\":\"only the role `admin` creates namespaces\"}"
    );
}

#[test]
fn the_namespace_decides_for_whom_a_member_of_two_tenants_acts() {
    let told = |target| told(&ask(&both(), "GET", target, Body::Empty));
    assert!(told("/api/v1/namespaces/acme-app/pods").starts_with("acme:admin "));
    assert!(told("/api/v1/namespaces/beta-app/pods").starts_with("beta:admin "));
    assert!(told("/api/v1/namespaces/beta-app").starts_with("beta:admin "));
    assert_eq!(
        told("/api/v1/namespaces"),
        "reader GET /api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant%20in%20%28acme%2Cbeta%29%2Cbulkhead.dev%2Ftenant-uid%20in%20%28u-1%2Cu-2%29"
    );
}

#[test]
#[rustfmt::skip]
fn access_reviews_are_true_through_the_gateway() {
    let target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (attributes, expected) in [
        (json!({"verb": "list", "resource": "pods", "namespace": "beta-app"}), format!("beta:admin POST {target}")),
        (json!({"verb": "list", "resource": "pods"}), "each of \"acme-app\", \"beta-app\" for {\"resourceAttributes\":{\"resource\":\"pods\",\"verb\":\"list\"}}".into()),
        (json!({"verb": "create", "resource": "pods"}), format!("acme:admin POST {target}")),
        (json!({"verb": "list", "resource": "nodes"}), "answer {\"allowed\":true,\"reason\":\"what your tenants may use of it is shown\"}".into()),
        (json!({"verb": "delete", "resource": "nodes"}), "answer {\"allowed\":false,\"reason\":\"the gateway does not serve `delete` of `nodes`\"}".into()),
        (json!({"verb": "get", "group": "storage.k8s.io", "resource": "storageclasses", "name": "x"}), "answer {\"allowed\":false,\"reason\":\"your tenants may not use it\"}".into()),
        (json!({"verb": "*", "resource": "*"}), format!("acme:admin POST {target}")),
        (json!({"verb": "list", "resource": "*"}), format!("acme:admin POST {target}")),
        (json!({"verb": "list", "resource": "pods", "namespace": "globex-app"}), "answer {\"allowed\":false,\"reason\":\"namespaces \\\"globex-app\\\" not found\"}".into()),
        (json!({"verb": "list", "resource": "namespaces"}), "answer {\"allowed\":true,\"reason\":\"the list holds your own namespaces\"}".into()),
        (json!({"verb": "get", "resource": "namespaces", "name": "beta-app"}), format!("beta:admin POST {target}")),
        (json!({"verb": "get", "resource": "namespaces", "name": "globex-app"}), "answer {\"allowed\":false,\"reason\":\"namespaces \\\"globex-app\\\" not found\"}".into()),
        (json!({"verb": "create", "resource": "namespaces"}), format!("acme:admin POST {target}")),
        (json!({"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "acme-app"}), format!("acme:admin POST {target}")),
        (json!({"verb": "create", "resource": "pods", "subresource": "proxy", "namespace": "acme-app"}), "answer {\"allowed\":false,\"reason\":\"the gateway does not serve the subresource `proxy`\"}".into()),
        (json!({"verb": "list", "namespace": 1}), "400 [-] `spec.resourceAttributes.namespace` must be a string".into()),
    ] {
        let body = Body::Object(json!({"spec": {"resourceAttributes": attributes}}));
        assert_eq!(told(&ask(&both(), "POST", target, body)), expected, "{attributes}");
    }
    let named = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "namespaces", "name": "beta-app"}}});
    let request = forwarded(ask(&both(), "POST", target, Body::Object(named)));
    assert_eq!(
        request.body().value().unwrap()["spec"]["resourceAttributes"]["namespace"],
        "beta-app"
    );
    let rules = |namespace: &str| {
        let body = Body::Object(json!({"spec": {"namespace": namespace}}));
        told(&ask(
            &both(),
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            body,
        ))
    };
    assert!(rules("beta-app").starts_with("beta:admin POST"));
    assert!(rules("globex-app").starts_with("404 [foreign-namespace]"));
}

fn targets() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "api",
        "apis",
        "v1",
        "apps",
        "authorization.k8s.io",
        "namespaces",
        "Namespaces",
        "acme-app",
        "globex-app",
        "kube-system",
        "pods",
        "nodes",
        "secrets",
        "log",
        "status",
        "proxy",
        "watch",
        "x",
        "",
        ".",
        "..",
        "%2e%2e",
        "%2f",
        "acme-app%2fpods",
        "acme-app;x",
        "acme-app#",
        "a\\b",
        "acme-app\0",
        "ä",
    ]);
    let pair = prop::sample::select(vec![
        "watch=true",
        "watch=1",
        "watch=x",
        "labelSelector=",
        "labelSelector=a",
        "labelSelector=bulkhead.dev/tenant%3Dglobex",
        "labelSelector=a;b",
        "labelSelector=%zz",
        "fieldSelector=metadata.namespace%3Dglobex-app",
        "namespace=globex-app",
        "continue=abc",
        "limit=1",
        "&",
        "",
    ]);
    (
        prop::collection::vec(part, 0..8),
        prop::collection::vec(pair, 0..3),
        any::<bool>(),
    )
        .prop_map(|(path, query, root)| {
            let root = if root { "/api/v1/namespaces/" } else { "/" };
            format!("{root}{}?{}", path.join("/"), query.join("&"))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn nothing_that_is_let_through_leaves_the_callers_namespaces(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
        target in targets(),
    ) {
        let target = target.trim_end_matches('?');
        let body = match method {
            "POST" | "PUT" => object(),
            "PATCH" => patch(),
            _ => Body::Empty,
        };
        let own: BTreeSet<&str> = BTreeSet::from(["acme-app", "acme-dev"]);
        if let Ok(Outcome::Forward(request)) = ask(&alice(), method, target, body) {
            let again = parse(request.method(), &request.target());
            prop_assert_eq!(again.as_ref(), Ok(request.request()));
            // What upstream reads: the target decoded and split.
            let sent = request.target();
            let path = sent.split('?').next().unwrap_or_default();
            prop_assert!(!path.contains('%') && !path.contains("//") && !path.contains(".."), "{}", path);
            if let Path::Resource(resource) = request.request().path() {
                let segments: Vec<&str> = path.split('/').collect();
                let at = segments.iter().position(|s| *s == "namespaces");
                match at.and_then(|i| segments.get(i + 1)) {
                    Some(namespace) => prop_assert!(own.contains(namespace), "{}", sent),
                    None if resource.is_namespaces() => prop_assert!(
                        request.credential() != &Credential::Reader || sent.contains("tenant-uid%20in%20%28u-1%29"),
                        "{}", sent
                    ),
                    None => prop_assert!(path.contains("selfsubject"), "{}", sent),
                }
            }
        }
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_is_read() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/targets");
    let mut read = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let line = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (method, target) = line.split_once(' ').unwrap_or(("GET", &line));
        if let Ok(asked) = parse(method, target) {
            let again = parse(asked.verb().method(), &asked.target());
            assert_eq!(again, Ok(asked), "{line}");
            read += 1;
        }
    }
    assert!(read >= 5, "only {read} have a reading");
}
