//! `foreign-namespace` for our own controller: its rights on RoleBindings and Namespaces cannot
//! name namespaces, so this does. Stolen, its token changes tenants' namespaces and ours alone.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-controller",
        rule: Rule { groups: &["*"], resources: &["*/*"], operations: &["*"], scope: "*" },
        in_tenants_only: false,
        only_if: Some("request.userInfo.username == 'system:serviceaccount:$SYSTEM:controller'"),
        variables: &[(
            "ns",
            "request.resource.group == '' && request.resource.resource == 'namespaces'
             ? (oldObject == null ? object : oldObject) : namespaceObject",
        )],
        validations: vec![Validation::new(
            // Of what is cluster-scoped, its role names each object. What it once put into a
            // namespace that is no tenant's any more it takes away again. It asks anybody's pods to
            // leave a tenant's node, as far as their budgets allow.
            // Events about what is cluster-scoped stand in `default`.
            "variables.ns == null || (request.resource.group == 'events.k8s.io' && request.?namespace.orValue('') == 'default') || request.?namespace.orValue('') == '$SYSTEM' || '$TENANT' in labels(variables.ns)
             || (request.operation == 'DELETE' && oldObject != null && '$TENANT' in labels(oldObject))
             || (request.resource.resource == 'pods' && request.?subResource.orValue('') == 'eviction')",
            "foreign-namespace: Bulkhead's controller changes tenants' namespaces and its own alone",
        ), Validation::new(
            // Whoever may make any kind may take over what others are made of.
            "request.resource.group != 'apiextensions.k8s.io' || (oldObject == null ? object : oldObject).spec.group == 'constraints.gatekeeper.sh'",
            "tenant-extends-api: Bulkhead's controller makes the kinds of constraints, and no other",
        )],
    }
}
