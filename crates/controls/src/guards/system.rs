//! `foreign-namespace`: the control plane's namespaces and ours never become a tenant's, not
//! even by an administrator's slip: the webhook would then stand in the control plane's way.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-system-namespaces",
        rule: Rule {
            groups: &[""],
            resources: &["namespaces", "namespaces/status", "namespaces/finalize"],
            operations: &["CREATE", "UPDATE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        only_if: Some("labels(object).exists(k, k.matches('^(.*[.])?bulkhead[.]dev/'))"),
        variables: &[],
        validations: vec![Validation::new(
            "!(object.metadata.?name.orValue('') in ['default', '$SYSTEM']) && !object.metadata.?name.orValue('kube-').startsWith('kube-')",
            "foreign-namespace: the namespaces of Kubernetes and Bulkhead cannot be a tenant's",
        )],
    }
}
