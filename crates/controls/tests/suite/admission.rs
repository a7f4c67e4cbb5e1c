//! What the API server does with an object: it is mended, then judged.

use std::collections::BTreeSet;

use bulkhead_controls::carriers::{CARRIERS, Carrier};
use bulkhead_controls::{Facts, Unjudged, judge, mend};
use bulkhead_model::{AdmissionRequest, Capability, Finding, Operation, TenantRules, UserInfo};
use serde_json::{Value, json};

pub fn strict() -> TenantRules {
    serde_json::from_value(json!({
        "tenant": "acme", "uid": "u-1", "profile": "Strict",
        "ids": {"range": "1000000000-1000009999"},
    }))
    .unwrap()
}

pub fn carrier(kind: &str) -> Option<&'static Carrier> {
    CARRIERS.iter().find(|carrier| carrier.kind == kind)
}

/// The request that makes an object.
pub fn create(object: Value) -> AdmissionRequest<'static> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let carrier = carrier(&kind);
    let resource = carrier.map_or("others", |carrier| &carrier.resource);
    let only = carrier.and_then(|carrier| carrier.only);
    serde_json::from_value(json!({
        "uid": "1", "operation": "CREATE", "namespace": "acme-dev",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {
            "group": only.map_or(group, |_| carrier.map_or("", |c| &*c.group)),
            "version": version, "resource": resource,
        },
        "subResource": only.map(|only| only.subresource),
        "object": object,
    }))
    .unwrap()
}

/// The request that turns one object into another.
pub fn update(old: Value, new: Value, subresource: Option<&str>) -> AdmissionRequest<'static> {
    AdmissionRequest {
        operation: Operation::Update,
        sub_resource: subresource.map(str::to_owned),
        old_object: Some(old.into()),
        ..create(new)
    }
}

/// The object that comes of mending; none if there is nothing to mend.
pub fn mended(request: &AdmissionRequest<'_>, facts: &Facts) -> Option<Value> {
    mended_by(request, &strict(), facts)
}

/// [`mended`], for a tenant with these rules.
pub fn mended_by(
    request: &AdmissionRequest<'_>,
    rules: &TenantRules,
    facts: &Facts,
) -> Option<Value> {
    mend(request, rules, facts).map(Value::from)
}

pub fn admit(
    request: AdmissionRequest<'static>,
    rules: &TenantRules,
) -> Result<Vec<Finding>, Unjudged> {
    admit_with(request, rules, Facts::NONE)
}

pub fn admit_with(
    mut request: AdmissionRequest<'static>,
    rules: &TenantRules,
    facts: &Facts,
) -> Result<Vec<Finding>, Unjudged> {
    if let Some(mended) = mend(&request, rules, facts) {
        request.object = Some(mended);
    }
    judge(&request, rules, facts)
}

pub fn names(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.control).collect()
}

pub fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn a_capability_that_the_tenant_is_allowed_passes_as_kubernetes_spells_it() {
    let mut rules = strict();
    rules
        .allowed_capabilities
        .insert(Capability::parse("NET_BIND_SERVICE").unwrap());
    for (capability, allowed) in [
        ("NET_BIND_SERVICE", true),
        ("cap_net_bind_service", false),
        ("CAP_NET_BIND_SERVICE", false),
        ("NET_RAW", false),
        ("ALL", false),
    ] {
        let pod = pod(json!({"containers": [
            {"name": "c", "securityContext": {"capabilities": {"add": [capability]}}},
        ]}));
        let findings = admit(create(pod), &rules).unwrap();
        assert_eq!(findings.is_empty(), allowed, "{capability}: {findings:?}");
    }
}

#[test]
fn only_pods_are_mended_and_only_when_they_are_made() {
    let bare = pod(json!({"containers": [{"name": "c"}]}));
    assert!(mended(&create(bare.clone()), Facts::NONE).is_some());
    for sub in [
        None,
        Some("resize"),
        Some("status"),
        Some("ephemeralcontainers"),
    ] {
        assert_eq!(
            mend(
                &update(bare.clone(), bare.clone(), sub),
                &strict(),
                Facts::NONE
            ),
            None,
            "{sub:?}"
        );
    }
    let template = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}},
    });
    assert_eq!(mended(&create(template.clone()), Facts::NONE), None);
    assert_eq!(admit(create(template), &strict()), Ok(vec![]));
    // A pod that came before us is no better for being old.
    let findings = admit(update(bare.clone(), bare, None), &strict()).unwrap();
    assert_eq!(
        names(&findings),
        BTreeSet::from([
            "capabilities-kept",
            "id-outside-tenant-range",
            "privilege-escalation",
            "runs-as-root",
            "seccomp-unconfined",
        ])
    );
}

