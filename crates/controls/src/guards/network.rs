//! `open-network`: the NetworkPolicies that isolate a tenant's namespace are Bulkhead's. Tenants
//! write policies too, and may delete all of theirs at once: ours must stay.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-network",
        rule: Rule {
            groups: &["networking.k8s.io"],
            resources: &["networkpolicies"],
            operations: &["CREATE", "UPDATE", "DELETE"],
            scope: "Namespaced",
        },
        in_tenants_only: true,
        // A namespace that goes takes all along, by hands of kube-system.
        only_if: Some(
            "(oldObject == null ? object : oldObject).metadata.?name.orValue('').startsWith('$OURS')
             && !(request.userInfo.username == 'system:kube-controller-manager'
               || request.userInfo.groups.exists(g, g == 'system:serviceaccounts:kube-system'))",
        ),
        variables: &[],
        validations: vec![Validation::new(
            "!request.userInfo.username.startsWith('$SYNTHETIC')
             && authorizer.group('$GROUP').resource('tenants').check('adopt').allowed()",
            "open-network: NetworkPolicies whose names start with bulkhead- isolate the tenant, \
             and Bulkhead alone changes them; give your own another name",
        )],
    }
}
