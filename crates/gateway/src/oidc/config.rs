//! The file that says which issuers' tokens name people. Its form is Kubernetes'
//! `AuthenticationConfiguration`; what of it is not done here is refused, never passed over.

use anyhow::{Context as _, bail, ensure};
use http::Uri;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An issuer, and how its claims become a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    /// What the claim `iss` must be, to the byte.
    pub(crate) url: String,
    /// Where its discovery document is.
    pub(crate) discovery: Uri,
    /// The authorities (PEM) that vouch for its server; the system's if there are none.
    pub(crate) authority: Option<String>,
    /// The token must be for one of these.
    pub(crate) audiences: Vec<String>,
    pub(crate) username: Mapping,
    pub(crate) groups: Option<Mapping>,
    /// Claims that must be there, and their values.
    pub(crate) required: Vec<(String, String)>,
}

/// A claim, and what is put before its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) claim: String,
    pub(crate) prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    jwt: Vec<Authenticator>,
    anonymous: Option<Anonymous>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Anonymous {
    enabled: bool,
    conditions: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Authenticator {
    issuer: IssuerFields,
    #[serde(default)]
    claim_validation_rules: Vec<Rule>,
    claim_mappings: Mappings,
    #[serde(default)]
    user_validation_rules: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IssuerFields {
    url: String,
    #[serde(rename = "discoveryURL")]
    discovery_url: Option<String>,
    certificate_authority: Option<String>,
    audiences: Vec<String>,
    audience_match_policy: Option<String>,
    egress_selector_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    claim: Option<String>,
    #[serde(default)]
    required_value: String,
    expression: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mappings {
    username: MappingFields,
    groups: Option<MappingFields>,
    uid: Option<IgnoredAny>,
    #[serde(default)]
    extra: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MappingFields {
    claim: Option<String>,
    prefix: Option<String>,
    expression: Option<IgnoredAny>,
}

/// Reads the file.
///
/// # Errors
/// If it is no such configuration, or asks for what is not done here. The message names the field.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Issuer>> {
    let file: File =
        serde_norway::from_str(text).context("it is no AuthenticationConfiguration")?;
    ensure!(
        file.kind == "AuthenticationConfiguration"
            && matches!(
                file.api_version.as_str(),
                "apiserver.config.k8s.io/v1" | "apiserver.config.k8s.io/v1beta1"
            ),
        "expected `kind: AuthenticationConfiguration` of `apiserver.config.k8s.io/v1`, found `{}` of `{}`",
        file.kind,
        file.api_version
    );
    if let Some(anonymous) = file.anonymous {
        ensure!(
            !anonymous.enabled && anonymous.conditions.is_none(),
            "`anonymous`: nobody is anonymous at the gateway; expected `enabled: false`"
        );
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (at, one) in file.jwt.into_iter().enumerate() {
        let issuer = issuer(one).with_context(|| format!("`jwt[{at}]`"))?;
        for other in &issuers {
            ensure!(
                other.url != issuer.url && other.discovery != issuer.discovery,
                "`jwt[{at}].issuer`: `{}` is there twice; expected one entry for an issuer",
                issuer.url
            );
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn issuer(one: Authenticator) -> anyhow::Result<Issuer> {
    let IssuerFields {
        url,
        discovery_url,
        certificate_authority,
        audiences,
        audience_match_policy,
        egress_selector_type,
    } = one.issuer;
    https(&url).context("`issuer.url`")?;
    ensure!(
        egress_selector_type.is_none(),
        "`issuer.egressSelectorType`: the gateway has no egress selector; leave it out"
    );
    ensure!(
        discovery_url.as_ref() != Some(&url),
        "`issuer.discoveryURL` is `issuer.url`; leave it out"
    );
    let discovery = discovery_url.unwrap_or_else(|| {
        format!(
            "{}/.well-known/openid-configuration",
            url.trim_end_matches('/')
        )
    });
    ensure!(
        !audiences.is_empty() && audiences.iter().all(|audience| !audience.is_empty()),
        "`issuer.audiences`: expected at least one, none of them empty: the gateway would take tokens for others"
    );
    match audience_match_policy.as_deref() {
        Some("MatchAny") => {}
        None | Some("") if audiences.len() == 1 => {}
        _ => bail!("`issuer.audienceMatchPolicy`: with several audiences, expected `MatchAny`"),
    }
    ensure!(
        one.user_validation_rules.is_empty(),
        "`userValidationRules` are CEL expressions, which the gateway does not evaluate; expected `claimValidationRules` with `claim` and `requiredValue`"
    );
    let mappings = one.claim_mappings;
    ensure!(
        mappings.uid.is_none() && mappings.extra.is_empty(),
        "`claimMappings.uid` and `extra` would go nowhere: upstream the person is one name; leave them out"
    );
    Ok(Issuer {
        discovery: https(&discovery).context("`issuer.discoveryURL`")?,
        url,
        authority: certificate_authority.filter(|pem| !pem.trim().is_empty()),
        audiences,
        username: mapping(mappings.username).context("`claimMappings.username`")?,
        groups: mappings
            .groups
            .map(mapping)
            .transpose()
            .context("`claimMappings.groups`")?,
        required: one
            .claim_validation_rules
            .into_iter()
            .map(rule)
            .collect::<anyhow::Result<_>>()
            .context("`claimValidationRules`")?,
    })
}

fn rule(rule: Rule) -> anyhow::Result<(String, String)> {
    ensure!(
        rule.expression.is_none() && rule.message.is_none(),
        "CEL expressions are not evaluated by the gateway; expected `claim` and `requiredValue`"
    );
    let claim = rule.claim.filter(|claim| !claim.is_empty());
    Ok((claim.context("expected `claim`")?, rule.required_value))
}

fn mapping(fields: MappingFields) -> anyhow::Result<Mapping> {
    ensure!(
        fields.expression.is_none(),
        "CEL expressions are not evaluated by the gateway; expected `claim` and `prefix`"
    );
    let claim = fields.claim.filter(|claim| !claim.is_empty());
    Ok(Mapping {
        claim: claim.context("expected `claim`")?,
        // Without one, two issuers could each make the other's people. Kubernetes asks for it, too.
        prefix: fields
            .prefix
            .context("expected `prefix`; `\"\"` stands for none")?,
    })
}

/// A URL that can be asked without telling anybody else.
pub(super) fn https(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@')) && uri.query().is_none();
    ensure!(
        uri.scheme_str() == Some("https") && plain && !url.contains('#'),
        "expected an `https://` URL without user, query and fragment, found `{url}`"
    );
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://login.example/realm/
    audiences: [bulkhead]
  claimMappings:
    username: {claim: email, prefix: ''}
    groups: {claim: groups, prefix: 'oidc:'}
  claimValidationRules:
  - {claim: hd, requiredValue: acme.example}
anonymous: {enabled: false}
";

    #[test]
    fn a_configuration_is_read() {
        let issuers = parse(GOOD).unwrap();
        assert_eq!(
            issuers,
            [Issuer {
                url: "https://login.example/realm/".into(),
                discovery: "https://login.example/realm/.well-known/openid-configuration"
                    .parse()
                    .unwrap(),
                authority: None,
                audiences: vec!["bulkhead".into()],
                username: Mapping {
                    claim: "email".into(),
                    prefix: String::new()
                },
                groups: Some(Mapping {
                    claim: "groups".into(),
                    prefix: "oidc:".into()
                }),
                required: vec![("hd".into(), "acme.example".into())],
            }]
        );
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (old, new, says) in [
            (
                "https://login",
                "http://login",
                "`jwt[0]`: `issuer.url`: expected an `https://` URL",
            ),
            (
                "https://login",
                "https://u@login",
                "expected an `https://` URL",
            ),
            ("/realm/", "/realm/?x=y", "expected an `https://` URL"),
            ("[bulkhead]", "[]", "expected at least one"),
            ("[bulkhead]", "['']", "none of them empty"),
            ("[bulkhead]", "[a, b]", "expected `MatchAny`"),
            (
                "[bulkhead]",
                "[a]\n    audienceMatchPolicy: MatchAll",
                "expected `MatchAny`",
            ),
            (
                "[bulkhead]",
                "[a]\n    egressSelectorType: cluster",
                "egressSelectorType",
            ),
            (
                "[bulkhead]",
                "[a]\n    discoveryURL: https://login.example/realm/",
                "leave it out",
            ),
            (
                "[bulkhead]",
                "[a]\n    discoveryURL: http://x.example/",
                "discoveryURL",
            ),
            (
                "{claim: email, prefix: ''}",
                "{claim: email}",
                "`claimMappings.username`: expected `prefix`",
            ),
            (
                "{claim: email, prefix: ''}",
                "{expression: claims.email}",
                "CEL expressions",
            ),
            (
                "{claim: groups, prefix: 'oidc:'}",
                "{claim: groups}",
                "`claimMappings.groups`: expected `prefix`",
            ),
            (
                "{claim: hd, requiredValue: acme.example}",
                "{expression: 'true'}",
                "CEL expressions",
            ),
            (
                "{claim: hd, requiredValue: acme.example}",
                "{requiredValue: x}",
                "expected `claim`",
            ),
            ("enabled: false", "enabled: true", "nobody is anonymous"),
            ("anonymous:", "userValidationRules:", "unknown field"),
            (
                "  claimValidationRules:",
                "  userValidationRules:",
                "`userValidationRules` are CEL",
            ),
            (
                "'oidc:'}",
                "'oidc:'}\n    uid: {claim: sub}",
                "would go nowhere",
            ),
            (
                "kind: Auth",
                "kind: auth",
                "expected `kind: AuthenticationConfiguration`",
            ),
            (
                "io/v1",
                "io/v2",
                "expected `kind: AuthenticationConfiguration`",
            ),
        ] {
            assert!(GOOD.contains(old), "{old}");
            let error = parse(&GOOD.replace(old, new)).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(says), "{new}: {text}");
        }
    }

    #[test]
    fn an_issuer_is_there_once() {
        let (head, entry) = GOOD.split_once("- issuer").unwrap();
        let entry = entry.replace("anonymous: {enabled: false}", "");
        let twice = format!("{head}- issuer{entry}- issuer{entry}");
        let text = format!("{:#}", parse(&twice).unwrap_err());
        assert!(text.contains("is there twice"), "{text}");
    }
}