#[test]
fn an_ephemeral_container_is_mended_as_it_joins_and_not_later() {
    let with = |ephemeral: Value| {
        pod(json!({"containers": [{"name": "c"}], "ephemeralContainers": ephemeral}))
    };
    let (old, new) = (json!({"name": "old"}), json!({"name": "new"}));
    let request = update(
        with(json!([old])),
        with(json!([new, old])),
        Some("ephemeralcontainers"),
    );
    let mended = mended(&request, Facts::NONE).unwrap();
    assert_eq!(
        mended["spec"],
        json!({
            "containers": [{"name": "c"}],
            "ephemeralContainers": [
                {"name": "new", "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": true,
                    "runAsGroup": 1_000_000_000,
                    "runAsUser": 1_000_000_000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                }},
                {"name": "old"},
            ],
        })
    );
}

#[test]
fn what_no_rule_covers_is_an_error_and_no_pass() {
    let bare = pod(json!({"containers": []}));
    let change = |change: &dyn Fn(&mut AdmissionRequest<'static>)| {
        let mut request = create(bare.clone());
        change(&mut request);
        judge(&request, &strict(), Facts::NONE)
            .unwrap_err()
            .to_string()
    };
    for (error, expect) in [
        (
            change(&|r| r.sub_resource = Some("status".into())),
            "no rule covers Pod of `v1`, subresource `status`",
        ),
        (
            change(&|r| r.kind.kind = "Pad".into()),
            "no rule covers Pad of `v1`",
        ),
        (
            change(&|r| r.kind.version = "v2".into()),
            "no rule covers Pod of `v2`",
        ),
        (
            change(&|r| r.kind.group = "apps".into()),
            "no rule covers Pod of `apps/v1`",
        ),
        (
            change(&|r| r.resource.resource = "pads".into()),
            "no rule covers Pod of `v1`",
        ),
        (
            change(&|r| r.operation = Operation::Delete),
            "only CREATE and UPDATE are judged, not DELETE",
        ),
        (
            change(&|r| r.object = None),
            "the request carries no object",
        ),
        (
            change(&|r| r.object = Some(Value::Null.into())),
            "the request carries no object",
        ),
        (
            change(&|r| r.object = Some(json!("pod").into())),
            "the object itself must be of type object",
        ),
        (
            change(&|r| r.object = Some(json!({}).into())),
            "`spec` must be there and be of type object",
        ),
        (
            change(&|r| r.object = Some(pod(json!({"containers": {"a": {}}})).into())),
            "`spec.containers` must be of type list",
        ),
        (
            change(&|r| r.object = Some(pod(json!({"initContainers": [{}, null]})).into())),
            "`spec.initContainers[1]` must be of type object",
        ),
    ] {
        assert_eq!(error, expect);
    }
}

#[test]
fn a_claim_keeps_the_volume_that_the_cluster_chose_for_it() {
    let claim = |volume: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"volumeName": volume}});
    let by = |user: &str, old: Value, new: Value| {
        let mut request = update(claim(old), claim(new), None);
        request.user_info = UserInfo {
            username: user.into(),
            groups: vec![],
        };
        admit(request, &strict()).unwrap().is_empty()
    };
    let tenant = "bulkhead:tenant:acme:admin";
    let binder = "system:serviceaccount:kube-system:persistent-volume-binder";
    assert!(by(binder, Value::Null, json!("pv-1")));
    assert!(by(
        "system:kube-controller-manager",
        json!(""),
        json!("pv-1")
    ));
    assert!(by(tenant, json!("pv-1"), json!("pv-1")));
    assert!(by(tenant, Value::Null, json!("")));
    assert!(!by(tenant, Value::Null, json!("pv-1")));
    assert!(!by(tenant, json!("pv-1"), json!("pv-2")));
    assert!(!by(
        "system:serviceaccount:acme-dev:persistent-volume-binder",
        Value::Null,
        json!("pv-1")
    ));
}

