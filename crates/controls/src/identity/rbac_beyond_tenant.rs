//! Rights in a tenant's namespace for others than the tenant, and rights that lead out of it. RBAC
//! keeps people from granting what they do not have; it does not ask to whom, and not at all whoever
//! was given `*`.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Json, labels};

use super::{RBAC, Whom, rules, subjects};
use crate::context::{Context, Findings, is, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::facts::{Fact, ObjectKey, Wanted};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "rbac-beyond-tenant",
    guide: Section::Namespaces,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "a right that is another's, or that leads out of the namespace, is a way around everything that isolates it",
    remedy: "name single resources and verbs, and grant them to ServiceAccounts or roles of your own tenant",
    page: include_str!("rbac_beyond_tenant.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

/// The ClusterRoles that a RoleBinding may name, beside those of the Tenant's `spec.roles`.
const CLUSTER_ROLES: [&str; 3] = [
    "bulkhead-tenant-admin",
    "bulkhead-tenant-developer",
    "bulkhead-tenant-viewer",
];

/// Verbs that make more of a right than it says. `impersonate` has a control of its own.
const VERBS: [&str; 7] = [
    "*",
    "escalate",
    "bind",
    "approve",
    "sign",
    "attest",
    "request-serviceaccounts-token-audience",
];

/// Subresources that only the control plane writes.
const CONTROL_PLANES: [&str; 6] = [
    "status", "binding", "finalize", "approval", "driver", "proxy",
];

/// What isolates a namespace or steers its traffic, which tenants read at most.
const READ_ONLY: [(&str, &str); 5] = [
    ("", "bindings"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
    ("", "limitranges"),
    ("", "resourcequotas"),
];

fn check(object: &Object<'_>, context: &Context<'_>, findings: &mut Findings) {
    for (index, rule) in rules(object) {
        check_rule(rule, &FieldPath::of("rules").index(index), findings);
    }
    if object.is(RBAC, "rolebindings") {
        check_role(object.fields().at("roleRef"), context, findings);
    }
    for (index, subject) in subjects(object) {
        let path = FieldPath::of("subjects").index(index);
        match Whom::of(subject, context.namespace, context.rules) {
            Whom::OwnUser | Whom::Outsider(_) => {}
            Whom::Account(namespace) => {
                if let Some(why) = stranger(namespace, context) {
                    findings.add(path.then("namespace"), why);
                }
            }
            Whom::Platform(name) => findings.add(
                path.then("name"),
                format!(
                    "is {}, which is not of your tenant",
                    shown(&Json::String(name.into()))
                ),
            ),
            Whom::Nobody(field, what) => findings.add(path.then(field), what),
        }
    }
}

fn check_rule(rule: Fields<'_>, path: &FieldPath, findings: &mut Findings) {
    let mut each = |field: &'static str, bad: &dyn Fn(&str) -> bool| {
        for (index, value) in rule.list(field).iter().enumerate() {
            if value.as_str().is_none_or(bad) {
                findings.add(path.clone().then(field).index(index), is(value));
            }
        }
    };
    let writes = rule
        .list("verbs")
        .iter()
        .any(|verb| !matches!(verb.as_str(), Some("get" | "list" | "watch")));
    let groups = rule.list("apiGroups");
    each("verbs", &|verb| VERBS.contains(&verb));
    each("apiGroups", &|group| {
        group.contains('*') || group == labels::GROUP
    });
    each("resources", &|name| leads_out(name, groups, writes));
}

fn leads_out(name: &str, groups: &[Json<'_>], writes: bool) -> bool {
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    let read_only = READ_ONLY
        .iter()
        .any(|(group, kind)| *kind == resource && groups.iter().any(|g| g.as_str() == Some(group)));
    name.contains('*')
        || resource == "nodes"
        || subresource == "proxy"
        || (writes && (read_only || CONTROL_PLANES.contains(&subresource)))
}

fn check_role(role: Fields<'_>, context: &Context<'_>, findings: &mut Findings) {
    let path = FieldPath::of("roleRef");
    let Some(name) = role.get("name") else {
        return findings.add(path.then("name"), "is missing");
    };
    let listed =
        |name: &str| CLUSTER_ROLES.contains(&name) || context.rules.cluster_roles.contains(name);
    match (role.str("kind"), name.as_str()) {
        (Some("Role"), Some(_)) => {}
        (Some("ClusterRole"), Some(name)) if listed(name) => {}
        (Some("Role" | "ClusterRole"), _) => findings.add(
            path.then("name"),
            format!(
                "is {}: of ClusterRoles, expected {}",
                shown(name),
                expected(context).join(", ")
            ),
        ),
        _ => findings.add(path.then("kind"), "must be `Role` or `ClusterRole`"),
    }
}

fn expected<'a>(context: &'a Context<'_>) -> Vec<&'a str> {
    let own = context.rules.cluster_roles.iter().map(String::as_str);
    CLUSTER_ROLES.into_iter().chain(own).collect()
}

/// Why a ServiceAccount's namespace is none of the tenant's; nothing if it is, or if that is for
/// others to say. A namespace that is not there and one that is another's read alike.
fn stranger(namespace: &str, context: &Context<'_>) -> Option<String> {
    if namespace == context.namespace {
        return None;
    }
    let name = shown(&Json::String(namespace.into()));
    match context.facts.object(&ObjectKey::namespace(namespace)) {
        Fact::Known(Some(object)) if context.owns(object) => None,
        Fact::Known(_) => Some(format!("is {name}, which is no namespace of your tenant")),
        Fact::Unknown => Some(format!(
            "is {name}, and whose namespace that is cannot be looked up now"
        )),
        Fact::Later => None,
    }
}

/// The namespaces of ServiceAccounts, but for the binding's own.
pub(crate) fn wants(object: &Object<'_>, context: &Context<'_>, wanted: &mut Wanted<'_>) {
    for (_, subject) in subjects(object) {
        if let Whom::Account(namespace) = Whom::of(subject, context.namespace, context.rules)
            && namespace != context.namespace
        {
            wanted.add(ObjectKey::namespace(namespace));
        }
    }
}
