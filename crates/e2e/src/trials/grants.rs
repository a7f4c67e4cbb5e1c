//! Rights and tokens that tenants hand on: what is theirs works, what is not is refused in the
//! control's words.

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "grants::a_tenants_admin_grants_its_rights_to_its_own_accounts",
        grants,
    ),
    (
        "grants::tokens_and_roles_of_the_cloud_are_those_on_the_tenants_lists",
        lists,
    ),
    ("grants::no_kind_of_the_whole_cluster_is_an_owner", owners),
];

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn binding(name: &str, role: &str, account: &str, namespace: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    })
}

fn grants(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-granting", &json!({}))?;
    let own = &guest.namespace;
    let second = format!("{}-second", guest.name);
    guest.make_namespace(&second)?;
    for namespace in [own, &second] {
        let account = json!({"metadata": {"name": "worker"}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        succeeded(&guest.send(&Request::post(path, &account))?)?;
    }
    let role = |resource: &str, verb: &str| {
        json!({
            "metadata": {"name": format!("e2e-{resource}")},
            "rules": [{"apiGroups": [""], "resources": [resource], "verbs": [verb]}],
        })
    };
    let roles = format!("{RBAC}/namespaces/{own}/roles");
    let bindings = format!("{RBAC}/namespaces/{own}/rolebindings");
    succeeded(&guest.send(&Request::post(roles.as_str(), &role("configmaps", "list")))?)?;
    // What the tenant does not have, Kubernetes itself refuses.
    refused(
        &guest.send(&Request::post(
            roles.as_str(),
            &role("podtemplates", "create"),
        ))?,
        403,
        &["attempting to grant RBAC permissions not currently held"],
    )?;
    for (name, namespace) in [("near", own), ("far", &second)] {
        let object = binding(name, "e2e-configmaps", "worker", namespace);
        succeeded(&guest.send(&Request::post(bindings.as_str(), &object))?)?;
    }
    let stranger = binding("stranger", "e2e-configmaps", "default", bed.theirs());
    refused(
        &guest.send(&Request::post(bindings.as_str(), &stranger))?,
        403,
        &["judge.bulkhead.dev", "rbac-beyond-tenant", "mend:"],
    )?;
    // The rights are worth something, at the API server itself, and no more than was given.
    for namespace in [own, &second] {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/worker/token");
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = succeeded(&guest.send(&Request::post(path, &request))?)?;
        let token = text(&answer, "/status/token").to_owned();
        ensure!(!token.is_empty(), "no token: {answer}");
        let worker = bulkhead_attack::Credential::Token(token);
        let client = bed
            .field
            .client(bulkhead_attack::Door::ApiServer, &worker)?;
        let get = |resource: &str| Request::get(format!("/api/v1/namespaces/{own}/{resource}"));
        succeeded(&bed.send(&client, &get("configmaps"))?)?;
        refused(&bed.send(&client, &get("secrets"))?, 403, &["cannot list"])?;
    }
    guest.leave()
}

fn lists(bed: &Bed) -> anyhow::Result<()> {
    const ROLE: &str = "arn:aws:iam::123456789012:role/e2e-app";
    let spec =
        json!({"serviceAccounts": {"tokenAudiences": ["vault.example"], "iamRoles": [ROLE]}});
    let guest = Guest::arrive(bed, "e2e-listed", &spec)?;
    let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", guest.namespace);
    let annotated = |role: &str| json!({"metadata": {"name": "cloud", "annotations": {"eks.amazonaws.com/role-arn": role}}});
    refused(
        &guest.send(&Request::post(
            accounts.as_str(),
            &annotated("arn:aws:iam::123456789012:role/other"),
        ))?,
        403,
        &["iam-role-chosen", "mend:"],
    )?;
    succeeded(&guest.send(&Request::post(accounts.as_str(), &annotated(ROLE)))?)?;
    let ask = |audience: &str| {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience]},
        });
        guest.send(&Request::post(format!("{accounts}/cloud/token"), &body))
    };
    succeeded(&ask("vault.example")?)?;
    succeeded(&ask("bulkhead.dev/gateway")?)?;
    refused(
        &ask("sts.amazonaws.com")?,
        403,
        &["mend.bulkhead.dev", "token-audience-chosen", "mend:"],
    )?;
    guest.leave()
}

/// Every kind that Kubernetes serves for the whole cluster.
fn owners(bed: &Bed) -> anyhow::Result<()> {
    let groups = bed.do_as_admin(&Request::get("/apis"))?;
    let list = |value: &Value, at: &str| -> Vec<Value> {
        value
            .pointer(at)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut versions = vec!["v1".to_owned()];
    for group in list(&groups, "/groups") {
        let served = list(&group, "/versions");
        versions.extend(served.iter().map(|v| text(v, "/groupVersion").to_owned()));
    }
    let (mut open, mut tried) = (Vec::new(), 0);
    for version in versions {
        let root = if version == "v1" { "/api" } else { "/apis" };
        let served = bed.do_as_admin(&Request::get(format!("{root}/{version}")))?;
        for resource in list(&served, "/resources") {
            let cluster_wide = resource.pointer("/namespaced") == Some(&Value::Bool(false));
            let verbs = list(&resource, "/verbs");
            // What is never stored owns nothing.
            if !cluster_wide
                || !verbs.contains(&json!("get"))
                || text(&resource, "/name").contains('/')
            {
                continue;
            }
            let kind = text(&resource, "/kind");
            let object = json!({"metadata": {"name": "e2e-owned", "ownerReferences": [{
                "apiVersion": version, "kind": kind, "name": "x",
                "uid": "0b4ad0ab-66a8-4a2e-b4e8-4b2a8a4d6b5c",
            }]}});
            let path = format!("/api/v1/namespaces/{}/configmaps?dryRun=All", bed.own());
            let response = bed.admin(&Request::post(path, &object))?;
            tried += 1;
            if refused(&response, 403, &["foreign-owner-reference"]).is_err() {
                open.push(format!(
                    "{version} {kind}: {} {}",
                    response.status,
                    response.message()
                ));
            }
        }
    }
    ensure!(tried >= 20, "only {tried} kinds");
    ensure!(
        open.is_empty(),
        "not refused as owners:\n{}",
        open.join("\n")
    );
    Ok(())
}
