//! `namespace-not-isolated`: no pod before everything that isolates the namespace has been read
//! back. The annotation holds the tenant's UID, so one that was restored from elsewhere opens
//! nothing.

use super::{Guard, NOT_ISOLATED, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-isolated",
        rule: Rule {
            groups: &[""],
            resources: &["pods", "pods/ephemeralcontainers"],
            operations: &["CREATE", "UPDATE"],
            scope: "Namespaced",
        },
        in_tenants_only: true,
        // Pods that run are updated and deleted as before.
        only_if: Some("request.operation == 'CREATE' || has(request.subResource)"),
        variables: &[],
        validations: vec![Validation::new(
            "namespaceObject != null && annotations(namespaceObject)[?'$ISOLATED'].orValue('') == labels(namespaceObject)[?'$TENANT_UID'].orValue('?')",
            NOT_ISOLATED,
        )],
    }
}
