//! Headers that say who one is, sent by those who should not, and what Bulkhead's own credentials
//! are worth when stolen.

use serde_json::json;

use crate::credential::{Account, Credential};
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

/// Asks the server who it takes us for.
fn who_am_i() -> Request {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &body)
}

type Headers = &'static [(&'static str, &'static str)];

/// Identity headers for the gateway: name, sentence, headers, what must not come of them.
#[rustfmt::skip]
const AT_GATEWAY: &[(&str, &str, Headers, &str)] = &[
    ("masters", "asks to be an administrator by impersonation headers", &[("Impersonate-User", "admin"), ("Impersonate-Group", "system:masters")], "system:masters"),
    ("group-only", "adds the group of administrators to itself", &[("Impersonate-Group", "system:masters")], "system:masters"),
    ("other-tenant", "asks to be the synthetic user of another tenant", &[("Impersonate-User", "bulkhead:tenant:{victim}:admin")], "{victim}"),
    ("case", "spells the impersonation header in another case", &[("iMPERSONATE-uSER", "bulkhead:tenant:{victim}:admin")], "{victim}"),
    ("extra", "puts another person's name into the audit log", &[("Impersonate-Extra-Bulkhead.dev%2fuser", "somebody-else")], "somebody-else"),
    ("uid", "asks for another UID", &[("Impersonate-Uid", "uid-of-another")], "uid-of-another"),
    ("remote-user", "speaks as a front proxy would", &[("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")], "system:masters"),
    ("remote-extra", "adds an extra as a front proxy would", &[("X-Remote-Extra-Bulkhead.dev%2fuser", "somebody-else")], "somebody-else"),
    ("hop-user", "has the impersonated user stripped as a hop-by-hop header", &[("Connection", "close, Impersonate-User")], "system:serviceaccount"),
    ("hop-group", "has the impersonated groups stripped as hop-by-hop headers", &[("Connection", "close, Impersonate-Group, Impersonate-Extra-Bulkhead.dev%2fuser")], "system:serviceaccount"),
    ("hop-authorization", "has the gateway's own credential stripped as a hop-by-hop header", &[("Connection", "close, Authorization")], "system:anonymous"),
    ("socket-token", "hides a token in a WebSocket's protocol", &[("Sec-WebSocket-Protocol", "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.bm90LWEtdG9rZW4")], "anonymous"),
    ("upgrade", "asks for another protocol", &[("Connection", "close, Upgrade"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")], "system:serviceaccount"),
    ("forwarded", "claims to come from elsewhere", &[("X-Forwarded-For", "192.0.2.99"), ("X-Original-URL", "/api/v1/secrets"), ("X-HTTP-Method-Override", "DELETE")], "192.0.2.99"),
    ("bearer-beside", "sends a second credential beside its certificate", &[("Authorization", "Bearer not-a-token")], "not-a-token"),
];

/// The same at the API server, where RBAC must refuse: name, sentence, headers, RBAC's words.
#[rustfmt::skip]
const AT_API_SERVER: &[(&str, &str, Headers, &str)] = &[
    ("masters", "an administrator", &[("Impersonate-User", "admin"), ("Impersonate-Group", "system:masters")], "cannot impersonate"),
    ("synthetic", "its own tenant's synthetic user", &[("Impersonate-User", "bulkhead:tenant:{attacker}:admin")], "cannot impersonate"),
    ("other-tenant", "another tenant's synthetic user", &[("Impersonate-User", "bulkhead:tenant:{victim}:admin")], "cannot impersonate"),
    ("other-account", "a ServiceAccount of another tenant", &[("Impersonate-User", "system:serviceaccount:{theirs}:default")], "cannot impersonate"),
    ("controller", "Bulkhead's controller", &[("Impersonate-User", "system:serviceaccount:bulkhead-system:controller")], "cannot impersonate"),
    ("scheduler", "the scheduler", &[("Impersonate-User", "system:kube-scheduler")], "cannot impersonate"),
];

/// What the forwarder's stolen token may not do: name, sentence, headers, RBAC's words.
#[rustfmt::skip]
const STOLEN: &[(&str, &str, Headers, &str)] = &[
    ("masters", "become an administrator", &[("Impersonate-User", "bulkhead:tenant:{attacker}:admin"), ("Impersonate-Group", "system:masters")], "cannot impersonate"),
    ("admin", "become the user `admin`", &[("Impersonate-User", "admin")], "cannot impersonate"),
    ("controller", "become Bulkhead's controller", &[("Impersonate-User", "system:serviceaccount:bulkhead-system:controller")], "cannot impersonate"),
    ("no-tenant", "become a user of a tenant that does not exist", &[("Impersonate-User", "bulkhead:tenant:no-such-tenant:admin")], "cannot impersonate"),
    ("node", "become a node", &[("Impersonate-User", "system:node:node-0")], "cannot impersonate"),
    ("uid", "choose a UID", &[("Impersonate-User", "bulkhead:tenant:{attacker}:admin"), ("Impersonate-Uid", "1")], "cannot impersonate"),
    ("extra", "set an extra that is not ours", &[("Impersonate-User", "bulkhead:tenant:{attacker}:admin"), ("Impersonate-Extra-Scopes", "all")], "cannot impersonate"),
];

fn with(field: &Field, mut request: Request, headers: Headers) -> Request {
    for (name, value) in headers {
        request = request.header(name, field.fill(value));
    }
    request
}

pub(super) fn techniques() -> Vec<Technique> {
    let mut all = Vec::new();
    for (name, does, headers, lacks) in AT_GATEWAY {
        let technique = Technique::new(
            format!("identity-{name}-gateway"),
            Family::Identity,
            Theorem::T4,
            format!("A tenant's admin {does} at the gateway."),
            |field| {
                Attack::shot(
                    Door::Gateway,
                    Credential::Tenant,
                    with(field, who_am_i(), headers),
                )
            },
        );
        if headers
            .iter()
            .any(|(name, _)| name.to_ascii_lowercase().starts_with("impersonate-"))
        {
            let words = "nobody is impersonated through this gateway";
            all.push(technique.stopped_by(Expected::new(Layer::Gateway, 403, words)));
            continue;
        }
        if *name == "bearer-beside" {
            all.push(technique.stopped_by(Expected::new(Layer::Gateway, 401, "not both")));
            continue;
        }
        if *name == "upgrade" {
            let words = "changes no protocols";
            all.push(technique.stopped_by(Expected::new(Layer::Gateway, 501, words)));
            continue;
        }
        // Other such headers are dropped: the answer is for whom the certificate names.
        let oneself =
            Expected::new(Layer::Harmless, 201, "bulkhead:tenant:{attacker}:admin").lacking(*lacks);
        all.push(technique.stopped_by(oneself));
    }
    for (name, whom, headers, rbac) in AT_API_SERVER {
        let technique = Technique::new(
            format!("identity-{name}-api"),
            Family::Identity,
            Theorem::T4,
            format!(
                "A ServiceAccount with every right in its namespace impersonates {whom} at the API server."
            ),
            |field| {
                let request = with(field, Request::get("/api/v1/namespaces"), headers);
                Attack::shot(Door::ApiServer, Credential::Account(Account::Star), request)
            },
        );
        all.push(technique.stopped_by(Expected::new(Layer::Rbac, 403, *rbac)));
    }
    for (name, does, headers, rbac) in STOLEN {
        let technique = Technique::new(
            format!("stolen-forwarder-{name}"),
            Family::Identity,
            Theorem::T4,
            format!("Uses the gateway's stolen forwarding credential to {does}."),
            |field| {
                let request = with(field, Request::get("/api/v1/namespaces"), headers);
                Attack::shot(
                    Door::ApiServer,
                    Credential::Stolen("gateway-forwarder"),
                    request,
                )
            },
        );
        all.push(technique.stopped_by(Expected::new(Layer::Rbac, 403, *rbac)));
    }
    all.extend(stolen_others());
    all
}

fn stolen_others() -> Vec<Technique> {
    let read = |name: &str,
                does: &str,
                account: &'static str,
                target: &'static str,
                rbac: &'static str| {
        Technique::new(name, Family::Identity, Theorem::T3, does, move |field| {
            Attack::shot(
                Door::ApiServer,
                Credential::Stolen(account),
                Request::get(field.fill(target)),
            )
        })
        .stopped_by(Expected::new(Layer::Rbac, 403, rbac))
    };
    let write = |name: &str,
                 does: &str,
                 collection: &'static str,
                 body: fn() -> serde_json::Value,
                 expected: Expected| {
        Technique::new(name, Family::Identity, Theorem::T4, does, move |field| {
            let collection = field.fill(collection);
            Attack::shot(
                Door::ApiServer,
                Credential::Stolen("controller"),
                Request::post(collection.as_str(), &body()),
            )
            .truth(Truth::Absent(format!("{collection}/attack-stolen")))
        })
        .stopped_by(expected)
    };
    let secret = "/api/v1/namespaces/{theirs}/secrets/attack-victim";
    vec![
        read("stolen-forwarder-alone", "Uses the gateway's stolen forwarding credential without impersonating anybody.", "gateway-forwarder", "/api/v1/namespaces", "cannot list resource \"namespaces\""),
        read("stolen-reader-secret", "Reads a Secret with the gateway's stolen reading credential.", "gateway-reader", secret, "cannot get resource \"secrets\""),
        read("stolen-webhook-secret", "Reads a Secret with the webhook's stolen credential.", "webhook", secret, "cannot get resource \"secrets\""),
        read("stolen-controller-secret", "Reads a Secret with the controller's stolen credential.", "controller", secret, "cannot get resource \"secrets\""),
        write("stolen-controller-binding", "Binds a tenants' role in `kube-system` with the controller's stolen credential.", "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings",
            || json!({"metadata": {"name": "attack-stolen"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bulkhead-tenant-admin"}, "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "bulkhead:tenants"}]}),
            Expected::new(Layer::Guard, 403, "foreign-namespace")),
        write("stolen-controller-escalation", "Binds `cluster-admin` in a tenant's namespace with the controller's stolen credential.", "/apis/rbac.authorization.k8s.io/v1/namespaces/{own}/rolebindings",
            || json!({"metadata": {"name": "attack-stolen"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "bulkhead:tenants"}]}),
            Expected::new(Layer::ApiServer, 403, "is attempting to grant RBAC permissions not currently held")),
        Technique::new(
            "stolen-controller-kube-system",
            Family::Identity,
            Theorem::T4,
            "Makes `kube-system` a tenant's namespace with the controller's stolen credential.",
            |field| {
                let patch = json!({"metadata": {"labels": {"bulkhead.dev/tenant": field.attacker.tenant}}});
                let path = "/api/v1/namespaces/kube-system";
                Attack::shot(Door::ApiServer, Credential::Stolen("controller"), Request::patch(path, super::MERGE, &patch))
                    .truth(Truth::Same(path.into()))
            },
        )
        .stopped_by(Expected::new(Layer::Guard, 403, "foreign-namespace")),
        Technique::new(
            "slip-system-namespace",
            Family::Namespaces,
            Theorem::T2,
            "Gets an administrator to label `kube-system` as a tenant's, whose webhook would then stand in the control plane's way.",
            |field| {
                let patch = json!({"metadata": {"labels": {"bulkhead.dev/tenant": field.attacker.tenant}}});
                let path = "/api/v1/namespaces/kube-system";
                Attack::shot(Door::ApiServer, Credential::Administrator, Request::patch(path, super::MERGE, &patch))
                    .truth(Truth::Same(path.into()))
            },
        )
        .stopped_by(Expected::new(Layer::Guard, 403, "'bulkhead-system-namespaces'")),
        Technique::new(
            "stolen-controller-shard",
            Family::Identity,
            Theorem::T4,
            "Uses the controller's stolen credential to let the gateway impersonate administrators.",
            |_| {
                let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/bulkhead-forwarder-0";
                let rules = json!([{"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["system:masters"]}]);
                let request = Request::patch(path, super::MERGE, &json!({"rules": rules}));
                Attack::shot(Door::ApiServer, Credential::Stolen("controller"), request)
                    .truth(Truth::Same(path.into()))
            },
        )
        .stopped_by(Expected::new(Layer::Guard, 403, "impersonation-shard")),
    ]
}
