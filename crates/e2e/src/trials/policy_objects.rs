//! Objects that the API server takes and that are wrong in many ways at once.
#![expect(
    clippy::indexing_slicing,
    reason = "assigning by index makes what is missing"
)]

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// An object, and where it goes.
pub(super) struct Sample {
    pub(super) api: &'static str,
    pub(super) resource: &'static str,
    pub(super) object: Value,
}

impl Sample {
    /// Where objects like it are made.
    pub(super) fn path(&self, namespace: &str) -> String {
        let (api, resource) = (self.api, self.resource);
        let root = if api == "v1" { "api" } else { "apis" };
        format!("/{root}/{api}/namespaces/{namespace}/{resource}")
    }
}

/// The next one.
pub(super) fn sample(rng: &mut Rng) -> Sample {
    let (api, resource, kind, body) = match rng.u8(0..20) {
        0 => ("v1", "services", "Service", service(rng)),
        1 => (
            "v1",
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            claim(rng),
        ),
        2 => {
            let template = template(rng);
            let body = json!({"metadata": {"name": "x"}, "template": template});
            ("v1", "podtemplates", "PodTemplate", body)
        }
        3 => workload(rng, "deployments", "Deployment"),
        4 => workload(rng, "daemonsets", "DaemonSet"),
        5 => {
            let mut template = template(rng);
            template["spec"]["restartPolicy"] = json!("Never");
            let spec =
                json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}});
            let body = json!({"metadata": {"name": "x"}, "spec": spec});
            ("batch/v1", "cronjobs", "CronJob", body)
        }
        _ => {
            let mut pod = template(rng);
            pod["metadata"]["name"] = json!("x");
            ("v1", "pods", "Pod", pod)
        }
    };
    let mut object = body;
    object["apiVersion"] = json!(api);
    object["kind"] = json!(kind);
    Sample {
        api,
        resource,
        object,
    }
}

fn workload(
    rng: &mut Rng,
    resource: &'static str,
    kind: &'static str,
) -> (&'static str, &'static str, &'static str, Value) {
    let spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template(rng)});
    let body = json!({"metadata": {"name": "x"}, "spec": spec});
    ("apps/v1", resource, kind, body)
}

/// Sets one of the values, seldom enough that good objects come up too.
fn maybe(rng: &mut Rng, object: &mut Map<String, Value>, key: &str, values: &[Value]) {
    if rng.u8(0..100) < 12
        && let Some(value) = rng.choice(values)
    {
        object.insert(key.to_owned(), value.clone());
    }
}

/// A template without a name.
fn template(rng: &mut Rng) -> Value {
    let mut annotations = Map::new();
    maybe(
        rng,
        &mut annotations,
        "container.apparmor.security.beta.kubernetes.io/c0",
        &[
            json!("runtime/default"),
            json!("unconfined"),
            json!("localhost/x"),
        ],
    );
    for key in [
        "io.katacontainers.config.hypervisor.path",
        "sub.nri.io/x",
        "notnri.io/x",
        "k8s.v1.cni.cncf.io/networks",
        "cni.projectcalico.org/podIP",
        "cni.projectcalico.org/ipv4pools",
        "seccomp-profile.kubernetes.cri-o.io/c0",
        "io.cilium.no-track-port",
        "notcilium.io/x",
    ] {
        if rng.u8(0..100) < 2 {
            annotations.insert(key.to_owned(), json!("x"));
        }
    }
    json!({
        "metadata": {"labels": {"app": "x"}, "annotations": annotations},
        "spec": pod(rng),
    })
}

