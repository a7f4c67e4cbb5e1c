//! `foreign-namespace` and `tenant-extends-api`: whatever rights a tenant's synthetic user is given by mistake, it
//! changes nothing outside its tenant's namespaces, and nothing without a person behind it.

use super::{CORDONED, Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-tenants",
        rule: Rule { groups: &["*"], resources: &["*/*"], operations: &["*"], scope: "*" },
        in_tenants_only: false,
        only_if: Some("request.userInfo.username.startsWith('$SYNTHETIC')"),
        variables: &[
            ("tenant", "request.userInfo.username.split(':')[2]"),
            // A Namespace object stands for itself; what is cluster-scoped has no namespace, and
            // neither have `namespaces/status` and `namespaces/finalize`: they are refused.
            (
                "ns",
                "request.resource.group == '' && request.resource.resource == 'namespaces' && !has(request.subResource)
                 ? (oldObject == null ? object : oldObject) : namespaceObject",
            ),
        ],
        validations: vec![
            Validation::new(
                "request.?namespace.orValue('') != '' || (request.resource.group == '' && request.resource.resource == 'namespaces')",
                "tenant-extends-api: what belongs to the whole cluster is not a tenant's to change; ask the \
                 platform's administrators",
            ),
            Validation::new(
                "variables.ns != null && labels(variables.ns)[?'$TENANT'].orValue('') == variables.tenant",
                "foreign-namespace: a tenant changes nothing outside its own namespaces",
            ),
            Validation::new(
                "'$EXTRA' in request.userInfo.?extra.orValue({}) && '$TENANTS_GROUP' in request.userInfo.groups",
                "foreign-namespace: a tenant's user acts through the gateway alone, which says \
                 for which person",
            ),
            Validation::new(
                "!(request.operation in ['CREATE', 'UPDATE', 'DELETE']) || variables.ns == null || !('$CORDONED' in annotations(variables.ns))",
                CORDONED,
            ),
        ],
    }
}
