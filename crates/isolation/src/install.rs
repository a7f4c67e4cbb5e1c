//! Bulkhead's own namespace, identities and rights: what stands before the first tenant.

use bulkhead_model::labels::{GROUP, SYSTEM_NAMESPACE, TENANTS_GROUP, USER_EXTRA};
use serde_json::{Value, json};

use crate::fairness::fairness;
use crate::forwarder::{SHARDS, shard, shard_name};
use crate::rights::{role, tenant_roles};
use crate::{RBAC, RBAC_V1};

/// The ServiceAccounts in Bulkhead's namespace, one for each credential. The gateway has two:
/// one reads, the other impersonates and can do nothing else.
pub const SERVICE_ACCOUNTS: [&str; 4] = [
    "controller",
    "gateway-forwarder",
    "gateway-reader",
    "webhook",
];

/// Everything to apply once, in this order.
///
/// The shards come without rules: apply them under a field manager that does not own the rules,
/// and those that are full stay full.
#[must_use]
pub fn install() -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": SYSTEM_NAMESPACE},
    })];
    objects.extend(SERVICE_ACCOUNTS.iter().map(|name| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        })
    }));
    objects.extend(tenant_roles());
    objects.push(tenant_namespaces());
    objects.extend(administrators());
    objects.extend([webhook(), gateway_reader(), forwarder()]);
    objects.extend(controller());
    objects.extend((0..SHARDS).map(|index| shard(index, None)));

    objects.push(cluster_binding(
        "bulkhead-tenant-namespaces",
        &json!({"apiGroup": RBAC, "kind": "Group", "name": TENANTS_GROUP}),
    ));
    for (role, account) in [
        ("bulkhead-webhook", "webhook"),
        ("bulkhead-gateway-reader", "gateway-reader"),
        ("bulkhead-forwarder", "gateway-forwarder"),
        ("bulkhead-controller", "controller"),
        ("bulkhead-controller-roles", "controller"),
    ] {
        objects.push(cluster_binding(role, &service_account(account)));
    }
    objects.push(json!({
        "apiVersion": RBAC_V1,
        "kind": "RoleBinding",
        "metadata": {"name": "bulkhead-controller", "namespace": SYSTEM_NAMESPACE},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "bulkhead-controller"},
        "subjects": [service_account("controller")],
    }));
    objects.extend(revocations());
    objects.extend(policy_maps());
    objects.extend(looked_at());
    objects.extend(events());
    objects.extend(fairness());
    let forwarder = service_account("gateway-forwarder");
    objects.extend((0..SHARDS).map(|index| cluster_binding(&shard_name(index), &forwarder)));
    objects
}

/// Tenants' administrators create namespaces. The guard of namespaces says which.
fn tenant_namespaces() -> Value {
    role(
        "bulkhead-tenant-namespaces",
        vec![rule("", &["namespaces"], &["create"])],
    )
}

/// Rights that guards ask for and nobody but cluster-admin has: to take namespaces in or
/// release them (`adopt`), to write statuses and bindings in tenants' namespaces (`operate`,
/// for control plane components outside kube-system).
fn administrators() -> Vec<Value> {
    ["adopt", "operate"]
        .map(|verb| {
            role(
                &format!("bulkhead-{verb}"),
                vec![rule(GROUP, &["tenants"], &[verb])],
            )
        })
        .into()
}

const WATCH: &[&str] = &["get", "list", "watch"];

/// What the webhook's rules look up, one object at a time, and the ledger from which it leases while
/// it answers: a guard says which kinds of entries.
fn webhook() -> Value {
    let facts = vec![
        rule(GROUP, &["ledgerentries"], LEASE),
        // What quotas count.
        rule(
            "",
            &[
                "persistentvolumeclaims",
                "pods",
                "replicationcontrollers",
                "services",
            ],
            WATCH,
        ),
        rule(
            "apps",
            &["daemonsets", "deployments", "replicasets", "statefulsets"],
            WATCH,
        ),
        rule("batch", &["cronjobs", "jobs"], WATCH),
        rule(
            "",
            &["persistentvolumeclaims", "persistentvolumes"],
            &["get"],
        ),
        // Policies in Rego.
        rule("templates.gatekeeper.sh", &["constrainttemplates"], WATCH),
        rule("constraints.gatekeeper.sh", &["*"], WATCH),
        rule("config.gatekeeper.sh", &["configs"], WATCH),
        // Who may `use` which policy, asked for each pod.
        rule(GROUP, &["podsecuritypolicies"], WATCH),
        rule(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
        ),
    ];
    role("bulkhead-webhook", [caches(), facts].concat())
}

const LEASE: &[&str] = &["get", "list", "watch", "create", "update"];

