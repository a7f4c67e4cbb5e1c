//! Bodies and heads that can be read in two ways, that are not what they say, or that are too large.

use serde_json::json;

use super::bad_pods::good_pod;
use crate::credential::Credential;
use crate::field::{Door, Field};
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem, Truth};
use crate::wire::Request;

const CONFIGS: &str = "/api/v1/namespaces/{own}/configmaps";
const PODS: &str = "/api/v1/namespaces/{own}/pods";

fn config(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

/// A technique that posts a body to a collection of the attacker's own.
fn post(
    name: &'static str,
    does: &str,
    collection: &'static str,
    media_type: &'static str,
    body: impl Fn(&Field, &str) -> Vec<u8> + Send + Sync + 'static,
) -> Technique {
    let object = format!("attack-{name}");
    Technique::new(name, Family::Bodies, Theorem::T1, does, move |field| {
        let collection = field.fill(collection);
        let request =
            Request::new("POST", collection.as_str()).body(media_type, body(field, &object));
        Attack::shot(Door::Gateway, Credential::Tenant, request)
            .truth(Truth::Absent(format!("{collection}/{object}")))
    })
}

/// A technique that sends bytes which are no proper request.
fn raw(name: &'static str, does: &str, bytes: fn(&Field) -> String) -> Technique {
    Technique::new(name, Family::Bodies, Theorem::T4, does, move |field| {
        Attack::shot(
            Door::Gateway,
            Credential::Tenant,
            Request::raw(bytes(field)),
        )
    })
    .stopped_by(Expected::new(Layer::Http, 400, ""))
}

pub(super) fn techniques() -> Vec<Technique> {
    let refused = |status, text| Expected::new(Layer::Gateway, status, text);
    vec![
        post("body-duplicate-spec", "Hides a privileged pod behind a second, harmless spec.", PODS, "application/json", |_, name| {
            let evil = json!({"containers": [{"name": "main", "image": "x", "securityContext": {"privileged": true}}], "hostPID": true});
            format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{evil},"spec":{}}}"#, good_pod()).into_bytes()
        })
        .stopped_by(refused(400, "duplicate key `spec`")),
        post("body-duplicate-escaped", "Writes a key twice, once with an escape.", CONFIGS, "application/json", |_, name| {
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","n\u0061me":"other"}}}}"#).into_bytes()
        })
        .stopped_by(refused(400, "duplicate key `name`")),
        post("body-truncated", "Breaks a body off in the middle.", CONFIGS, "application/json", |_, name| {
            let mut body = config(name).into_bytes();
            body.truncate(body.len() - 3);
            body
        })
        .stopped_by(refused(400, "EOF")),
        post("body-two-documents", "Sends a second object behind the first.", CONFIGS, "application/json", |_, name| {
            format!("{}{}", config(name), config("attack-second")).into_bytes()
        })
        .stopped_by(refused(400, "trailing")),
        post("body-four-mebibytes", "Sends a body of four mebibytes.", CONFIGS, "application/json", |_, name| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "x".repeat(4 << 20)}});
            object.to_string().into_bytes()
        })
        .stopped_by(refused(413, "larger than")),
        post("body-deep", "Nests a hundred thousand lists.", CONFIGS, "application/json", |_, _| "[".repeat(100_000).into_bytes())
            .stopped_by(refused(400, "recursion")),
        post("body-yaml", "Sends YAML, which two readers read in two ways.", CONFIGS, "application/yaml", |_, name| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: y}}\n").into_bytes()
        })
        .stopped_by(refused(400, "no YAML that is taken")),
        post("body-yaml-duplicate", "Writes a key twice in YAML, of which the API server takes the last.", CONFIGS, "application/yaml", |_, name| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: other}}\nmetadata: {{name: {name}}}\n").into_bytes()
        })
        .stopped_by(refused(400, "no YAML that is taken")),
        post("body-yaml-second-document", "Sends a second document of YAML behind a harmless one.", CONFIGS, "application/yaml", |_, name| {
            format!("{}\n---\n{}\n", config(name), config("attack-second")).into_bytes()
        })
        .stopped_by(refused(400, "2 documents")),
        post("body-cbor", "Sends CBOR, which nothing here has judged.", CONFIGS, "application/cbor", |_, _| vec![0xd9, 0xd9, 0xf7, 0xa0])
            .stopped_by(refused(415, "application/cbor")),
        Technique::new("body-compressed", Family::Bodies, Theorem::T1, "Says that the body is compressed, so that who judges it would have to undo that.", |field| {
            let collection = field.fill(CONFIGS);
            let body = config("attack-body-compressed").into_bytes();
            let request = Request::new("POST", collection.as_str()).body("application/json", body).header("Content-Encoding", "gzip");
            Attack::shot(Door::Gateway, Credential::Tenant, request).truth(Truth::Absent(format!("{collection}/attack-body-compressed")))
        })
        .stopped_by(refused(415, "Content-Encoding")),
        post("body-other-namespace", "Names the victim's namespace inside an object that is sent to its own.", CONFIGS, "application/json", |field, name| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": field.victim.namespace}}).to_string().into_bytes()
        })
        .stopped_by(refused(403, "foreign-namespace")),
        Technique::new("body-patch-namespace", Family::Bodies, Theorem::T1, "Moves an object of its own into the victim's namespace by a patch.", |field| {
            let path = field.fill("/api/v1/namespaces/{own}/configmaps/attack-own");
            let patch = json!({"metadata": {"namespace": field.victim.namespace}});
            Attack::shot(Door::Gateway, Credential::Tenant, Request::patch(path.as_str(), super::MERGE, &patch)).truth(Truth::Same(path))
        })
        .stopped_by(refused(403, "foreign-namespace")),
        Technique::new("body-json-patch-namespace", Family::Bodies, Theorem::T1, "Moves an object of its own into the victim's namespace by a JSON patch, whose result only the API server sees.", |field| {
            let path = field.fill("/api/v1/namespaces/{own}/configmaps/attack-own");
            let patch = json!([{"op": "replace", "path": "/metadata/namespace", "value": field.victim.namespace}]);
            Attack::shot(Door::Gateway, Credential::Tenant, Request::patch(path.as_str(), super::JSON_PATCH, &patch)).truth(Truth::Same(path))
        })
        .stopped_by(refused(400, "namespace of the provided object does not match")),
        // The API server itself ignores the query beside a body, and deletes.
        Technique::new("body-delete-dry-run", Family::Bodies, Theorem::T1, "Asks for a trial deletion with a body that does not say so, which the API server would carry out.", |field| {
            let path = field.fill("/api/v1/namespaces/{own}/configmaps/attack-own");
            let body = json!({"kind": "DeleteOptions", "apiVersion": "v1"}).to_string();
            let request = Request::delete(format!("{path}?dryRun=All")).body("application/json", body);
            Attack::shot(Door::Gateway, Credential::Tenant, request).truth(Truth::Same(path))
        })
        .stopped_by(Expected::new(Layer::Harmless, 200, "\"status\":\"Success\"")),
        Technique::new("body-delete-contradiction", Family::Bodies, Theorem::T1, "Says one thing of a deletion in the query and another in the body.", |field| {
            let path = field.fill("/api/v1/namespaces/{own}/configmaps/attack-own");
            let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}).to_string();
            let request = Request::delete(format!("{path}?dryRun=All&propagationPolicy=Background")).body("application/json", body);
            Attack::shot(Door::Gateway, Credential::Tenant, request).truth(Truth::Same(path))
        })
        .stopped_by(refused(400, "is given in the query and otherwise in the body")),
        Technique::new("head-large", Family::Bodies, Theorem::T5, "Sends a header of half a mebibyte.", |_| {
            let request = Request::get("/version").header("X-Large", "x".repeat(512 * 1024));
            Attack::shot(Door::Gateway, Credential::Tenant, request)
        })
        .stopped_by(Expected::new(Layer::Http, 431, "")),
        post("body-other-kind", "Sends a Pod to the collection of ConfigMaps.", CONFIGS, "application/json", |_, name| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": good_pod()}).to_string().into_bytes()
        })
        .stopped_by(refused(400, "cannot be handled as a ConfigMap")),
        post("body-broken-protobuf", "Sends protobuf that is cut off.", CONFIGS, "application/vnd.kubernetes.protobuf", |_, _| {
            b"k8s\0\x0a\x0f\x0a\x02v1".to_vec()
        })
        .stopped_by(refused(400, "expected")),
        raw("head-two-lengths", "Gives both a length and chunks, so that a second request could hide in the body.", |field| {
            format!("POST /api/v1/namespaces/{0}/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/namespaces/{1}/secrets HTTP/1.1\r\nHost: x\r\n\r\n", field.attacker.namespace, field.victim.namespace)
        }),
        raw("head-duplicate-length", "Gives two lengths that differ.", |field| {
            format!("POST /api/v1/namespaces/{}/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{{}}{{}}", field.attacker.namespace)
        }),
        raw("head-bare-line-feeds", "Ends header lines by a bare line feed.", |field| {
            format!("GET /api/v1/namespaces/{}/configmaps HTTP/1.1\nHost: x\n\n", field.attacker.namespace)
        }),
        raw("head-folded", "Folds a header over two lines.", |field| {
            format!("GET /api/v1/namespaces/{}/configmaps HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Impersonate-User: admin\r\n\r\n", field.attacker.namespace)
        }),
        raw("head-coding-and-length", "Gives chunks and then a length, which who believes the length reads on from.", |field| {
            format!("POST /api/v1/namespaces/{0}/configmaps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /api/v1/namespaces/{1}/secrets HTTP/1.1\r\nHost: x\r\n\r\n", field.attacker.namespace, field.victim.namespace)
        }),
        raw("head-odd-coding", "Names a coding that some take for chunks and some for none.", |field| {
            format!("POST /api/v1/namespaces/{0}/configmaps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /api/v1/namespaces/{1}/secrets HTTP/1.1\r\nHost: x\r\n\r\n", field.attacker.namespace, field.victim.namespace)
        }),
        raw("head-bare-carriage-return", "Ends a header line by a bare carriage return, so that a second header could hide in its value.", |field| {
            format!("GET /api/v1/namespaces/{}/configmaps HTTP/1.1\r\nHost: x\r\nX-A: 1\rImpersonate-User: admin\r\n\r\n", field.attacker.namespace)
        }),
        raw("head-space-before-colon", "Puts a space before a header's colon.", |field| {
            format!("GET /api/v1/namespaces/{}/configmaps HTTP/1.1\r\nHost: x\r\nImpersonate-User : admin\r\n\r\n", field.attacker.namespace)
        }),
    ]
}