fn pod(rng: &mut Rng) -> Value {
    let mut spec = Map::new();
    let flag = [json!(true), json!(false)];
    for key in ["hostPID", "hostIPC", "hostNetwork"] {
        maybe(rng, &mut spec, key, &flag);
    }
    if spec.get("hostPID") != Some(&json!(true)) {
        maybe(rng, &mut spec, "shareProcessNamespace", &flag);
    }
    maybe(
        rng,
        &mut spec,
        "nodeName",
        &[json!("sandbox-node-0"), json!("")],
    );
    maybe(
        rng,
        &mut spec,
        "schedulerName",
        &[json!("default-scheduler"), json!("binpack"), json!("other")],
    );
    tolerations(rng, &mut spec);
    affinity(rng, &mut spec);
    let mut context = context(rng, true);
    if spec.get("hostNetwork") == Some(&json!(true)) {
        // The API server takes a host process on the node's network only.
        maybe(
            rng,
            &mut context,
            "windowsOptions",
            &[json!({"hostProcess": true})],
        );
    } else {
        maybe(rng, &mut spec, "hostUsers", &flag);
    }
    let own_users = spec.get("hostUsers") == Some(&json!(false));
    maybe(rng, &mut context, "fsGroup", &[json!(0), json!(7)]);
    maybe(
        rng,
        &mut context,
        "supplementalGroups",
        &[json!([0]), json!([7]), json!([])],
    );
    if spec.get("hostNetwork") != Some(&json!(true)) {
        maybe(
            rng,
            &mut context,
            "sysctls",
            &[
                json!([{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
                json!([{"name": "net.core.somaxconn", "value": "1"}]),
                json!([{"name": "kernel/shm_rmid_forced", "value": "1"}]),
                json!([{"name": "net.ipv4.tcp_rmem", "value": "1"}]),
            ],
        );
    }
    spec.insert("securityContext".into(), context.into());
    let sources = volumes();
    let volumes: Vec<Value> = (0..rng.usize(0..3))
        .filter_map(|index| {
            let mut volume = rng.choice(&sources)?.clone();
            volume["name"] = json!(format!("v{index}"));
            Some(volume)
        })
        .collect();
    spec.insert("volumes".into(), volumes.into());
    for (key, count) in [
        ("containers", 1 + rng.usize(0..2)),
        ("initContainers", rng.usize(0..2)),
    ] {
        let letter = key.get(..1).unwrap_or_default();
        let list: Vec<Value> = (0..count)
            .map(|index| {
                container(
                    rng,
                    format!("{letter}{index}"),
                    key == "containers",
                    own_users,
                )
            })
            .collect();
        spec.insert(key.into(), list.into());
    }
    Value::Object(spec)
}

fn volumes() -> Vec<Value> {
    vec![
        json!({"emptyDir": {}}),
        json!({"configMap": {"name": "c"}}),
        json!({"secret": {"secretName": "s"}}),
        json!({"hostPath": {"path": "/var"}}),
        json!({"nfs": {"server": "a.example", "path": "/"}}),
        json!({"csi": {"driver": "d.example"}}),
        json!({"ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}}}),
        json!({"projected": {"sources": [{"configMap": {"name": "c"}}]}}),
        json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
        json!({"projected": {"sources": [{"clusterTrustBundle": {"path": "t", "name": "b"}}]}}),
    ]
}

/// A security context, of the pod or of a container.
fn context(rng: &mut Rng, of_pod: bool) -> Map<String, Value> {
    let mut context = Map::new();
    // What is asked for, more often than not.
    if of_pod && rng.bool() {
        context.insert("runAsNonRoot".into(), json!(true));
        context.insert("seccompProfile".into(), json!({"type": "RuntimeDefault"}));
    }
    maybe(
        rng,
        &mut context,
        "runAsNonRoot",
        &[json!(true), json!(false)],
    );
    maybe(
        rng,
        &mut context,
        "runAsUser",
        &[json!(0), json!(1), json!(1000)],
    );
    maybe(rng, &mut context, "runAsGroup", &[json!(0), json!(1000)]);
    maybe(
        rng,
        &mut context,
        "seccompProfile",
        &[
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Unconfined"}),
            json!({"type": "Localhost", "localhostProfile": "profiles/audit.json"}),
            json!({"type": "Localhost", "localhostProfile": "profiles/other.json"}),
        ],
    );
    maybe(
        rng,
        &mut context,
        "appArmorProfile",
        &[
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Unconfined"}),
            json!({"type": "Localhost", "localhostProfile": "x"}),
        ],
    );
    maybe(
        rng,
        &mut context,
        "windowsOptions",
        &[
            json!({"hostProcess": false}),
            json!({"runAsUserName": "ContainerAdministrator"}),
            json!({"runAsUserName": "D\\administrator"}),
            json!({"runAsUserName": "ContainerUser"}),
        ],
    );
    context
}

fn container(rng: &mut Rng, name: String, probes: bool, own_users: bool) -> Value {
    let mut own = context(rng, false);
    if rng.u8(0..100) < 70 {
        own.insert("allowPrivilegeEscalation".into(), json!(false));
    }
    let added = [
        json!(["CHOWN"]),
        json!(["NET_BIND_SERVICE"]),
        json!(["chown"]),
        json!(["CAP_CHOWN"]),
        json!(["SYS_TIME"]),
        json!(["ALL"]),
    ];
    let mut capabilities = Map::new();
    maybe(rng, &mut capabilities, "add", &added);
    if rng.u8(0..100) < 70 {
        capabilities.insert("drop".into(), json!(["ALL"]));
    } else {
        maybe(
            rng,
            &mut capabilities,
            "drop",
            &[json!(["all"]), json!(["CHOWN"]), json!([])],
        );
    }
    own.insert("capabilities".into(), capabilities.into());
    if own.get("allowPrivilegeEscalation").is_none() {
        maybe(rng, &mut own, "privileged", &[json!(true), json!(false)]);
    }
    // The API server takes other mounts of /proc in user namespaces only.
    let mounts = [json!("Default"), json!("Unmasked")];
    maybe(
        rng,
        &mut own,
        "procMount",
        if own_users { &mounts } else { &mounts[..1] },
    );
    let mut container = Map::new();
    container.insert("name".into(), json!(name));
    container.insert("image".into(), json!("registry.example/app:1"));
    container.insert("securityContext".into(), own.into());
    maybe(
        rng,
        &mut container,
        "ports",
        &[
            json!([{"containerPort": 80}]),
            json!([{"containerPort": 80, "hostPort": 80}]),
        ],
    );
    if probes {
        for key in ["livenessProbe", "startupProbe"] {
            maybe(
                rng,
                &mut container,
                key,
                &[
                    json!({"httpGet": {"port": 80}}),
                    json!({"httpGet": {"port": 80, "host": "10.0.0.1"}}),
                    json!({"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
                ],
            );
        }
        maybe(
            rng,
            &mut container,
            "lifecycle",
            &[
                json!({"preStop": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
                json!({"postStart": {"exec": {"command": ["a"]}}}),
            ],
        );
    }
    Value::Object(container)
}

fn tolerations(rng: &mut Rng, spec: &mut Map<String, Value>) {
    maybe(
        rng,
        spec,
        "tolerations",
        &[
            json!([{"operator": "Exists"}]),
            json!([{"key": "tenantID", "value": "acme"}]),
            json!([{"key": "tenantID", "operator": "Equal", "value": "globex", "effect": "NoSchedule"}]),
            json!([{"key": "tenantID", "operator": "Exists"}]),
            json!([{"key": "example.com/spot", "operator": "Exists"}]),
            json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}]),
            json!([{"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"}]),
        ],
    );
}

fn affinity(rng: &mut Rng, spec: &mut Map<String, Value>) {
    let term = |more: Value| {
        let mut term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {}});
        if let (Some(term), Value::Object(more)) = (term.as_object_mut(), more) {
            term.extend(more);
        }
        term
    };
    let required = |term: Value| json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let preferred = |term: Value| json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}});
    let node = |field: &str| {
        let terms = json!([{field: [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]);
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
    };
    let own = json!({"namespaceSelector": {"matchLabels": {"bulkhead.dev/tenant": "acme"}}});
    let theirs = json!({"namespaceSelector": {"matchLabels": {"bulkhead.dev/tenant": "globex"}}});
    maybe(
        rng,
        spec,
        "affinity",
        &[
            required(term(json!({}))),
            required(term(own)),
            preferred(term(theirs.clone())),
            required(term(theirs)),
            required(term(json!({"namespaceSelector": {}}))),
            preferred(term(json!({"namespaces": ["policies-strict"]}))),
            node("matchFields"),
            node("matchExpressions"),
        ],
    );
}

fn service(rng: &mut Rng) -> Value {
    let mut spec = Map::new();
    spec.insert("ports".into(), json!([{"port": 80}]));
    maybe(
        rng,
        &mut spec,
        "externalIPs",
        &[json!(["192.0.2.1"]), json!([])],
    );
    for _ in 0..3 {
        maybe(
            rng,
            &mut spec,
            "type",
            &[
                json!("NodePort"),
                json!("LoadBalancer"),
                json!("ClusterIP"),
                json!("ExternalName"),
            ],
        );
    }
    if spec.get("type") == Some(&json!("ExternalName")) {
        let names = [
            "a.example",
            "x.svc",
            "A.Example.",
            "b.cluster.local",
            "10.0.0.1",
        ];
        spec.insert("externalName".into(), json!(rng.choice(names)));
    }
    if spec.get("type") == Some(&json!("LoadBalancer")) {
        maybe(rng, &mut spec, "loadBalancerClass", &[json!("a.example/b")]);
        maybe(
            rng,
            &mut spec,
            "loadBalancerSourceRanges",
            &[json!(["192.0.2.0/24"])],
        );
        maybe(
            rng,
            &mut spec,
            "allocateLoadBalancerNodePorts",
            &[json!(true), json!(false)],
        );
    }
    let mut annotations = Map::new();
    maybe(
        rng,
        &mut annotations,
        "service.beta.kubernetes.io/aws-load-balancer-internal",
        &[json!("true")],
    );
    json!({"metadata": {"name": "x", "annotations": annotations}, "spec": spec})
}

fn claim(rng: &mut Rng) -> Value {
    let mut spec = Map::new();
    spec.insert("accessModes".into(), json!(["ReadWriteOnce"]));
    spec.insert("resources".into(), json!({"requests": {"storage": "1Gi"}}));
    maybe(rng, &mut spec, "volumeName", &[json!("v"), json!("")]);
    maybe(
        rng,
        &mut spec,
        "selector",
        &[json!({"matchLabels": {"a": "b"}})],
    );
    let mut annotations = Map::new();
    for key in ["nfs.io/storage-path", "notnfs.io/x"] {
        maybe(rng, &mut annotations, key, &[json!("x")]);
    }
    json!({"metadata": {"name": "x", "annotations": annotations}, "spec": spec})
}
