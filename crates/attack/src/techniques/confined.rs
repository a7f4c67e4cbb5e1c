//! What a tenant's own settings demand, and references of kinds that a cluster need not have.

use serde_json::{Value, json};

use super::bad_pods::{good_but, good_pod};
use crate::confined::{CONFINED, DEDICATED};
use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

struct Dodge {
    control: &'static str,
    variant: &'static str,
    does: &'static str,
    theorem: Theorem,
    namespace: &'static str,
    what: What,
    body: fn(&Field) -> Value,
}

#[derive(Clone, Copy)]
enum What {
    Pod,
    Deployment,
    Claim,
    Ingress,
    Route,
}

impl What {
    fn collection(self, namespace: &str) -> String {
        let (api, resource) = match self {
            Self::Pod => ("/api/v1", "pods"),
            Self::Deployment => ("/apis/apps/v1", "deployments"),
            Self::Claim => ("/api/v1", "persistentvolumeclaims"),
            Self::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
            Self::Route => ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
        };
        format!("{api}/namespaces/{namespace}/{resource}")
    }

    fn type_meta(self) -> (&'static str, &'static str) {
        match self {
            Self::Pod => ("v1", "Pod"),
            Self::Deployment => ("apps/v1", "Deployment"),
            Self::Claim => ("v1", "PersistentVolumeClaim"),
            Self::Ingress => ("networking.k8s.io/v1", "Ingress"),
            Self::Route => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        }
    }
}

const OWN: &str = "{own}";

