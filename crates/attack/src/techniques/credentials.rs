//! Credentials at doors that they are not for, and credentials that are none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::credential::{Account, Credential, Forged};
use crate::field::Door;
use crate::technique::{Attack, Expected, Family, Layer, Technique, Theorem};
use crate::wire::Request;

fn list() -> Request {
    Request::get("/api/v1/namespaces")
}

fn technique(
    name: &str,
    does: &str,
    door: Door,
    credential: Credential,
    expected: Expected,
) -> Technique {
    Technique::new(name, Family::Credentials, Theorem::T3, does, move |_| {
        Attack::shot(door, credential.clone(), list())
    })
    .stopped_by(expected)
}

pub(super) fn techniques() -> Vec<Technique> {
    use Door::{ApiServer, Gateway};
    let api = || Expected::new(Layer::ApiServer, 401, "Unauthorized");
    let gateway = || Expected::new(Layer::Gateway, 401, "the token is refused");
    // A signed token whose signature is of other bytes.
    let broken = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiLCJzdWIiOiJhZG1pbiJ9.AAAA";
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06bWFzdGVycyJ9.";
    let mut all = iam_tokens();
    all.extend([
        technique(
            "tenant-certificate-at-api",
            "Shows the gateway's client certificate to the API server.",
            ApiServer,
            Credential::Tenant,
            api(),
        ),
        technique(
            "gateway-token-at-api",
            "Shows a token for the gateway's audience to the API server.",
            ApiServer,
            Credential::ForGateway(Account::Star),
            api(),
        ),
        technique(
            "stranger-token-at-api",
            "Shows a token for some other audience to the API server.",
            ApiServer,
            Credential::ForStranger(Account::Star),
            api(),
        ),
        technique(
            "foreign-masters-certificate-at-api",
            "Shows the API server an administrator's certificate of an unknown authority.",
            ApiServer,
            Credential::Forged(Forged::ForeignMasters),
            api(),
        ),
        technique(
            "nothing-at-api",
            "Asks the API server without any credential.",
            ApiServer,
            Credential::None,
            Expected::new(Layer::Rbac, 403, "User \"system:anonymous\" cannot list"),
        ),
        technique(
            "api-token-at-gateway",
            "Shows a token for the API server's audience to the gateway.",
            Gateway,
            Credential::Account(Account::Star),
            gateway(),
        ),
        technique(
            "stranger-token-at-gateway",
            "Shows a token for some other audience to the gateway.",
            Gateway,
            Credential::ForStranger(Account::Star),
            gateway(),
        ),
        technique(
            "broken-token-at-gateway",
            "Shows the gateway a token whose signature is wrong.",
            Gateway,
            Credential::Token(broken.into()),
            gateway(),
        ),
        technique(
            "unsigned-token-at-gateway",
            "Shows the gateway a token that nobody has signed.",
            Gateway,
            Credential::Token(unsigned.into()),
            gateway(),
        ),
        technique(
            "nothing-at-gateway",
            "Asks the gateway without any credential.",
            Gateway,
            Credential::None,
            Expected::new(Layer::Gateway, 401, "give a client certificate"),
        ),
        technique(
            "no-member-at-gateway",
            "Shows the gateway a valid token of a ServiceAccount that is no member of any tenant.",
            Gateway,
            Credential::ForGateway(Account::Star),
            Expected::new(Layer::Gateway, 403, "a member of no tenant"),
        ),
        technique(
            "administrator-at-gateway",
            "Shows the cluster administrator's certificate to the gateway.",
            Gateway,
            Credential::Administrator,
            Expected::new(Layer::Tls, 0, "UnknownCA"),
        ),
        technique(
            "foreign-certificate-at-gateway",
            "Shows the gateway a certificate of an unknown authority with a member's name.",
            Gateway,
            Credential::Forged(Forged::Foreign),
            Expected::new(Layer::Tls, 0, "UnknownCA"),
        ),
        technique(
            "lookalike-certificate-at-gateway",
            "Shows the gateway a certificate of an authority that only has its own authority's name.",
            Gateway,
            Credential::Forged(Forged::NamedLikeOurs),
            Expected::new(Layer::Tls, 0, "DecryptError"),
        ),
    ]);
    all
}

/// IAM tokens: URLs that somebody is to fetch. Those that could make a verifier ask another host or
/// another thing than who the caller is (CVE-2022-2385) must not get as far as a verifier.
fn iam_tokens() -> Vec<Technique> {
    let good = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let cases = [
        ("stale", "of a past year", ("", ""), "it has expired"),
        (
            "other-host",
            "whose URL is of another host",
            ("sts.eu-west-1.amazonaws.com", "evil.example"),
            "a host of STS",
        ),
        (
            "host-in-user",
            "whose URL has the host of STS as a user's name",
            ("amazonaws.com/", "amazonaws.com@evil.example/"),
            "a host of STS",
        ),
        (
            "metadata-host",
            "whose URL is of the metadata service",
            (
                "https://sts.eu-west-1.amazonaws.com",
                "http://169.254.169.254",
            ),
            "a host of STS",
        ),
        (
            "other-action",
            "that would do something else than name its sender",
            ("GetCallerIdentity", "GetSessionToken"),
            "of another value",
        ),
        (
            "twin-key",
            "that has a parameter twice",
            ("&X-Amz-Date", "&X-Amz-Expires=60&X-Amz-Date"),
            "a parameter twice",
        ),
        (
            "key-in-other-case",
            "that has a parameter twice, once in other letters",
            ("&X-Amz-Date", "&x-amz-signedheaders=host&X-Amz-Date"),
            "a parameter that",
        ),
        (
            "forged-template",
            "whose key id is a template of the mapping's",
            ("AKIAIOSFODNN7EXAMPLE", "%7B%7BAccessKeyID%7D%7D"),
            "of another value",
        ),
        (
            "unsigned-cluster",
            "that is signed for no cluster",
            ("host%3Bx-k8s-aws-id", "host"),
            "signed for no cluster",
        ),
        (
            "long-life",
            "that says that it lives for a day",
            ("Expires=60", "Expires=86400"),
            "of another value",
        ),
    ];
    let technique = |(name, does, (old, new), says): (&str, &str, (&str, &str), &'static str)| {
        let url = if old.is_empty() {
            good.to_owned()
        } else {
            good.replace(old, new)
        };
        let token = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url));
        technique(
            &format!("iam-token-{name}"),
            &format!("Shows the gateway an IAM token {does}."),
            Door::Gateway,
            Credential::Token(token),
            Expected::new(Layer::Gateway, 401, says),
        )
    };
    cases.into_iter().map(technique).collect()
}
