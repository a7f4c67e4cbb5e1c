//! `tenant-cordoned` for the ServiceAccounts of a cordoned tenant's own namespaces. They may
//! still write leases and events: what runs keeps running.

use super::{CORDONED, Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-cordoned",
        rule: Rule {
            groups: &["*"],
            resources: &["*/*"],
            operations: &["CREATE", "UPDATE", "DELETE"],
            scope: "Namespaced",
        },
        in_tenants_only: true,
        only_if: Some(
            "'system:serviceaccounts:' + request.namespace in request.userInfo.groups
             && !(request.resource.resource in ['leases', 'events'])",
        ),
        variables: &[],
        validations: vec![Validation::new(
            "namespaceObject != null && !('$CORDONED' in annotations(namespaceObject))",
            CORDONED,
        )],
    }
}
