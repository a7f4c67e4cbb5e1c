//! `tenant-label-change`, `foreign-namespace` and `status-write` on Namespace objects: what
//! makes a namespace a tenant's changes by nobody's hand but an administrator's, by whatever
//! path. `status` and `finalize` write metadata too.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-namespaces",
        rule: Rule {
            groups: &[""],
            resources: &["namespaces", "namespaces/status", "namespaces/finalize"],
            operations: &["CREATE", "UPDATE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        // Taking a namespace in is a right of its own; the controller has it too. A tenant's user
        // is never asked for it: no mistake in a role makes it an administrator.
        only_if: Some("request.userInfo.username.startsWith('$SYNTHETIC') || !authorizer.group('$GROUP').resource('tenants').check('adopt').allowed()"),
        variables: &[
            ("newLabels", "labels(object)"),
            ("oldLabels", "oldObject == null ? {} : labels(oldObject)"),
            ("newAnnotations", "annotations(object)"),
            ("oldAnnotations", "oldObject == null ? {} : annotations(oldObject)"),
            (
                "tenant",
                "request.userInfo.username.startsWith('$SYNTHETIC') ? request.userInfo.username.split(':')[2] : ''",
            ),
            ("creates", "request.operation == 'CREATE' && variables.tenant != ''"),
            // Plugins of the network write on namespaces what they gave them. A tenant's user is none,
            // whatever rights it was given by mistake.
            ("operates", "!request.userInfo.username.startsWith('$SYNTHETIC') && (request.userInfo.groups.exists(g, g == 'system:serviceaccounts:kube-system') || authorizer.group('$GROUP').resource('tenants').check('operate').allowed())"),
            ("owned", "'$TENANT' in variables.newLabels || '$TENANT' in variables.oldLabels"),
            // What is new, changed or gone, as far as it is guarded: our keys on every namespace,
            // on tenants' those that Pod Security Admission, the scheduler, device plugins, networks
            // and clouds read too. A namespace's creator stamps whose it is; the last validation checks it.
            (
                "labels",
                "(variables.newLabels.filter(k, !(k in variables.oldLabels) || variables.oldLabels[k] != variables.newLabels[k])
                  + variables.oldLabels.filter(k, !(k in variables.newLabels)))
                 .filter(k, k.matches('^(.*[.])?bulkhead[.]dev/')
                   || (variables.owned && (k.startsWith('$PSA') || k.startsWith('resource.kubernetes.io/'))))
                 .filter(k, !(variables.creates && k in ['$TENANT', '$TENANT_UID']))",
            ),
            (
                "annotations",
                "(variables.newAnnotations.filter(k, !(k in variables.oldAnnotations) || variables.oldAnnotations[k] != variables.newAnnotations[k])
                  + variables.oldAnnotations.filter(k, !(k in variables.newAnnotations)))
                 .filter(k, k.matches('^(.*[.])?bulkhead[.]dev/')
                   || (variables.owned && (k.startsWith('$PSA') || k.startsWith('scheduler.alpha.kubernetes.io/')
                     || (!variables.operates && k.matches('^(cni[.]projectcalico[.]org|egress[.]projectcalico[.]org|iam[.]amazonaws[.]com|ipam[.]cilium[.]io|k8s[.]ovn[.]org|ovn[.]kubernetes[.]io)/')))))
                 .filter(k, !(variables.creates && k == '$PREFIX'))",
            ),
        ],
        validations: vec![
            Validation {
                expression: "variables.labels.size() == 0",
                message: "tenant-label-change: only an administrator may set, change or remove metadata.labels",
                about: Some("variables.labels.join(', ')"),
            },
            Validation {
                expression: "variables.annotations.size() == 0",
                message: "tenant-label-change: only an administrator may set, change or remove metadata.annotations",
                about: Some("variables.annotations.join(', ')"),
            },
            // An owner that is gone takes the namespace along; a finalizer keeps it for ever.
            Validation::new(
                "!variables.owned || (
                   ownerReferences(object).all(r, oldObject != null && r in ownerReferences(oldObject))
                   && finalizers(object).all(f, oldObject != null && f in finalizers(oldObject))
                   && object.?spec.?finalizers.orValue([]).all(f, f == 'kubernetes' || (oldObject != null && f in oldObject.?spec.?finalizers.orValue([]))))",
                "tenant-label-change: only an administrator may add metadata.ownerReferences, \
                 metadata.finalizers or spec.finalizers to a tenant's namespace",
            ),
            Validation::new(
                "!variables.owned || !has(request.subResource)
                 || request.userInfo.username == 'system:kube-controller-manager'
                 || request.userInfo.groups.exists(g, g == 'system:serviceaccounts:kube-system')
                 || authorizer.group('$GROUP').resource('tenants').check('operate').allowed()",
                "status-write: the status and finalizers of a tenant's namespace are written by \
                 the control plane alone",
            ),
            Validation::new(
                "!variables.creates || (
                   variables.newLabels[?'$TENANT'].orValue('') == variables.tenant
                   && object.metadata.?name.orValue('').startsWith(variables.newAnnotations[?'$PREFIX'].orValue('!'))
                   && authorizer.group('$GROUP').resource('namespaceclaims').namespace('$SYSTEM')
                      .name(variables.tenant + ':' + variables.newLabels[?'$TENANT_UID'].orValue('') + ':' + variables.newAnnotations[?'$PREFIX'].orValue(''))
                      .check('create').allowed())",
                "foreign-namespace: a tenant creates namespaces through the gateway, under its \
                 own prefix and in its own name",
            ),
        ],
    }
}
