//! What if a right were granted by mistake: a synthetic user with every right of the cluster, as an
//! administrator can play it by impersonation. RBAC stops nothing here, the guards must.

use bulkhead_model::labels;
use serde_json::{Value, json};

use super::MERGE;
use crate::credential::Credential;
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// The request, made by the attacker's tenant's admin who is in `system:masters` as well.
pub(super) fn almighty(field: &Field, request: Request) -> Request {
    nobody(field, request).header("Impersonate-Extra-Bulkhead.dev%2fuser", "mallory")
}

/// The same without a person behind the user.
fn nobody(field: &Field, request: Request) -> Request {
    request
        .header(
            "Impersonate-User",
            format!(
                "{}{}:admin",
                labels::SYNTHETIC_PREFIX,
                field.attacker.tenant
            ),
        )
        .header("Impersonate-Group", labels::TENANTS_GROUP)
        .header("Impersonate-Group", "system:masters")
}

#[derive(Clone, Copy)]
struct Overreach {
    name: &'static str,
    does: &'static str,
    control: &'static str,
    theorem: Theorem,
    method: &'static str,
    target: &'static str,
    body: fn() -> Value,
    truth: &'static str,
}

#[rustfmt::skip]
const OVERREACHES: &[Overreach] = &[
    Overreach { name: "create", does: "creates a ConfigMap in another tenant's namespace", control: "foreign-namespace", theorem: Theorem::T1, method: "POST", target: "/api/v1/namespaces/{theirs}/configmaps", body: || json!({"metadata": {"name": "attack-almighty"}}), truth: "/api/v1/namespaces/{theirs}/configmaps/attack-almighty" },
    Overreach { name: "patch", does: "patches a Secret of another tenant's", control: "foreign-namespace", theorem: Theorem::T1, method: "PATCH", target: "/api/v1/namespaces/{theirs}/secrets/attack-victim", body: || json!({"data": {"x": "eA=="}}), truth: "/api/v1/namespaces/{theirs}/secrets/attack-victim" },
    Overreach { name: "delete", does: "deletes a Secret of another tenant's", control: "foreign-namespace", theorem: Theorem::T1, method: "DELETE", target: "/api/v1/namespaces/{theirs}/secrets/attack-victim", body: || Value::Null, truth: "/api/v1/namespaces/{theirs}/secrets/attack-victim" },
    Overreach { name: "exec", does: "runs a command in another tenant's pod", control: "foreign-namespace", theorem: Theorem::T2, method: "POST", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/exec?command=id&stdout=true", body: || Value::Null, truth: "/api/v1/namespaces/{theirs}/pods/attack-victim" },
    Overreach { name: "eviction", does: "evicts another tenant's pod", control: "foreign-namespace", theorem: Theorem::T2, method: "POST", target: "/api/v1/namespaces/{theirs}/pods/attack-victim/eviction", body: || json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "attack-victim"}}), truth: "/api/v1/namespaces/{theirs}/pods/attack-victim" },
    Overreach { name: "system-namespace", does: "creates a ConfigMap in `kube-system`", control: "foreign-namespace", theorem: Theorem::T1, method: "POST", target: "/api/v1/namespaces/kube-system/configmaps", body: || json!({"metadata": {"name": "attack-almighty"}}), truth: "/api/v1/namespaces/kube-system/configmaps/attack-almighty" },
    Overreach { name: "own-system", does: "creates a ConfigMap in Bulkhead's namespace", control: "foreign-namespace", theorem: Theorem::T1, method: "POST", target: "/api/v1/namespaces/bulkhead-system/configmaps", body: || json!({"metadata": {"name": "attack-almighty"}}), truth: "/api/v1/namespaces/bulkhead-system/configmaps/attack-almighty" },
    Overreach { name: "cluster-scope", does: "creates a ClusterRole", control: "tenant-extends-api", theorem: Theorem::T1, method: "POST", target: "/apis/rbac.authorization.k8s.io/v1/clusterroles", body: || json!({"metadata": {"name": "attack-almighty"}, "rules": []}), truth: "/apis/rbac.authorization.k8s.io/v1/clusterroles/attack-almighty" },
    Overreach { name: "webhook", does: "puts a webhook into everybody's requests", control: "tenant-extends-api", theorem: Theorem::T1, method: "POST", target: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", body: || json!({"metadata": {"name": "attack-almighty"}, "webhooks": []}), truth: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/attack-almighty" },
    Overreach { name: "volume", does: "makes a volume of a node's disk", control: "tenant-extends-api", theorem: Theorem::T2, method: "POST", target: "/api/v1/persistentvolumes", body: || json!({"metadata": {"name": "attack-almighty"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}}), truth: "/api/v1/persistentvolumes/attack-almighty" },
    Overreach { name: "nodes", does: "deletes every node", control: "tenant-extends-api", theorem: Theorem::T2, method: "DELETE", target: "/api/v1/nodes?dryRun=All", body: || Value::Null, truth: "/api/v1/namespaces/{theirs}" },
    Overreach { name: "delete-namespace", does: "deletes another tenant's Namespace", control: "foreign-namespace", theorem: Theorem::T1, method: "DELETE", target: "/api/v1/namespaces/{theirs}?dryRun=All", body: || Value::Null, truth: "/api/v1/namespaces/{theirs}" },
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all: Vec<Technique> = OVERREACHES
        .iter()
        .map(|overreach| {
            let Overreach {
                name,
                does,
                control,
                theorem,
                method,
                target,
                body,
                truth,
            } = *overreach;
            Technique::new(
                format!("almighty-user-{name}"),
                Family::CrossTenant,
                theorem,
                format!("A tenant's user who has every right in the cluster by mistake {does}."),
                move |field| {
                    let target = field.fill(target);
                    let request = match method {
                        "POST" => Request::post(target, &body()),
                        "PATCH" => Request::patch(target, MERGE, &body()),
                        method => Request::new(method, target),
                    };
                    let truth = field.fill(truth);
                    let created = truth.ends_with("attack-almighty");
                    Attack::shot(
                        Door::ApiServer,
                        Credential::Administrator,
                        almighty(field, request),
                    )
                    .truth(if created {
                        Truth::Absent(truth)
                    } else {
                        Truth::Same(truth)
                    })
                },
            )
            .stopped_by(Expected::new(Layer::Guard, 403, control))
        })
        .collect();
    all.push(
        Technique::new(
            "almighty-user-without-person",
            Family::Identity,
            Theorem::T4,
            "Writes in the attacker's own namespace as a synthetic user behind whom no person stands.",
            |field| {
                let collection = field.fill("/api/v1/namespaces/{own}/configmaps");
                let request = Request::post(collection.as_str(), &json!({"metadata": {"name": "attack-nobody"}}));
                Attack::shot(Door::ApiServer, Credential::Administrator, nobody(field, request))
                    .truth(Truth::Absent(format!("{collection}/attack-nobody")))
            },
        )
        .stopped_by(Expected::new(Layer::Guard, 403, "foreign-namespace")),
    );
    all
}
