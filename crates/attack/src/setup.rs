//! What the attacks need to find: accounts for the attacker, objects of the victim's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulkhead_model::labels;
use serde_json::{Value, json};

use crate::credential::{Account, Credential};
use crate::field::{Field, FieldError};
use crate::techniques::good_pod;
use crate::wire::{Client, Request};

/// The ServiceAccounts of Bulkhead's own whose tokens are "stolen".
const OWN_ACCOUNTS: [&str; 4] = [
    "gateway-forwarder",
    "gateway-reader",
    "controller",
    "webhook",
];

/// Sends a request of the administrator's that must succeed.
pub(crate) async fn expect(
    admin: &Client,
    what: String,
    request: &Request,
) -> Result<Value, FieldError> {
    let response = match admin.send_again(request).await {
        Ok(response) => response,
        Err(source) => return Err(FieldError::Wire { what, source }),
    };
    if response.is_success() {
        Ok(response.json())
    } else {
        Err(FieldError::Refused {
            what,
            status: response.status,
            message: response.message(),
        })
    }
}

/// Everything that is put there: collection, object. In order of creation.
fn objects(field: &Field) -> Vec<(String, Value)> {
    let core =
        |namespace: &str, resource: &str| format!("/api/v1/namespaces/{namespace}/{resource}");
    let rbac = |resource: &str| {
        format!(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{resource}",
            field.attacker.namespace
        )
    };
    let named = |name: &str| json!({"metadata": {"name": name}});
    let bind = |account: Account, kind: &str, role: &str| {
        json!({
            "metadata": {"name": account.name()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account.name(), "namespace": field.attacker.namespace}],
        })
    };
    let mut all: Vec<(String, Value)> = Vec::new();
    // The API server refuses to know of a class that is not there, in words of its own.
    all.push((
        "/apis/node.k8s.io/v1/runtimeclasses".to_owned(),
        json!({"metadata": {"name": "attack-runtime"}, "handler": "attack"}),
    ));
    all.push((
        format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", field.attacker.namespace),
        json!({"metadata": {"name": "attack-own"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"attack": "nobody"}}}}),
    ));
    for account in Account::ALL {
        all.push((
            core(&field.attacker.namespace, "serviceaccounts"),
            named(account.name()),
        ));
    }
    let star = json!({
        "metadata": {"name": Account::Star.name()},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    });
    all.push((rbac("roles"), star));
    all.push((
        rbac("rolebindings"),
        bind(Account::Star, "Role", Account::Star.name()),
    ));
    all.push((
        rbac("rolebindings"),
        bind(Account::Admin, "ClusterRole", "bulkhead-tenant-admin"),
    ));
    for (namespace, name) in [
        (&field.attacker.namespace, "attack-own"),
        (&field.victim.namespace, "attack-victim"),
    ] {
        let canary = if *namespace == field.victim.namespace {
            &field.canary
        } else {
            "own"
        };
        let secret =
            json!({"metadata": {"name": name}, "data": {"canary": STANDARD.encode(canary)}});
        let config = json!({"metadata": {"name": name}, "data": {"canary": canary}});
        let pod = json!({"metadata": {"name": name, "labels": {"attack": name}, "annotations": {"attack": canary}}, "spec": good_pod()});
        let service = json!({"metadata": {"name": name}, "spec": {"selector": {"attack": name}, "ports": [{"port": 80}]}});
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"attack": name}},
                "template": {"metadata": {"labels": {"attack": name}}, "spec": good_pod()},
            },
        });
        all.push((core(namespace, "secrets"), secret));
        all.push((core(namespace, "configmaps"), config));
        all.push((core(namespace, "services"), service));
        all.push((core(namespace, "pods"), pod));
        all.push((
            format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            deployment,
        ));
    }
    all
}

fn path_of(collection: &str, object: &Value) -> String {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    format!("{collection}/{name}")
}

