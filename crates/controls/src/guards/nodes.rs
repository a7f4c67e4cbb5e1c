//! `shared-node` on Node objects: the label that draws a tenant's pods to a node goes with the
//! taint that keeps everybody else's off, whoever writes it. And our controller, whose right on
//! nodes names none, changes these two and nothing else.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-nodes",
        // A node's status carries its labels too.
        rule: Rule {
            groups: &[""],
            resources: &["nodes", "nodes/status"],
            operations: &["CREATE", "UPDATE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        only_if: Some(
            "request.userInfo.username == 'system:serviceaccount:$SYSTEM:controller'
             || '$NODE' in labels(object) || (oldObject != null && '$NODE' in labels(oldObject))",
        ),
        variables: &[
            ("tenant", "labels(object)[?'$NODE'].orValue('')"),
            ("oldTenant", "oldObject == null ? '' : labels(oldObject)[?'$NODE'].orValue('')"),
            ("taints", "object.?spec.?taints.orValue([])"),
            ("oldTaints", "oldObject == null ? [] : oldObject.?spec.?taints.orValue([])"),
            (
                "keepsOthersOff",
                "variables.taints.exists(t, t.key == '$TAINT' && t.?value.orValue('') == variables.tenant && t.effect == 'NoSchedule')",
            ),
            (
                "keptOthersOff",
                "variables.oldTaints.exists(t, t.key == '$TAINT' && t.?value.orValue('') == variables.oldTenant && t.effect == 'NoSchedule')",
            ),
        ],
        validations: vec![
            Validation::new(
                // A node that was wrong before must still be able to tell how it is.
                "variables.tenant == '' || variables.keepsOthersOff
                 || (oldObject != null && variables.oldTenant == variables.tenant && !variables.keptOthersOff)",
                "shared-node: a node with the label `node-restriction.kubernetes.io/tenant` carries the taint \
                 `tenantID` with the same value and the effect `NoSchedule`: without it other tenants' pods land there",
            ),
            Validation::new(
                "oldObject == null || variables.tenant == variables.oldTenant
                 || authorizer.group('$GROUP').resource('tenants').check('adopt').allowed()",
                "shared-node: only Bulkhead and administrators say whose a node is",
            ),
            Validation::new(
                "request.userInfo.username != 'system:serviceaccount:$SYSTEM:controller' || (
                   oldObject != null && !has(request.subResource)
                   && labels(object).all(k, k == '$NODE' || (k in labels(oldObject) && labels(oldObject)[k] == labels(object)[k]))
                   && labels(oldObject).all(k, k == '$NODE' || k in labels(object))
                   && annotations(object) == annotations(oldObject)
                   && variables.taints.filter(t, t.key != '$TAINT') == variables.oldTaints.filter(t, t.key != '$TAINT')
                   && object.?spec.?unschedulable.orValue(false) == oldObject.?spec.?unschedulable.orValue(false))",
                "foreign-namespace: Bulkhead's controller says whose a node is, and changes nothing else of it",
            ),
        ],
    }
}