#[test]
fn a_template_of_a_claim_names_no_volume_whoever_writes_it() {
    let volume = json!({"name": "v", "ephemeral": {
        "volumeClaimTemplate": {"spec": {"volumeName": "pv-1"}},
    }});
    let pod = pod(json!({
        "securityContext": {"supplementalGroupsPolicy": "Strict"},
        "containers": [], "volumes": [volume],
    }));
    let mut request = update(pod.clone(), pod, None);
    request.user_info.username = "system:kube-controller-manager".into();
    let findings = admit(request, &strict()).unwrap();
    assert_eq!(names(&findings), BTreeSet::from(["volume-preclaimed"]));
}

#[test]
fn a_pod_that_cannot_have_the_fields_of_linux_is_not_given_them() {
    for system in [json!("windows"), json!("plan9"), json!(1)] {
        let pod = pod(json!({"os": {"name": system}, "containers": [{"name": "c"}]}));
        assert_eq!(mended(&create(pod), Facts::NONE), None, "{system}");
    }
}

/// A tenant that prefers user namespaces later on still has pods of before.
#[test]
fn a_pod_that_stands_is_judged_by_the_users_that_it_has() {
    let rules = |user_namespaces: &str| -> TenantRules {
        let mut rules = json!(strict());
        rules["ids"]["userNamespaces"] = json!(user_namespaces);
        serde_json::from_value(rules).unwrap()
    };
    let made = |rules: &TenantRules| {
        let request = create(pod(json!({"containers": [{"name": "c"}]})));
        Value::from(mend(&request, rules, Facts::NONE).unwrap())
    };
    let labelled = |pod: &Value| {
        let mut pod = pod.clone();
        pod["metadata"]["labels"] = json!({"a": "b"});
        pod
    };
    let preferring = rules("Preferred");
    for pod in [made(&strict()), made(&preferring)] {
        let request = update(pod.clone(), labelled(&pod), None);
        assert_eq!(admit(request, &preferring), Ok(vec![]), "{pod}");
    }
    // Without the user namespace that came with them its ids are another's.
    let mut taken_away = made(&preferring);
    taken_away["spec"]["hostUsers"] = Value::Null;
    let request = update(taken_away.clone(), labelled(&taken_away), None);
    let findings = admit(request, &preferring).unwrap();
    assert_eq!(
        names(&findings),
        BTreeSet::from(["id-outside-tenant-range"])
    );
}

/// Who tightens a LimitRange still has pods of before; a resize may not take what they have away.
#[test]
fn a_pod_that_stands_keeps_its_limits_and_loses_none() {
    let rules: TenantRules = {
        let mut rules = json!(strict());
        rules["withoutDefaultLimit"] = json!(["memory"]);
        serde_json::from_value(rules).unwrap()
    };
    let with = |limits: Value| {
        let pod = pod(json!({"containers": [{"name": "c", "resources": {"limits": limits}}]}));
        Value::from(mend(&create(pod), &strict(), Facts::NONE).unwrap())
    };
    let labelled = |mut pod: Value| {
        pod["metadata"]["labels"] = json!({"a": "b"});
        pod
    };
    let (bare, full) = (with(json!({})), with(json!({"memory": "1Gi"})));
    let found = |request| names(&admit(request, &rules).unwrap());
    assert_eq!(
        found(update(bare.clone(), labelled(bare.clone()), None)),
        BTreeSet::new()
    );
    assert_eq!(
        found(update(
            full.clone(),
            with(json!({"memory": "2Gi"})),
            Some("resize")
        )),
        BTreeSet::new()
    );
    for worse in [
        bare.clone(),
        with(json!({"memory": "0"})),
        with(json!({"memory": "lots"})),
    ] {
        let request = update(full.clone(), worse, Some("resize"));
        assert_eq!(found(request), BTreeSet::from(["no-resource-limit"]));
    }
    assert_eq!(found(create(bare)), BTreeSet::from(["no-resource-limit"]));
}