fn deployment(pod: Value) -> Value {
    let labels = json!({"attack": "confined"});
    json!({"spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }})
}

fn selecting(key: &str, value: &str) -> Value {
    good_but(&[("/nodeSelector", json!({key: value}))])
}

/// A pod that mounts a folder of the node that it may read.
fn mounting(kind: &str, mount: Value) -> Value {
    let mut mount = mount;
    if let Value::Object(mount) = &mut mount {
        mount.extend([
            ("name".into(), json!("v")),
            ("mountPath".into(), json!("/v")),
        ]);
    }
    good_but(&[
        (
            "/volumes",
            json!([{"name": "v", "hostPath": {"path": "/srv/attack", "type": kind}}]),
        ),
        ("/containers/0/volumeMounts", json!([mount])),
    ])
}

fn claim(class: &str) -> Value {
    json!({"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
}

fn ingress(metadata: Value, class: Option<&str>) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    json!({"metadata": metadata, "spec": {
        "ingressClassName": class,
        "rules": [{"host": "own.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }})
}

#[rustfmt::skip]
const DODGES: &[Dodge] = &[
    Dodge { control: "shared-node", variant: "selector", does: "asks for another tenant's nodes", theorem: Theorem::T2, namespace: DEDICATED, what: What::Pod, body: |field| json!({"spec": selecting("node-restriction.kubernetes.io/tenant", &field.victim.tenant)}) },
    Dodge { control: "shared-node", variant: "template", does: "asks for another tenant's nodes in a template", theorem: Theorem::T2, namespace: DEDICATED, what: What::Deployment, body: |field| deployment(selecting("node-restriction.kubernetes.io/tenant", &field.victim.tenant)) },
    Dodge { control: "missing-node-selector", variant: "value", does: "asks for nodes of another pool", theorem: Theorem::T2, namespace: CONFINED, what: What::Pod, body: |_| json!({"spec": selecting("node-restriction.kubernetes.io/attack-pool", "theirs")}) },
    Dodge { control: "missing-node-selector", variant: "template", does: "asks for nodes of another pool in a template", theorem: Theorem::T2, namespace: CONFINED, what: What::Deployment, body: |_| deployment(selecting("node-restriction.kubernetes.io/attack-pool", "theirs")) },
    Dodge { control: "host-user-namespace", variant: "pod", does: "keeps the node's users", theorem: Theorem::T2, namespace: CONFINED, what: What::Pod, body: |_| json!({"spec": good_but(&[("/hostUsers", json!(true))])}) },
    Dodge { control: "host-user-namespace", variant: "template", does: "keeps the node's users in a template", theorem: Theorem::T2, namespace: CONFINED, what: What::Deployment, body: |_| deployment(good_but(&[("/hostUsers", json!(true))])) },
    Dodge { control: "writable-host-path", variant: "writable", does: "writes into a folder of the node that it may read", theorem: Theorem::T2, namespace: CONFINED, what: What::Pod, body: |_| json!({"spec": mounting("Directory", json!({}))}) },
    Dodge { control: "writable-host-path", variant: "mounts", does: "mounts a folder read-only, and what is mounted below it writable", theorem: Theorem::T2, namespace: CONFINED, what: What::Deployment, body: |_| deployment(mounting("Directory", json!({"readOnly": true}))) },
    Dodge { control: "writable-host-path", variant: "socket", does: "mounts a socket below a folder that it may read", theorem: Theorem::T2, namespace: CONFINED, what: What::Pod, body: |_| json!({"spec": mounting("Socket", json!({"readOnly": true, "recursiveReadOnly": "Enabled"}))}) },
    Dodge { control: "storage-class-unlisted", variant: "claim", does: "names a class of disks that it was not granted", theorem: Theorem::T2, namespace: CONFINED, what: What::Claim, body: |_| json!({"spec": claim("theirs")}) },
    Dodge { control: "storage-class-unlisted", variant: "volume", does: "names a class of disks in a volume of a template", theorem: Theorem::T2, namespace: CONFINED, what: What::Deployment, body: |_| deployment(good_but(&[("/volumes", json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": claim("theirs")}}}]))])) },
    Dodge { control: "ingress-class-unlisted", variant: "field", does: "names a door that it was not granted", theorem: Theorem::T4, namespace: CONFINED, what: What::Ingress, body: |_| ingress(json!({}), Some("theirs")) },
    Dodge { control: "ingress-class-unlisted", variant: "annotation", does: "names a door by the old annotation", theorem: Theorem::T4, namespace: CONFINED, what: What::Ingress, body: |_| ingress(json!({"annotations": {"kubernetes.io/ingress.class": "theirs"}}), None) },
    Dodge { control: "cross-namespace-reference", variant: "backend", does: "sends its visitors to another tenant's Service", theorem: Theorem::T4, namespace: OWN, what: What::Route, body: |field| json!({"spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80, "namespace": field.victim.namespace}]}]}}) },
    Dodge { control: "cross-namespace-reference", variant: "mirror", does: "mirrors its visitors to another tenant's Service", theorem: Theorem::T4, namespace: OWN, what: What::Route, body: |field| json!({"spec": {"rules": [{"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80, "namespace": field.victim.namespace}}}]}]}}) },
    Dodge { control: "cross-namespace-reference", variant: "parent", does: "attaches itself to another tenant's Gateway", theorem: Theorem::T4, namespace: OWN, what: What::Route, body: |field| json!({"spec": {"parentRefs": [{"name": "door", "namespace": field.victim.namespace}]}}) },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all: Vec<Technique> = DODGES.iter().map(dodge).collect();
    all.extend(levels());
    all.extend(domains());
    all.extend(strange_fields());
    all
}

/// By whoever has all rights in the namespace: RBAC stops nothing, and admission must.
fn dodge(dodge: &'static Dodge) -> Technique {
    let name = format!("{}-{}-api", dodge.control, dodge.variant);
    let object = format!("attack-{name}");
    let what = dodge.what;
    let does = format!(
        "With every right in its namespace, creates an object of {} that {}.",
        what.type_meta().1,
        dodge.does
    );
    let plan = move |field: &Field| {
        let collection = what.collection(&field.fill(dodge.namespace));
        let mut body = (dodge.body)(field);
        super::named(&mut body, &object);
        if let Value::Object(body) = &mut body {
            let (version, kind) = what.type_meta();
            body.insert("apiVersion".into(), version.into());
            body.insert("kind".into(), kind.into());
        }
        let path = format!("{collection}/{object}");
        let who = if dodge.namespace == OWN {
            Credential::Account(Account::Star)
        } else {
            Credential::Administrator
        };
        Attack::shot(Door::ApiServer, who, Request::post(collection, &body))
            .truth(Truth::Absent(path))
    };
    Technique::new(name, Family::Pods, dodge.theorem, does, plan).stopped_by(Expected::new(
        Layer::Webhook,
        403,
        dodge.control,
    ))
}

/// A level that is set to nothing, which the runtime would draw, is stamped.
fn levels() -> Vec<Technique> {
    let ways: [(&str, &str, Value); 2] = [
        (
            "empty",
            "Leaves out the level of its SELinux label.",
            json!({}),
        ),
        (
            "null",
            "Sets the level of its SELinux label to nothing.",
            json!({"level": null}),
        ),
    ];
    ways.into_iter()
        .map(|(variant, does, options)| {
            let name = format!("selinux-label-shared-{variant}-api");
            let plan = move |_: &Field| {
                let collection = What::Pod.collection(CONFINED);
                let spec = good_but(&[("/securityContext/seLinuxOptions", options.clone())]);
                let body = json!({"metadata": {"name": "attack-level"}, "spec": spec});
                let request = Request::post(format!("{collection}?dryRun=All"), &body);
                Attack::shot(Door::ApiServer, Credential::Administrator, request)
                    .truth(Truth::Absent(format!("{collection}/attack-level")))
            };
            Technique::new(name, Family::Pods, Theorem::T2, does, plan).stopped_by(Expected::new(
                Layer::Harmless,
                201,
                "\"level\":\"s0:c",
            ))
        })
        .collect()
}

/// Not even an administrator's slip makes a tenant's namespace answer for a domain.
fn domains() -> Vec<Technique> {
    [("plain", "com"), ("script", "xn--p1ai"), ("country", "io")]
        .into_iter()
        .map(|(variant, domain)| {
            let plan = move |field: &Field| {
                let labels = json!({"bulkhead.dev/tenant": field.attacker.tenant, "bulkhead.dev/tenant-uid": field.attacker.uid});
                let body = json!({"metadata": {"name": domain, "labels": labels}});
                Attack::shot(Door::ApiServer, Credential::Administrator, Request::post("/api/v1/namespaces", &body))
                    .truth(Truth::Absent(format!("/api/v1/namespaces/{domain}")))
            };
            let does = format!("Has an administrator make the tenant a namespace `{domain}`.");
            Technique::new(format!("namespace-shadows-domain-{variant}"), Family::Namespaces, Theorem::T4, does, plan)
                .stopped_by(Expected::new(Layer::Guard, 403, "namespace-shadows-domain"))
        })
        .collect()
}

/// Fields of a Kubernetes to come. The API server of today drops them; the gateway sees them.
fn strange_fields() -> Vec<Technique> {
    type Body = fn() -> Value;
    let places: [(&str, &str, What, Body); 3] = [
        (
            "pod",
            "a pod with a field that nobody knows yet",
            What::Pod,
            || json!({"spec": good_but(&[("/hostFuture", json!(true))])}),
        ),
        (
            "context",
            "a Deployment whose container asks for a privilege that nobody knows yet",
            What::Deployment,
            || {
                deployment(good_but(&[(
                    "/containers/0/securityContext/futurePrivilege",
                    json!(true),
                )]))
            },
        ),
        (
            "containers",
            "a pod with a list of containers of a new sort",
            What::Pod,
            || {
                let mut pod = good_pod();
                if let Value::Object(pod) = &mut pod {
                    pod.insert(
                        "futureContainers".into(),
                        json!([{"name": "x", "securityContext": {"privileged": true}}]),
                    );
                }
                json!({"spec": pod})
            },
        ),
    ];
    places
        .into_iter()
        .map(|(variant, what, kind, body)| {
            let name = format!("unknown-pod-field-{variant}-gateway");
            let object = format!("attack-{name}");
            let plan = move |field: &Field| {
                let collection = kind.collection(&field.attacker.namespace);
                let mut body = body();
                super::named(&mut body, &object);
                if let Value::Object(body) = &mut body {
                    let (version, kind) = kind.type_meta();
                    body.insert("apiVersion".into(), version.into());
                    body.insert("kind".into(), kind.into());
                }
                let path = format!("{collection}/{object}");
                Attack::shot(
                    Door::Gateway,
                    Credential::Tenant,
                    Request::post(collection, &body),
                )
                .truth(Truth::Absent(path))
            };
            let does = format!("Creates, through the gateway, {what}.");
            Technique::new(name, Family::Pods, Theorem::T2, does, plan).stopped_by(Expected::new(
                Layer::Gateway,
                403,
                "unknown-pod-field",
            ))
        })
        .collect()
}
