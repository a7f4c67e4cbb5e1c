//! Rights, tokens and roles of the cloud: what a tenant hands out, and to whom.

pub(crate) mod certificate_signer_unlisted;
pub(crate) mod direct_api_access;
pub(crate) mod foreign_owner_reference;
pub(crate) mod iam_role_chosen;
pub(crate) mod impersonation_unconstrained;
pub(crate) mod legacy_token_secret;
pub(crate) mod rbac_beyond_tenant;
pub(crate) mod tenant_extends_api;
pub(crate) mod token_audience_chosen;

use bulkhead_model::view::Fields;
use bulkhead_model::{Json, TenantRules, labels};

use crate::object::Object;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Whom a subject of a RoleBinding means, seen from a tenant.
enum Whom<'a> {
    /// A role of the tenant's own, as the gateway impersonates it.
    OwnUser,
    /// A ServiceAccount of this namespace.
    Account(&'a str),
    /// A user or group that only some other way to the API server can vouch for.
    Outsider(&'a str),
    /// A user or group of Kubernetes, of Bulkhead, of another tenant.
    Platform(&'a str),
    /// Nobody: the field that is wrong, and how.
    Nobody(&'static str, &'static str),
}

impl<'a> Whom<'a> {
    /// A ServiceAccount without a namespace is one of the binding's.
    fn of(subject: Fields<'a>, binding: &'a str, rules: &TenantRules) -> Self {
        let Some(name) = subject.str("name").filter(|name| !name.is_empty()) else {
            return Self::Nobody("name", "must be a name");
        };
        match subject.str("kind") {
            Some("ServiceAccount") => match subject.get("namespace").map(Json::as_str) {
                None | Some(Some("")) => Self::Account(binding),
                Some(Some(namespace)) => Self::Account(namespace),
                Some(None) => Self::Nobody("namespace", "must be the name of a namespace"),
            },
            Some("User") if own_user(name, rules) => Self::OwnUser,
            Some("User" | "Group")
                if ["system:", "bulkhead:"].iter().any(|p| name.starts_with(p)) =>
            {
                Self::Platform(name)
            }
            Some("User" | "Group") => Self::Outsider(name),
            _ => Self::Nobody("kind", "must be `ServiceAccount` or `User`"),
        }
    }
}

/// `bulkhead:tenant:<own tenant>:<role>`.
fn own_user(name: &str, rules: &TenantRules) -> bool {
    name.strip_prefix(labels::SYNTHETIC_PREFIX)
        .and_then(|rest| rest.strip_prefix(rules.tenant.as_str()))
        .and_then(|rest| rest.strip_prefix(':'))
        .is_some_and(|role| !role.is_empty() && !role.contains(':'))
}

/// The subjects of a RoleBinding, with their places in the list.
fn subjects<'a>(object: &Object<'a>) -> impl Iterator<Item = (usize, Fields<'a>)> {
    let list: &[Json<'a>] = if object.is(RBAC, "rolebindings") {
        object.fields().list("subjects")
    } else {
        &[]
    };
    list.iter()
        .enumerate()
        .map(|(index, subject)| (index, Fields::of(Some(subject))))
}

/// The rules of a Role, with their places in the list.
fn rules<'a>(object: &Object<'a>) -> impl Iterator<Item = (usize, Fields<'a>)> {
    let list: &[Json<'a>] = if object.is(RBAC, "roles") {
        object.fields().list("rules")
    } else {
        &[]
    };
    list.iter()
        .enumerate()
        .map(|(index, rule)| (index, Fields::of(Some(rule))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subject_is_who_it_is_to_the_api_server() {
        let rules: TenantRules =
            serde_json::from_value(json!({"tenant": "acme", "uid": "u-1", "profile": "Strict"}))
                .unwrap();
        for (kind, name, namespace, expected) in [
            ("User", "bulkhead:tenant:acme:admin", "", "own"),
            ("User", "bulkhead:tenant:acme:", "", "platform"),
            ("User", "bulkhead:tenant:acme:a:b", "", "platform"),
            ("User", "bulkhead:tenant:acme-two:admin", "", "platform"),
            ("User", "bulkhead:tenant:globex:admin", "", "platform"),
            ("Group", "bulkhead:tenant:acme:admin", "", "platform"),
            ("Group", "bulkhead:tenants", "", "platform"),
            ("User", "system:serviceaccount:acme-dev:app", "", "platform"),
            ("Group", "system:serviceaccounts:acme-dev", "", "platform"),
            ("Group", "system:authenticated", "", "platform"),
            ("User", "alice", "", "outsider"),
            ("Group", "acme-admins", "", "outsider"),
            ("ServiceAccount", "app", "acme-dev", "acme-dev"),
            ("ServiceAccount", "app", "", "acme-own"),
            ("serviceaccount", "app", "acme-dev", "nobody"),
            ("User", "", "", "nobody"),
        ] {
            let subject = Json::from(json!({"kind": kind, "name": name, "namespace": namespace}));
            let found = match Whom::of(Fields::of(Some(&subject)), "acme-own", &rules) {
                Whom::OwnUser => "own",
                Whom::Account(namespace) => namespace,
                Whom::Outsider(_) => "outsider",
                Whom::Platform(_) => "platform",
                Whom::Nobody(..) => "nobody",
            };
            assert_eq!(found, expected, "{kind} {name}");
        }
    }
}
