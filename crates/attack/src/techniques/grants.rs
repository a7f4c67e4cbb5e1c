//! Rights that a tenant hands to others or makes more of, tokens and roles of the cloud that it
//! picks, owners that it ties down.

use serde_json::{Value, json};

use super::bad_pods::good_but;
use super::{APPLY, JSON_PATCH, MERGE, good_pod, named, ways};
use crate::field::Field;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// One request, sent at both doors.
struct Grant {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    theorem: Theorem,
    how: How,
    /// Where; for [`How::Create`] the collection.
    at: &'static str,
    body: fn(&Field) -> Value,
    /// Who refuses at the gateway, and at the API server; none where the field does not get there.
    layers: (Layer, Option<Layer>),
}

#[derive(Clone, Copy)]
enum How {
    /// POST; the object gets the technique's name.
    Create,
    /// POST of something that is not kept.
    Ask,
    /// PATCH of something that is there.
    Patch(&'static str),
    /// Server-side apply of something new.
    Apply,
}

const EARLY: (Layer, Option<Layer>) = (Layer::Gateway, Some(Layer::Webhook));
/// The API server drops this field, whose feature is off, before anybody judges it.
const DROPPED: (Layer, Option<Layer>) = (Layer::Gateway, None);
const LATE: (Layer, Option<Layer>) = (Layer::Webhook, Some(Layer::Webhook));
const GUARD: (Layer, Option<Layer>) = (Layer::Guard, Some(Layer::Guard));

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/roles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/rolebindings";
const OWN_BINDING: &str =
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/rolebindings/attack-admin";
const ACCOUNTS: &str = "/api/v1/namespaces/{own}/serviceaccounts";
const ACCOUNT: &str = "/api/v1/namespaces/{own}/serviceaccounts/attack-plain";
const TOKEN: &str = "/api/v1/namespaces/{own}/serviceaccounts/attack-plain/token";
const SECRETS: &str = "/api/v1/namespaces/{own}/secrets";
const CONFIGS: &str = "/api/v1/namespaces/{own}/configmaps";
const OWN_POD: &str = "/api/v1/namespaces/{own}/pods/attack-own";
const CLAIMS: &str = "/api/v1/namespaces/{own}/persistentvolumeclaims";
const PODS: &str = "/api/v1/namespaces/{own}/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/{own}/deployments";

fn role(group: &str, resource: &str, verb: &str) -> Value {
    json!({"rules": [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]})
}

fn bind(kind: &str, role: &str, subject: Value) -> Value {
    json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    })
}

