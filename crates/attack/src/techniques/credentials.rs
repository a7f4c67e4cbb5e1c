//! Credentials at doors that they are not for, and credentials that are none.

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
    vec![
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
    ]
}