/// Puts everything there and mints the tokens.
pub(crate) async fn prepare(field: &mut Field) -> Result<(), FieldError> {
    for (collection, object) in objects(field) {
        let path = path_of(&collection, &object);
        // A run that was killed may have left its objects.
        remove(&field.admin, &path).await?;
        expect(
            &field.admin,
            format!("create `{path}`"),
            &Request::post(collection, &object),
        )
        .await?;
    }
    bind_claim(field).await?;
    crate::confined::prepare(field).await?;
    let own = field.attacker.namespace.clone();
    let ours = labels::SYSTEM_NAMESPACE;
    let mut wanted: Vec<(Credential, String, &str, Option<&str>)> = Vec::new();
    for account in Account::ALL {
        wanted.push((
            Credential::Account(account),
            own.clone(),
            account.name(),
            None,
        ));
        wanted.push((
            Credential::ForGateway(account),
            own.clone(),
            account.name(),
            Some(labels::AUDIENCE),
        ));
        wanted.push((
            Credential::ForStranger(account),
            own.clone(),
            account.name(),
            Some("https://stranger.example"),
        ));
    }
    for name in OWN_ACCOUNTS {
        wanted.push((Credential::Stolen(name), ours.to_owned(), name, None));
    }
    for (credential, namespace, name, audience) in wanted {
        let token = token(&field.admin, &namespace, name, audience).await?;
        field.tokens.insert(credential, token);
    }
    Ok(())
}

const VOLUMES: &str = "/api/v1/persistentvolumes";

/// The volume behind the attacker's claim `attack-own`.
fn volume(source: &str, value: &Value) -> Value {
    json!({
        "metadata": {"name": "attack-bound"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, source: value,
            "persistentVolumeReclaimPolicy": "Retain",
        },
    })
}

/// A claim of the attacker's that is bound as claims are, to a volume that has become a folder of
/// the node since.
async fn bind_claim(field: &Field) -> Result<(), FieldError> {
    let claims = field.fill("/api/v1/namespaces/{own}/persistentvolumeclaims");
    let claim = json!({
        "metadata": {"name": "attack-own"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let disk = volume(
        "csi",
        &json!({"driver": "attack.example", "volumeHandle": "1"}),
    );
    let folder = volume("hostPath", &json!({"path": "/var/lib/kubelet"}));
    unbind_claim(field).await?;
    let request = Request::post(VOLUMES, &disk);
    expect(&field.admin, "create a volume".to_owned(), &request).await?;
    let request = Request::post(claims.as_str(), &claim);
    let mut claim = expect(&field.admin, "create a claim".to_owned(), &request).await?;
    if let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("volumeName".into(), json!("attack-bound"));
    }
    // Whatever the controllers have noted on it meanwhile.
    if let Some(metadata) = claim.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    let binder = "system:serviceaccount:kube-system:persistent-volume-binder";
    let request = Request::put(format!("{claims}/attack-own"), &claim);
    let request = request.header("Impersonate-User", binder);
    expect(&field.admin, "bind a claim".to_owned(), &request).await?;
    remove_held(&field.admin, &format!("{VOLUMES}/attack-bound")).await?;
    let request = Request::post(VOLUMES, &folder);
    expect(&field.admin, "create a volume anew".to_owned(), &request).await?;
    Ok(())
}

async fn unbind_claim(field: &Field) -> Result<(), FieldError> {
    let claim = field.fill("/api/v1/namespaces/{own}/persistentvolumeclaims/attack-own");
    remove_held(&field.admin, &claim).await?;
    remove_held(&field.admin, &format!("{VOLUMES}/attack-bound")).await
}

/// Deletes what the control plane holds on to by a finalizer.
async fn remove_held(admin: &Client, path: &str) -> Result<(), FieldError> {
    remove(admin, path).await?;
    let free = json!({"metadata": {"finalizers": null}});
    let free = Request::patch(path, "application/merge-patch+json", &free);
    match expect(admin, format!("free `{path}`"), &free).await {
        Ok(_) | Err(FieldError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes everything away again.
pub(crate) async fn clean(field: &Field) -> Result<(), FieldError> {
    unbind_claim(field).await?;
    crate::confined::clean(field).await?;
    for (collection, object) in objects(field).into_iter().rev() {
        remove(&field.admin, &path_of(&collection, &object)).await?;
    }
    Ok(())
}

/// Deletes at once, whether it is there or not.
pub(crate) async fn remove(admin: &Client, path: &str) -> Result<(), FieldError> {
    let target = format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background");
    match expect(admin, format!("delete `{path}`"), &Request::delete(target)).await {
        Ok(_) | Err(FieldError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn token(
    admin: &Client,
    namespace: &str,
    name: &str,
    audience: Option<&str>,
) -> Result<String, FieldError> {
    let audiences: Vec<&str> = audience.into_iter().collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": audiences, "expirationSeconds": 3600},
    });
    let target = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let what = format!("mint a token for `{namespace}/{name}`");
    let answer = expect(admin, what, &Request::post(target, &body)).await?;
    Ok(answer
        .pointer("/status/token")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}
