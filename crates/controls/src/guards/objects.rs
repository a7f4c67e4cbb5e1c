//! `legacy-token-secret` and `foreign-owner-reference`: over objects of all kinds, also those that
//! the webhook never sees. No Secret has to leave the API server for it.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-objects",
        rule: Rule {
            groups: &["*"],
            resources: &["*"],
            operations: &["CREATE", "UPDATE"],
            scope: "Namespaced",
        },
        in_tenants_only: true,
        // Most requests end here: most objects are no Secrets and have no owner that is new.
        only_if: Some(
            "(request.resource.group == '' && request.resource.resource == 'secrets')
             || ownerReferences(object).exists(r, oldObject == null || !(r in ownerReferences(oldObject)))",
        ),
        variables: &[(
            // Kinds of the whole cluster, by the groups that hold nothing else and by name. Custom
            // kinds cannot be told apart.
            "owners",
            "ownerReferences(object).filter(r, oldObject == null || !(r in ownerReferences(oldObject))).filter(r,
               (r.apiVersion == 'v1' && r.kind in ['ComponentStatus', 'Namespace', 'Node', 'PersistentVolume'])
               || r.apiVersion.split('/')[0] in ['$GROUP', 'admissionregistration.k8s.io', 'apiextensions.k8s.io',
                 'apiregistration.k8s.io', 'authentication.k8s.io', 'authorization.k8s.io', 'constraints.gatekeeper.sh',
                 'flowcontrol.apiserver.k8s.io', 'internal.apiserver.k8s.io', 'node.k8s.io', 'storage.k8s.io',
                 'storagemigration.k8s.io', 'templates.gatekeeper.sh', 'wgpolicyk8s.io']
               || (r.apiVersion.contains('.k8s.io/') && r.kind in ['CertificateSigningRequest', 'ClusterRole', 'ClusterRoleBinding',
                 'ClusterTrustBundle', 'DeviceClass', 'DeviceTaintRule', 'IPAddress', 'IngressClass', 'PriorityClass',
                 'ResourceSlice', 'ServiceCIDR']))
             .map(r, r.kind + ' ' + r.name)",
        )],
        validations: vec![
            // The token controller fills in what was there before the tenant; the account may not change.
            Validation::new(
                "!(request.resource.group == '' && request.resource.resource == 'secrets')
                 || !(object.?type.orValue('') in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])
                 || (oldObject != null && oldObject.?type.orValue('') == object.?type.orValue('')
                     && annotations(object)[?'kubernetes.io/service-account.name'].orValue('')
                        == annotations(oldObject)[?'kubernetes.io/service-account.name'].orValue(''))",
                "legacy-token-secret: the control plane fills a Secret of this type with a token that never \
                 expires; mount a projected token or use `kubectl create token`",
            ),
            Validation {
                expression: "variables.owners.size() == 0",
                message: "foreign-owner-reference: an owner in metadata.ownerReferences belongs to the whole \
                          cluster; name one of the same namespace",
                about: Some("variables.owners.join(', ')"),
            },
        ],
    }
}
