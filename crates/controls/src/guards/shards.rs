//! `impersonation-shard`: the roles that let the gateway impersonate hold synthetic users and
//! nothing else, whoever writes them. The controller may escalate on them, and unguarded it
//! could write `system:masters` into one.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-shards",
        rule: Rule {
            groups: &["rbac.authorization.k8s.io"],
            resources: &["clusterroles"],
            operations: &["CREATE", "UPDATE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        only_if: Some("object.metadata.name.startsWith('$SHARD')"),
        // A role without rules comes with `rules: null`.
        variables: &[(
            "rules",
            "has(object.rules) && dyn(object.rules) != null ? object.rules : []",
        )],
        validations: vec![Validation::new(
            "!has(object.aggregationRule) && variables.rules.all(r,
               r.verbs == ['impersonate'] && r.?apiGroups.orValue([]) == [''] && r.?resources.orValue([]) == ['users']
               && r.?nonResourceURLs.orValue([]).size() == 0
               && r.?resourceNames.orValue([]).size() > 0
               && r.resourceNames.all(n, n.matches('^$SYNTHETIC[a-z0-9-]+:[a-z0-9-]+$')))",
            "impersonation-shard: this ClusterRole may only impersonate users of tenants, each by name",
        )],
    }
}