fn user(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

/// A binding of a harmless role to somebody.
fn viewer(kind: &str, name: &str) -> Value {
    bind("ClusterRole", "bulkhead-tenant-viewer", user(kind, name))
}

fn account(namespace: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": "default", "namespace": namespace})
}

/// A patch that adds a subject to a binding that was fine.
fn joined(subject: Value) -> Value {
    json!([{"op": "add", "path": "/subjects/-", "value": subject}])
}

fn token(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

/// The spec of a pod with one projected source.
fn projecting(source: Value) -> Value {
    let volume = json!({"name": "token", "projected": {"sources": [source]}});
    good_but(&[("/volumes", json!([volume]))])
}

/// A claim, or the template of one, with an annotation.
fn claim(key: &str, value: &str) -> Value {
    let spec =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    json!({"metadata": {"annotations": {key: value}}, "spec": spec})
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}

/// A Deployment of pods with an annotation, or with another spec.
fn deployment(metadata: Value, spec: Value) -> Value {
    let mut template = json!({"metadata": metadata, "spec": spec});
    if let Some(metadata) = template
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.insert("labels".into(), json!({"attack": "grants"}));
    }
    json!({"spec": {"selector": {"matchLabels": {"attack": "grants"}}, "template": template}})
}

fn owned(api: &str, kind: &str, name: &str) -> Value {
    json!({"metadata": {"ownerReferences": [{
        "apiVersion": api, "kind": kind, "name": name,
        "uid": "0b4ad0ab-66a8-4a2e-b4e8-4b2a8a4d6b5c", "blockOwnerDeletion": true,
    }]}})
}

#[rustfmt::skip]
const GRANTS: &[Grant] = &[
    Grant { control: "runtime-annotation", variant: "systemd", does: "has the runtime start a program on the node by a property of a systemd unit", theorem: Theorem::T2, how: How::Create, at: PODS, body: |_| json!({"metadata": {"annotations": {"org.systemd.property.ExecStartPost": "[('/bin/sh', ['/bin/sh', '-c', 'id'], false)]"}}, "spec": good_pod()}), layers: EARLY },
    Grant { control: "runtime-annotation", variant: "limits", does: "lifts the limits of a container by a plugin of containerd", theorem: Theorem::T5, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"annotations": {"ulimits.nri.containerd.io/container.main": "- type: RLIMIT_MEMLOCK"}}), good_pod()), layers: EARLY },
    Grant { control: "iam-role-chosen", variant: "label", does: "chooses an identity of the cloud by a pod's label", theorem: Theorem::T3, how: How::Create, at: DEPLOYMENTS, body: |_| { let mut it = deployment(json!({}), good_pod()); if let Some(labels) = it.pointer_mut("/spec/template/metadata/labels").and_then(Value::as_object_mut) { labels.insert("aadpodidbinding".into(), json!("globex")); } it }, layers: EARLY },
    Grant { control: "iam-role-chosen", variant: "domain", does: "runs as another's account of a Windows domain", theorem: Theorem::T3, how: How::Create, at: PODS, body: |_| json!({"spec": good_but(&[("/securityContext/windowsOptions", json!({"gmsaCredentialSpecName": "globex"}))])}), layers: EARLY },
    Grant { control: "drain-blocked", variant: "finalizer", does: "gives its pods a finalizer that nobody takes away", theorem: Theorem::T5, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"finalizers": ["attack.example/hold"]}), good_pod()), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "star", does: "makes a Role for everything", theorem: Theorem::T1, how: How::Create, at: ROLES, body: |_| role("*", "*", "*"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "escalate", does: "makes a Role that may grant what it does not hold", theorem: Theorem::T4, how: How::Create, at: ROLES, body: |_| role("rbac.authorization.k8s.io", "roles", "escalate"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "status", does: "makes a Role that writes statuses of Services", theorem: Theorem::T4, how: How::Create, at: ROLES, body: |_| role("", "services/status", "patch"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "any-sub", does: "makes a Role for every subresource of pods", theorem: Theorem::T2, how: How::Create, at: ROLES, body: |_| role("", "pods/*", "create"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "endpoints", does: "makes a Role that points Services elsewhere", theorem: Theorem::T4, how: How::Create, at: ROLES, body: |_| role("discovery.k8s.io", "endpointslices", "update"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "edit", does: "binds Kubernetes' own role `edit`, which impersonates", theorem: Theorem::T4, how: How::Create, at: BINDINGS, body: |f| bind("ClusterRole", "edit", account(&f.attacker.namespace)), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "everybody", does: "gives its Secrets to every authenticated user", theorem: Theorem::T3, how: How::Create, at: BINDINGS, body: |_| viewer("Group", "system:authenticated"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "tenants", does: "binds a role to the users of all tenants", theorem: Theorem::T1, how: How::Create, at: BINDINGS, body: |_| viewer("Group", "bulkhead:tenants"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "other-user", does: "binds a role to another tenant's user", theorem: Theorem::T4, how: How::Create, at: BINDINGS, body: |f| viewer("User", &format!("bulkhead:tenant:{}:admin", f.victim.tenant)), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "account-as-user", does: "writes another tenant's ServiceAccount as a user", theorem: Theorem::T4, how: How::Create, at: BINDINGS, body: |f| viewer("User", &format!("system:serviceaccount:{}:default", f.victim.namespace)), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "other-account", does: "binds a role to another tenant's ServiceAccount", theorem: Theorem::T4, how: How::Create, at: BINDINGS, body: |f| bind("ClusterRole", "bulkhead-tenant-viewer", account(&f.victim.namespace)), layers: LATE },
    Grant { control: "rbac-beyond-tenant", variant: "joined", does: "adds another tenant's ServiceAccount to a binding that was fine", theorem: Theorem::T4, how: How::Patch(JSON_PATCH), at: OWN_BINDING, body: |f| joined(account(&f.victim.namespace)), layers: LATE },
    Grant { control: "rbac-beyond-tenant", variant: "psp", does: "grants itself the use of every PodSecurityPolicy", theorem: Theorem::T2, how: How::Create, at: ROLES, body: |_| role("bulkhead.dev", "podsecuritypolicies", "use"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "psp-groups", does: "grants itself the use of PodSecurityPolicies of whatever group", theorem: Theorem::T2, how: How::Create, at: ROLES, body: |_| role("*", "podsecuritypolicies", "use"), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "psp-bound", does: "binds the platform's ClusterRole for privileged pods to its own ServiceAccounts", theorem: Theorem::T2, how: How::Create, at: BINDINGS, body: |f| bind("ClusterRole", "use-privileged", user("Group", &format!("system:serviceaccounts:{}", f.attacker.namespace))), layers: EARLY },
    Grant { control: "rbac-beyond-tenant", variant: "psp-everyone", does: "binds the platform's ClusterRole for privileged pods to everybody", theorem: Theorem::T2, how: How::Create, at: BINDINGS, body: |_| bind("ClusterRole", "use-privileged", user("Group", "system:authenticated")), layers: EARLY },
    Grant { control: "direct-api-access", variant: "user", does: "binds a role to a person", theorem: Theorem::T4, how: How::Create, at: BINDINGS, body: |_| viewer("User", "mallory@attack.example"), layers: EARLY },
    Grant { control: "direct-api-access", variant: "group", does: "adds a group of people to a binding that was fine", theorem: Theorem::T4, how: How::Patch(JSON_PATCH), at: OWN_BINDING, body: |_| joined(user("Group", "attackers")), layers: LATE },
    Grant { control: "impersonation-unconstrained", variant: "accounts", does: "makes a Role that impersonates ServiceAccounts", theorem: Theorem::T4, how: How::Create, at: ROLES, body: |_| role("", "serviceaccounts", "impersonate"), layers: EARLY },
    Grant { control: "impersonation-unconstrained", variant: "constrained", does: "makes a Role that impersonates in the constrained form", theorem: Theorem::T4, how: How::Create, at: ROLES, body: |_| role("authentication.k8s.io", "serviceaccounts", "impersonate:serviceaccount"), layers: EARLY },
    Grant { control: "token-audience-chosen", variant: "request", does: "asks for a token that a cloud takes for a role", theorem: Theorem::T3, how: How::Ask, at: TOKEN, body: |_| token(json!({"audiences": ["sts.amazonaws.com"]})), layers: LATE },
    Grant { control: "token-audience-chosen", variant: "life", does: "asks for a token that lives for a century", theorem: Theorem::T3, how: How::Ask, at: TOKEN, body: |_| token(json!({"expirationSeconds": 3_155_760_000_u32})), layers: LATE },
    Grant { control: "token-audience-chosen", variant: "volume", does: "mounts a token for another audience", theorem: Theorem::T3, how: How::Create, at: PODS, body: |_| json!({"spec": projecting(json!({"serviceAccountToken": {"path": "t", "audience": "pods.eks.amazonaws.com"}}))}), layers: EARLY },
    Grant { control: "token-audience-chosen", variant: "annotation", does: "has EKS' webhook mount a token for another audience", theorem: Theorem::T3, how: How::Patch(MERGE), at: ACCOUNT, body: |_| annotated("eks.amazonaws.com/audience", "vault.example"), layers: LATE },
    Grant { control: "legacy-token-secret", variant: "create", does: "creates a Secret that is filled with a token for ever", theorem: Theorem::T3, how: How::Create, at: SECRETS, body: |_| json!({"metadata": {"annotations": {"kubernetes.io/service-account.name": "attack-plain"}}, "type": "kubernetes.io/service-account-token"}), layers: GUARD },
    Grant { control: "legacy-token-secret", variant: "apply", does: "applies such a Secret on the server's side", theorem: Theorem::T3, how: How::Apply, at: SECRETS, body: |_| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"annotations": {"kubernetes.io/service-account.name": "attack-plain"}}, "type": "kubernetes.io/service-account-token"}), layers: GUARD },
    Grant { control: "legacy-token-secret", variant: "bootstrap", does: "creates a Secret of the kind that lets nodes join", theorem: Theorem::T3, how: How::Create, at: SECRETS, body: |_| json!({"type": "bootstrap.kubernetes.io/token", "stringData": {"token-id": "07401b", "token-secret": "f395accd246ae52d"}}), layers: GUARD },
    Grant { control: "iam-role-chosen", variant: "create", does: "makes a ServiceAccount that is a role of the cloud", theorem: Theorem::T3, how: How::Create, at: ACCOUNTS, body: |_| annotated("eks.amazonaws.com/role-arn", "arn:aws:iam::123456789012:role/platform"), layers: EARLY },
    Grant { control: "iam-role-chosen", variant: "patch", does: "makes a role of the cloud of a ServiceAccount that was none", theorem: Theorem::T3, how: How::Patch(MERGE), at: ACCOUNT, body: |_| annotated("eks.amazonaws.com/role-arn", "arn:aws:iam::123456789012:role/platform"), layers: LATE },
    Grant { control: "iam-role-chosen", variant: "template", does: "names a role of the cloud in a template's annotation", theorem: Theorem::T3, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"annotations": {"iam.amazonaws.com/role": "platform"}}), good_pod()), layers: EARLY },
    Grant { control: "certificate-signer-unlisted", variant: "pod", does: "mounts a certificate that the API server believes", theorem: Theorem::T3, how: How::Create, at: PODS, body: |_| json!({"spec": projecting(json!({"podCertificate": {"signerName": "kubernetes.io/kube-apiserver-client-pod", "keyType": "ED25519", "keyPath": "k", "certificateChainPath": "c"}}))}), layers: DROPPED },
    Grant { control: "certificate-signer-unlisted", variant: "template", does: "mounts, by a template, a trust bundle of anybody's", theorem: Theorem::T4, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({}), projecting(json!({"clusterTrustBundle": {"name": "anybodys", "path": "ca.pem"}}))), layers: DROPPED },
    Grant { control: "foreign-owner-reference", variant: "node", does: "ties down a node by an object that it owns", theorem: Theorem::T5, how: How::Create, at: CONFIGS, body: |_| owned("v1", "Node", "node-0"), layers: GUARD },
    Grant { control: "foreign-owner-reference", variant: "tenant", does: "ties down another's Tenant by a patch of an object of its own", theorem: Theorem::T5, how: How::Patch(MERGE), at: "/api/v1/namespaces/{own}/configmaps/attack-own", body: |f| owned("bulkhead.dev/v1alpha1", "Tenant", &f.victim.tenant), layers: GUARD },
    Grant { control: "runtime-annotation", variant: "pod", does: "tells the runtime which kernel to run", theorem: Theorem::T2, how: How::Create, at: PODS, body: |_| json!({"metadata": {"annotations": {"io.katacontainers.config.hypervisor.kernel": "/host/vmlinux"}}, "spec": good_pod()}), layers: EARLY },
    Grant { control: "runtime-annotation", variant: "template", does: "asks, by a template, for the node's devices", theorem: Theorem::T2, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"annotations": {"cdi.k8s.io/disk": "vendor.example/disk=all"}}), good_pod()), layers: EARLY },
    Grant { control: "runtime-annotation", variant: "seccomp", does: "has CRI-O take the seccomp profile out of an image", theorem: Theorem::T2, how: How::Create, at: PODS, body: |_| json!({"metadata": {"annotations": {"seccomp-profile.kubernetes.cri-o.io/main": "attack.example/unconfined:1"}}, "spec": good_pod()}), layers: EARLY },
    Grant { control: "runtime-annotation", variant: "glass", does: "breaks the glass of an image policy, by a template", theorem: Theorem::T2, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"annotations": {"attack.image-policy.k8s.io/ticket": "break-glass"}}), good_pod()), layers: EARLY },
    Grant { control: "runtime-annotation", variant: "untracked", does: "has Cilium not track the traffic of a pod that runs", theorem: Theorem::T2, how: How::Patch(MERGE), at: OWN_POD, body: |_| annotated("policy.cilium.io/no-track-port", "53"), layers: LATE },
    Grant { control: "runtime-annotation", variant: "egress", does: "leaves the cluster through another tenant's gateway", theorem: Theorem::T4, how: How::Create, at: DEPLOYMENTS, body: |f| deployment(json!({"annotations": {"egress.projectcalico.org/selector": format!("tenant == '{}'", f.victim.tenant)}}), good_pod()), layers: EARLY },
    Grant { control: "network-annotation-forged", variant: "interface", does: "takes another pod's network interface", theorem: Theorem::T4, how: How::Create, at: PODS, body: |_| json!({"metadata": {"annotations": {"vpc.amazonaws.com/pod-eni": "[{\"eniId\":\"eni-0123\",\"privateIp\":\"10.0.0.7\"}]"}}, "spec": good_pod()}), layers: EARLY },
    Grant { control: "network-annotation-forged", variant: "template", does: "takes another pod's address, by a template", theorem: Theorem::T4, how: How::Create, at: DEPLOYMENTS, body: |_| deployment(json!({"annotations": {"k8s.ovn.org/pod-networks": "{\"default\":{\"ip_address\":\"10.0.0.7/24\"}}"}}), good_pod()), layers: EARLY },
    Grant { control: "network-annotation-forged", variant: "patch", does: "has Calico believe that a pod that runs has another's address", theorem: Theorem::T4, how: How::Patch(MERGE), at: OWN_POD, body: |_| annotated("cni.projectcalico.org/podIP", "10.0.0.7/32"), layers: LATE },
    Grant { control: "storage-annotation", variant: "import", does: "imports another tenant's volume by its name", theorem: Theorem::T2, how: How::Create, at: CLAIMS, body: |_| claim("trident.netapp.io/importOriginalName", "volume_of_globex"), layers: EARLY },
    Grant { control: "storage-annotation", variant: "upwards", does: "has its folder made in another tenant's", theorem: Theorem::T2, how: How::Create, at: PODS, body: |_| json!({"spec": good_but(&[("/volumes", json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": claim("nfs.io/storage-path", "../globex")}}]))])}), layers: EARLY },
    Grant { control: "iam-role-chosen", variant: "spiffe", does: "picks another workload's SPIFFE identity", theorem: Theorem::T4, how: How::Patch(MERGE), at: OWN_POD, body: |f| annotated("spiffe.io/spiffe-id", &f.victim.namespace), layers: LATE },
    Grant { control: "runtime-annotation", variant: "patch", does: "makes a pod that runs a kubelet's mirror", theorem: Theorem::T2, how: How::Patch(MERGE), at: "/api/v1/namespaces/{own}/pods/attack-own", body: |_| annotated("cpu-load-balancing.crio.io", "disable"), layers: LATE },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for grant in GRANTS {
        let (gateway, api) = grant.layers;
        for (door, credential, way, layer) in ways(Some(gateway), api) {
            let Some(layer) = layer else {
                continue;
            };
            let name = format!("{}-{}-{way}", grant.control, grant.variant);
            let object = format!("attack-{name}");
            let does = format!("At the {way}, {}.", grant.does);
            let plan = move |field: &Field| {
                let (request, truth) = send(grant, field, &object);
                let attack = Attack::shot(door, credential.clone(), request);
                match truth {
                    Some(truth) => attack.truth(truth),
                    None => attack,
                }
            };
            all.push(
                Technique::new(name, Family::Grants, grant.theorem, does, plan)
                    .stopped_by(Expected::new(layer, 403, grant.control)),
            );
        }
    }
    all
}

/// The request, and what must be true afterwards.
fn send(grant: &Grant, field: &Field, object: &str) -> (Request, Option<Truth>) {
    let at = field.fill(grant.at);
    let mut body = (grant.body)(field);
    let path = format!("{at}/{object}");
    if matches!(grant.how, How::Create | How::Apply) {
        named(&mut body, object);
    }
    match grant.how {
        How::Create => (Request::post(at, &body), Some(Truth::Absent(path))),
        How::Ask => (Request::post(at, &body), None),
        How::Patch(media) => (
            Request::patch(at.as_str(), media, &body),
            Some(Truth::Same(at)),
        ),
        How::Apply => {
            let target = format!("{path}?fieldManager=attack&force=true");
            (
                Request::patch(target, APPLY, &body),
                Some(Truth::Absent(path)),
            )
        }
    }
}
