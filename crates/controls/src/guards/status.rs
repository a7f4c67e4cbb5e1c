//! `status-write`: a status is the control plane's word. A tenant that writes one moves a
//! Service's traffic, and a binding places a pod past the scheduler. No policy knows whose
//! namespace a ServiceAccount lives in, so everybody is refused who is not named here or holds
//! the right `operate` on tenants.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-status",
        rule: Rule {
            groups: &["*"],
            resources: &["*/status", "pods/binding", "bindings", "endpoints", "endpointslices"],
            operations: &["CREATE", "UPDATE"],
            scope: "Namespaced",
        },
        in_tenants_only: true,
        only_if: Some(
            "!(request.userInfo.username in ['system:kube-scheduler', 'system:kube-controller-manager']
               || request.userInfo.groups.exists(g, g in ['system:nodes', 'system:serviceaccounts:kube-system']))",
        ),
        variables: &[],
        validations: vec![
            Validation::new(
                "has(request.subResource) || request.resource.resource == 'bindings'
                 || authorizer.group('$GROUP').resource('tenants').check('operate').allowed()",
                "foreign-endpoint: Endpoints and EndpointSlices in a tenant's namespace are written \
                 by the control plane alone; give the Service a selector",
            ),
            Validation::new(
                "!(has(request.subResource) || request.resource.resource == 'bindings')
                 || authorizer.group('$GROUP').resource('tenants').check('operate').allowed()",
                "status-write: statuses and bindings in a tenant's namespace are written by the \
                 control plane alone",
            ),
        ],
    }
}