fn gateway_reader() -> Value {
    let reviews = rule("authentication.k8s.io", &["tokenreviews"], &["create"]);
    // Of these, tenants see what they may use; the gateway picks it out.
    let shared = [
        ("", "nodes"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("gateway.networking.k8s.io", "gatewayclasses"),
        ("networking.k8s.io", "ingressclasses"),
        ("node.k8s.io", "runtimeclasses"),
        ("resource.k8s.io", "deviceclasses"),
        ("scheduling.k8s.io", "priorityclasses"),
        ("storage.k8s.io", "storageclasses"),
    ]
    .map(|(group, kind)| rule(group, &[kind], WATCH));
    role(
        "bulkhead-gateway-reader",
        [caches(), vec![reviews], shared.into()].concat(),
    )
}

fn caches() -> Vec<Value> {
    vec![
        rule(GROUP, &["tenants"], WATCH),
        rule("", &["namespaces"], WATCH),
    ]
}

/// The one group and the one extra. The users are in the shards.
fn forwarder() -> Value {
    let extra = format!("userextras/{USER_EXTRA}");
    role(
        "bulkhead-forwarder",
        vec![
            named(
                rule("", &["groups"], &["impersonate"]),
                &[TENANTS_GROUP.to_owned()],
            ),
            rule("authentication.k8s.io", &[&extra], &["impersonate"]),
        ],
    )
}

/// The controller grants what it does not hold only by name: it binds the roles of tenants and
/// those that an administrator puts into the aggregated role, and escalates on the shards, which
/// a guard keeps to tenants' users. Where it writes, another guard decides.
fn controller() -> Vec<Value> {
    const KEEP: &[&str] = &[
        "get", "list", "watch", "create", "patch", "update", "delete",
    ];
    let shards: Vec<String> = (0..SHARDS).map(shard_name).collect();
    let bound = ["admin", "developer", "viewer"].map(|role| format!("bulkhead-tenant-{role}"));
    vec![
        role(
            "bulkhead-controller",
            vec![
                rule(
                    GROUP,
                    &["tenants"],
                    &["get", "list", "watch", "patch", "update", "adopt"],
                ),
                rule(GROUP, &["tenants/status"], &["get", "patch", "update"]),
                rule(GROUP, &["ledgerentries"], KEEP),
                // Deleting a Tenant takes its namespaces along.
                rule(
                    "",
                    &["namespaces"],
                    &["get", "list", "watch", "patch", "update", "delete"],
                ),
                // Nodes of tenants' own: marked, and emptied of others' pods. A guard says what of a
                // node may change.
                rule("", &["nodes"], &["get", "list", "watch", "patch"]),
                rule("", &["pods"], &["list"]),
                rule("", &["pods/eviction"], &["create"]),
                rule("", &["limitranges", "resourcequotas"], KEEP),
                rule("networking.k8s.io", &["networkpolicies"], KEEP),
                // Whether the names that tenants claimed are in use.
                rule("networking.k8s.io", &["ingresses"], &["list"]),
                rule(
                    "gateway.networking.k8s.io",
                    &[
                        "gateways",
                        "grpcroutes",
                        "httproutes",
                        "listenersets",
                        "tlsroutes",
                    ],
                    &["list"],
                ),
                rule(RBAC, &["rolebindings"], KEEP),
                // The kinds of constraints, which a guard keeps apart from all others.
                rule("templates.gatekeeper.sh", &["constrainttemplates"], WATCH),
                rule(
                    "templates.gatekeeper.sh",
                    &["constrainttemplates/status"],
                    &["get", "patch"],
                ),
                // The audit of what policies in Rego say of what exists.
                rule("constraints.gatekeeper.sh", &["*"], WATCH),
                rule(
                    "constraints.gatekeeper.sh",
                    &["*/status"],
                    &["get", "patch"],
                ),
                rule("config.gatekeeper.sh", &["configs"], WATCH),
                rule(
                    "wgpolicyk8s.io",
                    &["clusterpolicyreports", "policyreports"],
                    KEEP,
                ),
                rule(
                    "apiextensions.k8s.io",
                    &["customresourcedefinitions"],
                    &["get", "create", "patch"],
                ),
                named(rule(RBAC, &["clusterroles"], &["bind"]), &bound),
                named(
                    rule(
                        RBAC,
                        &["clusterroles"],
                        &["get", "list", "watch", "patch", "update", "escalate"],
                    ),
                    &shards,
                ),
            ],
        ),
        json!({
            "apiVersion": RBAC_V1,
            "kind": "ClusterRole",
            "metadata": {
                "name": "bulkhead-controller-roles",
                "annotations": {
                    "kubernetes.io/description": "Collects the ClusterRoles labelled bulkhead.dev/aggregate-to-controller: each lets the controller bind one role that Tenants name in spec.roles.",
                },
            },
            "aggregationRule": {"clusterRoleSelectors": [
                {"matchLabels": {"bulkhead.dev/aggregate-to-controller": "true"}},
            ]},
        }),
        json!({
            "apiVersion": RBAC_V1,
            "kind": "Role",
            "metadata": {"name": "bulkhead-controller", "namespace": SYSTEM_NAMESPACE},
            "rules": [
                rule(RBAC, &["roles"], KEEP),
                // Held, so that it can be granted: a Role for each tenant names one claim.
                rule(GROUP, &["namespaceclaims"], &["create"]),
                rule("coordination.k8s.io", &["leases"], KEEP),
                // Those that hold policies.
                rule("", &["configmaps"], WATCH),
                // Tried without being stored, to see which fields of pods the API server keeps.
                rule("", &["podtemplates"], &["create"]),
            ],
        }),
    ]
}

/// The list of certificates that were taken back. Rights by name do not reach watches of a kind.
fn revocations() -> [Value; 2] {
    let rule = rule("", &["configmaps"], WATCH);
    local_role(
        "bulkhead-gateway-reader",
        SYSTEM_NAMESPACE,
        &rule,
        "gateway-reader",
    )
}

/// ConfigMaps that hold policies stand in Bulkhead's own namespace.
fn policy_maps() -> [Value; 2] {
    let rule = rule("", &["configmaps"], WATCH);
    local_role("bulkhead-webhook", SYSTEM_NAMESPACE, &rule, "webhook")
}

/// What policies in Rego may look at beside the object that they judge: the webhook for
/// `data.inventory`, the controller for its audit. Secrets are not among it: an administrator who wants
/// policies about them adds a role with the label.
fn looked_at() -> [Value; 4] {
    const ROLE: &str = "bulkhead-policies";
    const LABEL: &str = "bulkhead.dev/aggregate-to-policies";
    let read = |group: &str, resources: &[&str]| rule(group, resources, WATCH);
    let mut view = role(
        "bulkhead-policies-view",
        vec![
            read(
                "",
                &[
                    "configmaps",
                    "endpoints",
                    "limitranges",
                    "namespaces",
                    "persistentvolumeclaims",
                    "persistentvolumes",
                    "pods",
                    "podtemplates",
                    "replicationcontrollers",
                    "resourcequotas",
                    "serviceaccounts",
                    "services",
                ],
            ),
            read("apps", &["*"]),
            read("autoscaling", &["*"]),
            read("batch", &["*"]),
            read("bulkhead.dev", &["tenants"]),
            read("discovery.k8s.io", &["*"]),
            read("gateway.networking.k8s.io", &["*"]),
            read("networking.k8s.io", &["*"]),
            read("node.k8s.io", &["*"]),
            read("policy", &["*"]),
            read("rbac.authorization.k8s.io", &["*"]),
            read("resource.k8s.io", &["*"]),
            read("scheduling.k8s.io", &["*"]),
            read("storage.k8s.io", &["*"]),
        ],
    );
    let metadata = view.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.insert("labels".into(), json!({LABEL: "true"}));
    }
    let whole = json!({
        "apiVersion": RBAC_V1,
        "kind": "ClusterRole",
        "metadata": {
            "name": ROLE,
            "annotations": {
                "kubernetes.io/description": "Collects the ClusterRoles labelled bulkhead.dev/aggregate-to-policies: what policies in Rego may look at, in data.inventory and in audits.",
            },
        },
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {LABEL: "true"}}]},
    });
    let mut webhook = cluster_binding(ROLE, &service_account("webhook"));
    if let Some(metadata) = webhook.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".into(), format!("{ROLE}-webhook").into());
    }
    let controller = cluster_binding(ROLE, &service_account("controller"));
    [view, whole, controller, webhook]
}

/// Events about Tenants stand in `default`, where those of all cluster-scoped objects do.
fn events() -> [Value; 2] {
    let rule = rule("events.k8s.io", &["events"], &["create"]);
    local_role("bulkhead-controller-events", "default", &rule, "controller")
}

/// A Role of one rule in a namespace, and its RoleBinding of the same name to one of Bulkhead's accounts.
fn local_role(name: &str, namespace: &str, rule: &Value, account: &str) -> [Value; 2] {
    let metadata = json!({"name": name, "namespace": namespace});
    [
        json!({
            "apiVersion": RBAC_V1,
            "kind": "Role",
            "metadata": metadata,
            "rules": [rule],
        }),
        json!({
            "apiVersion": RBAC_V1,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [service_account(account)],
        }),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn named(mut rule: Value, names: &[String]) -> Value {
    if let Some(fields) = rule.as_object_mut() {
        fields.insert("resourceNames".into(), names.into());
    }
    rule
}

fn service_account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": SYSTEM_NAMESPACE})
}

fn cluster_binding(role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": RBAC_V1,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}
