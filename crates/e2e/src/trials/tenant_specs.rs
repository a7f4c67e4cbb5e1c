//! Wrong Tenants are refused, with the field's path.

use anyhow::{Context as _, ensure};
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::refused;

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("tenants::wrong_specs_are_refused_by_path", wrong),
    ("tenants::overlapping_prefixes_are_refused", overlapping),
    ("tenants::a_good_spec_is_taken", good),
];

const TENANTS: &str = "/apis/bulkhead.dev/v1alpha1/tenants?dryRun=All";

fn tenant(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec})
}

fn member(kind: &str, name: &str, role: &str) -> Value {
    json!({"members": [{"kind": kind, "name": name, "role": role}]})
}

fn good(bed: &Bed) -> anyhow::Result<()> {
    let spec = json!({
        "members": [
            {"kind": "Group", "name": "initech-admins", "role": "Admin"},
            {"kind": "ServiceAccount", "name": "initech-ci/deployer", "role": "deployer"},
        ],
        "roles": [{"name": "deployer", "clusterRole": "initech-deployer"}],
        "namespaceOptions": {"prefix": "initech-"},
        "podSecurity": {"profile": "Strict", "allowedCapabilities": ["NET_BIND_SERVICE"]},
        "network": {"isolation": "DefaultDeny"},
    });
    bed.do_as_admin(&Request::post(TENANTS, &tenant("initech", &spec)))
        .map(drop)
}

fn wrong(bed: &Bed) -> anyhow::Result<()> {
    for (path, spec) in [
        (
            "spec.members[0].name",
            member("User", "system:admin", "Admin"),
        ),
        (
            "spec.members[0].name",
            member("Group", "system:authenticated", "Admin"),
        ),
        (
            "spec.members[0].name",
            member("User", "bulkhead:tenant:acme:admin", "Admin"),
        ),
        (
            "spec.members[0].name",
            member("ServiceAccount", "deployer", "Admin"),
        ),
        (
            "spec.members[0].name",
            member("ServiceAccount", "a/b/c", "Admin"),
        ),
        ("spec.members[0].name", member("User", "", "Admin")),
        ("spec.members[0].kind", member("Robot", "x", "Admin")),
        ("spec.members", member("User", "x", "no-such-role")),
        (
            "spec.roles[0].clusterRole",
            json!({"roles": [{"name": "x", "clusterRole": "cluster-admin"}]}),
        ),
        (
            "spec.roles[0].name",
            json!({"roles": [{"name": "admin", "clusterRole": "x"}]}),
        ),
        (
            "spec.namespaceOptions.prefix",
            json!({"namespaceOptions": {"prefix": "initech"}}),
        ),
        (
            "spec.namespaceOptions.prefix",
            json!({"namespaceOptions": {"prefix": "kube-"}}),
        ),
        (
            "spec.namespaceOptions.prefix",
            json!({"namespaceOptions": {"prefix": "bulkhead-"}}),
        ),
        (
            "spec.namespaceOptions.prefix",
            json!({"namespaceOptions": {"prefix": "No_Label-"}}),
        ),
        (
            "spec.podSecurity.allowedCapabilities[0]",
            json!({"podSecurity": {"allowedCapabilities": ["SYS_ADMIN"]}}),
        ),
        (
            "spec.podSecurity.allowedCapabilities[0]",
            json!({"podSecurity": {"allowedCapabilities": ["ALL"]}}),
        ),
        (
            "spec.podSecurity.allowedCapabilities[0]",
            json!({"podSecurity": {"allowedCapabilities": ["cap_chown"]}}),
        ),
        (
            "spec.podSecurity.profile",
            json!({"podSecurity": {"profile": "Privileged"}}),
        ),
        (
            "spec.podSecurity.profile",
            json!({"tier": "Pool", "podSecurity": {"profile": "Privileged"}}),
        ),
        (
            "spec.podSecurity.userNamespaces",
            json!({"podSecurity": {"userNamespaces": true}}),
        ),
        (
            "spec.podSecurity.selinuxLevel",
            json!({"podSecurity": {"selinuxLevel": "s0:c1,c2"}}),
        ),
        ("spec.tier", json!({"tier": "silo"})),
        (
            "spec.network.isolation",
            json!({"network": {"isolation": "None"}}),
        ),
        ("spec.cordoned", json!({"cordoned": "yes"})),
    ] {
        let response = bed.admin(&Request::post(TENANTS, &tenant("initech", &spec)))?;
        refused(&response, 422, &[path]).with_context(|| format!("{spec}"))?;
    }
    let unknown = tenant("initech", &json!({"quotas": 1}));
    let strict = bed.admin(&Request::post(
        format!("{TENANTS}&fieldValidation=Strict"),
        &unknown,
    ))?;
    refused(&strict, 400, &["spec.quotas"])?;
    let name = bed.admin(&Request::post(TENANTS, &tenant("No_Label", &json!({}))))?;
    ensure!(name.status == 422, "{}", name.message());
    Ok(())
}

fn overlapping(bed: &Bed) -> anyhow::Result<()> {
    let acme = &bed.field.attacker.tenant;
    for prefix in [format!("{acme}-prod-"), format!("{acme}-")] {
        let spec = json!({"namespaceOptions": {"prefix": prefix}});
        let response = bed.admin(&Request::post(TENANTS, &tenant("initech", &spec)))?;
        refused(
            &response,
            422,
            &["spec.namespaceOptions.prefix", &format!("{acme}-"), acme],
        )?;
    }
    // Without a prefix of its own, the name counts.
    let response = bed.admin(&Request::post(
        TENANTS,
        &tenant(&format!("{acme}-two"), &json!({})),
    ))?;
    refused(&response, 422, &["spec.namespaceOptions.prefix", acme])
}
