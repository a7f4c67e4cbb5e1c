//! Request targets that two readers could read in two ways. The API server reads some of them as
//! requests for the whole cluster, so the gateway must refuse what is not plain.

use crate::credential::Credential;
use crate::field::Door;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem};
use crate::wire::Request;

/// Name, what it is, target, status and words of the refusal.
#[rustfmt::skip]
const ODD: &[(&str, &str, &str, u16, &str)] = &[
    ("empty-namespace", "leaves the namespace empty, which lists the whole cluster", "/api/v1/namespaces//secrets", 400, "empty segment"),
    ("empty-namespace-watch", "leaves the namespace empty in an old watch path", "/api/v1/watch/namespaces//secrets", 400, "empty segment"),
    ("double-slash", "begins the path with two slashes", "//api/v1/namespaces/{theirs}/secrets", 400, "empty segment"),
    ("trailing-slash", "ends the path with a slash", "/api/v1/namespaces/{own}/secrets/", 400, "must not end with `/`"),
    ("encoded-slash", "hides a slash in an escape", "/api/v1/namespaces/{own}%2f..%2f{theirs}/secrets", 400, "without escapes"),
    ("encoded-slash-name", "hides the victim's Secret in a namespace's name", "/api/v1/namespaces/{theirs}%2fsecrets%2fattack-victim", 400, "without escapes"),
    ("encoded-letter", "escapes letters that need no escape", "/%61pi/v1/namespaces/{theirs}/secrets", 400, "without escapes"),
    ("double-encoded", "escapes an escape", "/api/v1/namespaces/{theirs}%252fsecrets", 400, "without escapes"),
    ("bad-escape", "breaks an escape off", "/api/v1/namespaces/{own}/secrets%zz", 400, "without escapes"),
    ("dots", "climbs out of its namespace by dots", "/api/v1/namespaces/{own}/../{theirs}/secrets", 400, "dot segment"),
    ("encoded-dots", "climbs out of its namespace by escaped dots", "/api/v1/namespaces/{own}/%2e%2e/{theirs}/secrets", 400, "without escapes"),
    ("dot", "puts a lone dot into the path", "/api/v1/./namespaces/{theirs}/secrets", 400, "dot segment"),
    ("semicolon", "puts a semicolon into the path", "/api/v1/namespaces/{own};/secrets", 400, "the path holds ';'"),
    ("backslash", "puts backslashes into the path", "/api/v1/namespaces/{own}\\..\\{theirs}/secrets", 400, "the path holds '\\\\'"),
    ("policy-text", "writes text of a policy into the path, for who puts paths into queries", "/api/v1/namespaces/{own}\"];true;x[\"/secrets", 400, "the path holds"),
    ("encoded-nul", "puts an escaped NUL into the path", "/api/v1/namespaces/{own}%00{theirs}/secrets", 400, "without escapes"),
    ("upper-case", "writes the path in another case", "/API/v1/namespaces/{theirs}/secrets", 404, "could not find the requested resource"),
    ("upper-case-namespace", "writes a namespace in another case", "/api/v1/namespaces/{own}X/secrets", 400, "is not a namespace name"),
    ("old-watch", "uses an old watch path for another's namespace", "/api/v1/watch/namespaces/{theirs}/secrets", 400, "legacy `watch/`"),
    ("old-watch-all", "uses an old watch path for the whole cluster", "/api/v1/watch/secrets", 400, "legacy `watch/`"),
    ("old-proxy", "uses an old proxy path", "/api/v1/proxy/namespaces/{theirs}/services/attack-victim", 400, "legacy `watch/` and `proxy/`"),
    ("absolute-form", "names another host in the target", "https://elsewhere.example/api/v1/namespaces/{theirs}/secrets", 400, "absolute URL"),
    ("duplicate-selector", "selects twice, so that the first could win", "/api/v1/namespaces?labelSelector=bulkhead.dev%2Ftenant%3D{victim}&labelSelector=x%3Dy", 400, "`labelSelector` is given twice"),
    ("duplicate-empty-selector", "selects nothing after it has selected, so that the empty selector could win", "/api/v1/namespaces?labelSelector=x%3Dy&labelSelector=", 400, "`labelSelector` is given twice"),
    ("duplicate-watch", "says both that it watches and that it does not", "/api/v1/namespaces/{own}/secrets?watch=false&watch=true", 400, "`watch` is given twice"),
    ("query-semicolon", "separates its query by a semicolon, which drops the selector", "/api/v1/namespaces?labelSelector=a%3Db;x", 400, "bare `;`"),
    ("query-bad-escape", "breaks an escape in the query, which drops the selector", "/api/v1/namespaces?labelSelector=%zz", 400, "bad escape"),
    ("query-control", "puts an escaped NUL into the query", "/api/v1/namespaces?labelSelector=a%00", 400, "control character"),
    ("unknown-query-key", "uses a query key that nobody knows", "/api/v1/namespaces/{own}/secrets?namespace={theirs}", 400, "`namespace` is not known here"),
    ("query-case", "writes a query key in another case", "/api/v1/namespaces/{own}/secrets?LabelSelector=x", 400, "`LabelSelector` is not known here"),
    ("watch-value", "gives a value to `watch` that means yes to some and no to others", "/api/v1/namespaces/{own}/secrets?watch=no", 400, "`watch` is `no`"),
    ("long-path", "asks for a path of a thousand segments", "SEGMENTS", 404, "could not find the requested resource"),
    ("long-target", "asks for a target of twenty-five thousand bytes", "BYTES", 414, "at most"),
    ("unknown-subresource", "asks for a subresource that the gateway does not know", "/api/v1/namespaces/{own}/pods/attack-own/unknown", 403, "is not open to tenants"),
    ("bad-method", "uses a method that Kubernetes does not have", "METHOD", 405, "the method must be"),
];

