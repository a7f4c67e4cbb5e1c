//! Namespaces with a tenant's label that are not the tenant's.

use std::time::Duration;

use anyhow::ensure;
use bulkhead_attack::wire::Request;
use serde_json::{Value, json};

use crate::Check;
use crate::bed::Bed;
use crate::client::{names, refused};

pub(super) const TRIALS: &[(&str, Check)] = &[
    ("tenants::a_namespace_of_a_former_tenant_is_nobodys", former),
    (
        "tenants::an_administrator_hands_a_namespace_over",
        handed_over,
    ),
];

/// A namespace with these labels of the first tenant's, looked at, and deleted.
fn with(
    bed: &Bed,
    name: &str,
    uid: &str,
    look: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{name}");
    let labels =
        json!({"bulkhead.dev/tenant": bed.field.attacker.tenant, "bulkhead.dev/tenant-uid": uid});
    let object = json!({"metadata": {"name": name, "labels": labels}});
    bed.do_as_admin(&Request::post("/api/v1/namespaces", &object))?;
    // Long enough for all caches to have heard of it.
    std::thread::sleep(Duration::from_secs(2));
    let result = look(&path);
    bed.do_as_admin(&Request::delete(path.as_str()))?;
    result
}

/// The gateway serves nothing of it.
fn is_unknown(bed: &Bed, path: &str) -> anyhow::Result<()> {
    for target in [
        path.to_owned(),
        format!("{path}/secrets"),
        format!("{path}/pods"),
    ] {
        refused(&bed.tenant(&Request::get(target))?, 404, &["not found"])?;
    }
    Ok(())
}

/// A Tenant that is made anew under an old name does not get the old one's namespaces.
fn former(bed: &Bed) -> anyhow::Result<()> {
    let name = format!("{}-former", bed.field.attacker.tenant);
    with(bed, &name, "00000000-0000-0000-0000-000000000000", |path| {
        is_unknown(bed, path)?;
        let list = bed.do_as_tenant(&Request::get("/api/v1/namespaces"))?;
        ensure!(!names(&list).contains(&name), "it is listed");
        // Not even an administrator puts a pod into what nobody has isolated.
        let pod = json!({"metadata": {"name": "e2e-no"}, "spec": bulkhead_attack::good_pod()});
        // For want of rules not even its ServiceAccount is made, for which the API server asks first.
        let response = bed.admin(&Request::post(format!("{path}/pods?dryRun=All"), &pod))?;
        refused(&response, 403, &["serviceaccount \"default\" not found"])?;
        let account = json!({"metadata": {"name": "e2e-no"}});
        let accounts = format!("{path}/serviceaccounts?dryRun=All");
        let response = bed.admin(&Request::post(accounts, &account))?;
        refused(&response, 403, &["no rules are known for the namespace"])?;
        let object = bed.do_as_admin(&Request::get(path))?;
        let opened: Option<&Value> = object.pointer("/metadata/annotations/bulkhead.dev~1isolated");
        ensure!(opened.is_none(), "it was opened: {object}");
        let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings");
        ensure!(
            names(&bed.do_as_admin(&Request::get(bindings))?).is_empty(),
            "somebody has rights there"
        );
        Ok(())
    })
}

/// An administrator hands over a namespace that was there before: name and UID make it the
/// tenant's, the prefix is for the names that tenants choose.
fn handed_over(bed: &Bed) -> anyhow::Result<()> {
    with(bed, "e2e-handed-over", &bed.field.attacker.uid, |path| {
        let served = bed.do_as_tenant(&Request::get(path))?;
        let opened = served.pointer("/metadata/annotations/bulkhead.dev~1isolated");
        ensure!(
            opened.and_then(Value::as_str) == Some(&bed.field.attacker.uid),
            "it was not opened: {served}"
        );
        let pods = bed.do_as_tenant(&Request::get(format!("{path}/pods")))?;
        ensure!(names(&pods).is_empty(), "{pods}");
        Ok(())
    })
}
