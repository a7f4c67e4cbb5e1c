//! What belongs to the whole cluster: lists over all namespaces, nodes, the rules themselves.

use serde_json::{Value, json};

use crate::credential::{Account, Credential};
use crate::field::Door;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// One request for something cluster-wide.
struct Reach {
    name: &'static str,
    does: &'static str,
    theorem: Theorem,
    rbac: &'static str,
    method: &'static str,
    target: &'static str,
    body: fn() -> Value,
    absent: &'static str,
    /// How the gateway says that there is no such thing.
    gateway: (u16, &'static str),
}

/// A kind that lives in namespaces, over all of them: the list is of the tenant's own.
const OWN: (u16, &str) = (200, "attack-victim");
/// A kind of the cluster: what is listed is what the tenant may use of it, and no node is.
const OWN_NODES: (u16, &str) = (200, "node-0");
/// The same, changed.
const PLATFORMS: (u16, &str) = (403, "are the platform's");
/// A kind or path that tenants do not have.
const NONE: (u16, &str) = (404, "could not find the requested resource");
/// An object of such a kind.
const GONE: (u16, &str) = (404, "not found");

fn none() -> Value {
    Value::Null
}

#[rustfmt::skip]
const REACHES: &[Reach] = &[
    Reach { name: "list-secrets", does: "lists the Secrets of all namespaces", theorem: Theorem::T3, rbac: "cannot list resource \"secrets\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/secrets", body: none, absent: "", gateway: OWN },
    Reach { name: "watch-secrets", does: "watches the Secrets of all namespaces", theorem: Theorem::T3, rbac: "cannot watch resource \"secrets\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/secrets?watch=1&timeoutSeconds=1", body: none, absent: "", gateway: OWN },
    Reach { name: "field-selected-secrets", does: "lists all Secrets of another's namespace by a field selector", theorem: Theorem::T3, rbac: "cannot list resource \"secrets\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/secrets?fieldSelector=metadata.namespace%3D{theirs}", body: none, absent: "", gateway: OWN },
    Reach { name: "list-secrets-table", does: "lists the Secrets of all namespaces as a table without their objects", theorem: Theorem::T3, rbac: "cannot list resource \"secrets\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/secrets?includeObject=None&limit=1000", body: none, absent: "", gateway: OWN },
    Reach { name: "foreign-token", does: "goes on with a list of another's Secrets by a token as the API server makes them", theorem: Theorem::T3, rbac: "cannot list resource \"secrets\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/secrets?limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiIuLi9rdWJlLXN5c3RlbS9hXHUwMDAwIn0", body: none, absent: "", gateway: (410, "list again from the start") },
    Reach { name: "watch-secrets-by-name", does: "watches the Secret of a name in all namespaces, from the beginning", theorem: Theorem::T3, rbac: "cannot watch resource \"secrets\" in API group \"\"", method: "GET", target: "/api/v1/secrets?watch=true&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Dattack-victim", body: none, absent: "", gateway: OWN },
    Reach { name: "list-nodes", does: "lists the nodes", theorem: Theorem::T1, rbac: "cannot list resource \"nodes\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/nodes", body: none, absent: "", gateway: OWN_NODES },
    Reach { name: "list-nodes-bare", does: "lists the nodes as a table without their objects, so that nobody could tell whose they are", theorem: Theorem::T1, rbac: "cannot list resource \"nodes\" in API group \"\" at the cluster scope", method: "GET", target: "/api/v1/nodes?includeObject=None&limit=1", body: none, absent: "", gateway: OWN_NODES },
    Reach { name: "watch-nodes", does: "watches the nodes from the beginning", theorem: Theorem::T1, rbac: "cannot watch resource \"nodes\"", method: "GET", target: "/api/v1/nodes?watch=true&timeoutSeconds=1&resourceVersion=0&labelSelector=type%3Dkwok", body: none, absent: "", gateway: OWN_NODES },
    Reach { name: "get-node", does: "reads a node by its name", theorem: Theorem::T1, rbac: "cannot get resource \"nodes\"", method: "GET", target: "/api/v1/nodes/node-0", body: none, absent: "", gateway: GONE },
    Reach { name: "nodes-token", does: "goes on with a list of nodes by a token as the API server makes them", theorem: Theorem::T1, rbac: "cannot list resource \"nodes\"", method: "GET", target: "/api/v1/nodes?limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJub2RlLTBcdTAwMDAifQ", body: none, absent: "", gateway: (410, "list again") },
    Reach { name: "node-proxy", does: "speaks to a kubelet through the API server", theorem: Theorem::T2, rbac: "cannot get resource \"nodes/", method: "GET", target: "/api/v1/nodes/node-0/proxy/pods", body: none, absent: "", gateway: (501, "not served by this gateway") },
    Reach { name: "get-volume", does: "lists the PersistentVolumes", theorem: Theorem::T2, rbac: "cannot list resource \"persistentvolumes\"", method: "GET", target: "/api/v1/persistentvolumes", body: none, absent: "", gateway: NONE },
    Reach { name: "create-volume", does: "creates a PersistentVolume on a node's disk", theorem: Theorem::T2, rbac: "cannot create resource \"persistentvolumes\"", method: "POST", target: "/api/v1/persistentvolumes", body: || json!({"metadata": {"name": "attack-volume"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}}), absent: "/api/v1/persistentvolumes/attack-volume", gateway: NONE },
    Reach { name: "list-tenants", does: "lists the Tenants", theorem: Theorem::T1, rbac: "cannot list resource \"tenants\"", method: "GET", target: "/apis/bulkhead.dev/v1alpha1/tenants", body: none, absent: "", gateway: NONE },
    Reach { name: "get-own-tenant", does: "reads its own Tenant object", theorem: Theorem::T1, rbac: "cannot get resource \"tenants\"", method: "GET", target: "/apis/bulkhead.dev/v1alpha1/tenants/{attacker}", body: none, absent: "", gateway: GONE },
    Reach { name: "create-tenant", does: "creates a Tenant", theorem: Theorem::T4, rbac: "cannot create resource \"tenants\"", method: "POST", target: "/apis/bulkhead.dev/v1alpha1/tenants", body: || json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "attack-tenant"}, "spec": {"namespaceOptions": {"prefix": "attack-tenant-"}, "members": []}}), absent: "/apis/bulkhead.dev/v1alpha1/tenants/attack-tenant", gateway: NONE },
    Reach { name: "list-pod-policies", does: "lists the PodSecurityPolicies", theorem: Theorem::T1, rbac: "cannot list resource \"podsecuritypolicies\"", method: "GET", target: "/apis/bulkhead.dev/v1alpha1/podsecuritypolicies", body: none, absent: "", gateway: NONE },
    Reach { name: "create-pod-policy", does: "makes a PodSecurityPolicy that allows everything and goes before all others", theorem: Theorem::T2, rbac: "cannot create resource \"podsecuritypolicies\"", method: "POST", target: "/apis/bulkhead.dev/v1alpha1/podsecuritypolicies", body: || json!({"apiVersion": "bulkhead.dev/v1alpha1", "kind": "PodSecurityPolicy", "metadata": {"name": "0-attack"}, "spec": {"privileged": true, "hostPID": true, "volumes": ["*"], "allowedCapabilities": ["*"], "runAsUser": {"rule": "RunAsAny"}, "seLinux": {"rule": "RunAsAny"}, "fsGroup": {"rule": "RunAsAny"}, "supplementalGroups": {"rule": "RunAsAny"}}}), absent: "/apis/bulkhead.dev/v1alpha1/podsecuritypolicies/0-attack", gateway: NONE },
    Reach { name: "delete-pod-policies", does: "deletes all PodSecurityPolicies, so that none is enforced", theorem: Theorem::T2, rbac: "cannot deletecollection resource \"podsecuritypolicies\"", method: "DELETE", target: "/apis/bulkhead.dev/v1alpha1/podsecuritypolicies?dryRun=All", body: none, absent: "", gateway: NONE },
    Reach { name: "clusterrolebinding", does: "makes itself a cluster administrator", theorem: Theorem::T4, rbac: "cannot create resource \"clusterrolebindings\"", method: "POST", target: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body: || json!({"metadata": {"name": "attack-crb"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "bulkhead:tenants"}]}), absent: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/attack-crb", gateway: NONE },
    Reach { name: "delete-webhook", does: "deletes all validating webhook configurations", theorem: Theorem::T2, rbac: "cannot deletecollection resource \"validatingwebhookconfigurations\"", method: "DELETE", target: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?dryRun=All", body: none, absent: "", gateway: NONE },
    Reach { name: "delete-guards", does: "deletes all policies of the API server", theorem: Theorem::T4, rbac: "cannot deletecollection resource \"validatingadmissionpolicies\"", method: "DELETE", target: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies?dryRun=All", body: none, absent: "", gateway: NONE },
    Reach { name: "delete-namespaces", does: "deletes all namespaces in one request", theorem: Theorem::T1, rbac: "cannot deletecollection resource \"namespaces\"", method: "DELETE", target: "/api/v1/namespaces?dryRun=All", body: none, absent: "", gateway: (405, "one by one") },
    Reach { name: "mutating-policy", does: "has the API server change others' objects by a policy", theorem: Theorem::T4, rbac: "cannot create resource \"validatingadmissionpolicies\"", method: "POST", target: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", body: || json!({"metadata": {"name": "attack-policy"}, "spec": {"failurePolicy": "Ignore", "validations": [{"expression": "true"}]}}), absent: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/attack-policy", gateway: NONE },
    Reach { name: "priority-class", does: "makes a class of pods that push others out", theorem: Theorem::T5, rbac: "cannot create resource \"priorityclasses\"", method: "POST", target: "/apis/scheduling.k8s.io/v1/priorityclasses", body: || json!({"metadata": {"name": "attack-priority"}, "value": 1_000_000_000}), absent: "/apis/scheduling.k8s.io/v1/priorityclasses/attack-priority", gateway: PLATFORMS },
    Reach { name: "create-crd", does: "adds a kind to the API", theorem: Theorem::T1, rbac: "cannot create resource \"customresourcedefinitions\"", method: "POST", target: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body: || json!({"metadata": {"name": "attacks.attack.example"}, "spec": {"group": "attack.example", "scope": "Namespaced", "names": {"plural": "attacks", "singular": "attack", "kind": "Attack"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}), absent: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/attacks.attack.example", gateway: PLATFORMS },
    Reach { name: "certificate-request", does: "asks the cluster's authority for an administrator's certificate", theorem: Theorem::T3, rbac: "cannot create resource \"certificatesigningrequests\"", method: "POST", target: "/apis/certificates.k8s.io/v1/certificatesigningrequests", body: || json!({"metadata": {"name": "attack-csr"}, "spec": {"request": "LS0t", "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}), absent: "/apis/certificates.k8s.io/v1/certificatesigningrequests/attack-csr", gateway: NONE },
    Reach { name: "token-review", does: "has tokens reviewed", theorem: Theorem::T3, rbac: "cannot create resource \"tokenreviews\"", method: "POST", target: "/apis/authentication.k8s.io/v1/tokenreviews", body: || json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}), absent: "", gateway: NONE },
    Reach { name: "metrics", does: "reads the API server's metrics", theorem: Theorem::T1, rbac: "cannot get path \"/metrics\"", method: "GET", target: "/metrics", body: none, absent: "", gateway: NONE },
    Reach { name: "profile", does: "reads the API server's heap", theorem: Theorem::T1, rbac: "cannot get path \"/debug/pprof/heap\"", method: "GET", target: "/debug/pprof/heap", body: none, absent: "", gateway: NONE },
    Reach { name: "logs", does: "reads the control plane's log files", theorem: Theorem::T1, rbac: "cannot get path \"/logs/\"", method: "GET", target: "/logs/", body: none, absent: "", gateway: NONE },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for reach in REACHES {
        let Reach {
            name,
            does,
            theorem,
            ..
        } = reach;
        let routes = [
            (
                Door::Gateway,
                Credential::Tenant,
                "gateway",
                match reach.gateway {
                    (200, others) => Expected::new(Layer::Harmless, 200, "").lacking(others),
                    (status, text) => Expected::new(Layer::Gateway, status, text),
                },
            ),
            (
                Door::ApiServer,
                Credential::Account(Account::Star),
                "token",
                Expected::new(Layer::Rbac, 403, reach.rbac),
            ),
        ];
        for (door, credential, suffix, expected) in routes {
            let who = if door == Door::Gateway {
                "A tenant's admin"
            } else {
                "A ServiceAccount"
            };
            let technique = Technique::new(
                format!("cluster-{name}-{suffix}"),
                Family::ClusterScope,
                *theorem,
                format!("{who} {does}."),
                move |field| {
                    let target = field.fill(reach.target);
                    let body = (reach.body)();
                    let request = match reach.method {
                        "POST" => Request::post(target, &body),
                        method => Request::new(method, target),
                    };
                    let attack = Attack::shot(door, credential.clone(), request);
                    if reach.absent.is_empty() {
                        attack
                    } else {
                        attack.truth(Truth::Absent(reach.absent.to_owned()))
                    }
                },
            );
            all.push(technique.stopped_by(expected));
        }
    }
    all
}