pub(super) fn techniques() -> Vec<Technique> {
    let mut all: Vec<Technique> = ODD
        .iter()
        .map(|&(name, does, target, status, text)| {
            Technique::new(
                format!("target-{name}"),
                Family::Targets,
                Theorem::T1,
                format!("A tenant's admin {does}."),
                move |field| {
                    let request = match target {
                        "BYTES" => Request::get(
                            field.fill("/api/v1/namespaces/{own}/pods?continue=")
                                + &"x".repeat(25_000),
                        ),
                        "SEGMENTS" => Request::get(
                            field.fill("/api/v1/namespaces/{own}/pods") + &"/x".repeat(1000),
                        ),
                        "METHOD" => {
                            Request::new("PROPFIND", field.fill("/api/v1/namespaces/{own}/pods"))
                        }
                        target => Request::get(field.fill(target)),
                    };
                    Attack::shot(Door::Gateway, Credential::Tenant, request)
                },
            )
            .stopped_by(Expected::new(Layer::Gateway, status, text))
        })
        .collect();
    all.push(
        Technique::new(
            "target-empty-selector",
            Family::Targets,
            Theorem::T1,
            "A tenant's admin lists Namespaces by an empty selector, which selects all.",
            |_| {
                let request = Request::get("/api/v1/namespaces?labelSelector=");
                Attack::shot(Door::Gateway, Credential::Tenant, request)
            },
        )
        .stopped_by(Expected::new(Layer::Harmless, 200, "").lacking("{theirs}")),
    );
    all.push(
        Technique::new(
            "target-raw-nul",
            Family::Targets,
            Theorem::T1,
            "A tenant's admin puts a bare NUL into the request line.",
            |field| {
                let bytes = format!(
                    "GET /api/v1/namespaces/{}\0/secrets HTTP/1.1\r\nHost: x\r\n\r\n",
                    field.victim.namespace
                );
                Attack::shot(Door::Gateway, Credential::Tenant, Request::raw(bytes))
            },
        )
        .stopped_by(Expected::new(Layer::Http, 400, "")),
    );
    all
}
