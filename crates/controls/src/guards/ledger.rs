//! `ledger-write`: what may never be shared or exceeded is as good as the ledger that says who has
//! it. Only Bulkhead's own identities write it, and administrators. The webhook, which tenants'
//! requests reach, writes only what it hands out while it answers.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-ledger",
        rule: Rule {
            groups: &["$GROUP"],
            resources: &["ledgerentries", "ledgerentries/*"],
            operations: &["CREATE", "UPDATE", "DELETE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        only_if: None,
        variables: &[
            ("entry", "oldObject == null ? object : oldObject"),
            ("user", "request.userInfo.username"),
        ],
        validations: vec![Validation::new(
            "variables.user == 'system:serviceaccount:$SYSTEM:controller'
             || (variables.user == 'system:serviceaccount:$SYSTEM:webhook'
                 && request.operation != 'DELETE' && variables.entry.spec.kind in ['Hostname', 'Quota', 'SelinuxLevels'])
             || (!variables.user.startsWith('$SYNTHETIC') && authorizer.group('$GROUP').resource('tenants').check('adopt').allowed())",
            "ledger-write: the ledger is written by Bulkhead and by administrators alone",
        )],
    }
}
