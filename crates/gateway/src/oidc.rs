//! People by OpenID Connect: tokens of issuers that the operator names, verified here. An
//! issuer is asked for its keys only, never about a token, so no verdict is remembered, and a
//! token counts until it ends.
//!
//! Signatures are verified by `ring`, on which TLS rests already. Reading a token is a few lines,
//! and must be as strict as reading a body: the crates that do both are lenient with duplicate
//! keys and types, and bring a second stack of cryptography.

mod config;
mod fetch;
mod jwt;
mod keys;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bulkhead_scope::Denial;
use serde_json::Value;

use self::config::{Issuer, Mapping};
use self::fetch::Fetch;
use self::jwt::Unverified;
use self::keys::{Found, Keys};
use crate::authn::{Identity, Who, check_name};

pub(crate) use self::keys::Times;

/// How far the clocks of issuer and gateway may be apart for a token that has just begun.
const SKEW: f64 = 60.0;

/// All issuers of the configuration.
pub(crate) struct Issuers(Vec<(Issuer, Keys)>);

impl Issuers {
    /// None.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads the configuration. Nothing is fetched yet.
    ///
    /// # Errors
    /// If the file cannot be read or asks for what is not done here.
    pub(crate) async fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("the authentication configuration `{}`", path.display());
        let text = tokio::fs::read_to_string(path).await.with_context(named)?;
        Self::of(&text, Times::default()).with_context(named)
    }

    pub(crate) fn of(text: &str, times: Times) -> anyhow::Result<Self> {
        let issuers = config::parse(text)?.into_iter().map(|issuer| {
            let fetch = Fetch::new(issuer.authority.as_deref())
                .with_context(|| format!("the issuer `{}`", issuer.url))?;
            Ok((issuer, Keys::new(fetch, times)))
        });
        issuers.collect::<anyhow::Result<_>>().map(Self)
    }

    /// Keeps the keys up to date, until dropped.
    pub(crate) async fn follow(&self) {
        let each = self.0.iter().map(|(issuer, keys)| keys.follow(issuer));
        futures::future::join_all(each).await;
        std::future::pending().await
    }

    /// Whom a token stands for. None if it is of no issuer of ours.
    pub(crate) async fn identify(&self, token: &str) -> Option<Result<Identity, Denial>> {
        let token = Unverified::parse(token)?;
        let named = token.issuer()?;
        let (issuer, keys) = self.0.iter().find(|(issuer, _)| issuer.url == named)?;
        let keys = match keys.of(issuer, &token).await {
            Found::Keys(keys) => keys,
            Found::Unknown => {
                return Some(Err(refused(issuer, "its key is none of the issuer's")));
            }
            Found::Unreachable => {
                return Some(Err(Denial::unavailable(
                    format!(
                        "the token cannot be checked now: the keys of `{}` cannot be fetched",
                        issuer.url
                    ),
                    2,
                )));
            }
        };
        let claims = token.verify(keys.iter()).ok_or_else(|| {
            refused(
                issuer,
                "its signature is not by the key and algorithm that it names",
            )
        });
        Some(claims.and_then(|claims| {
            person(issuer, claims, SystemTime::now()).map_err(|why| refused(issuer, &why))
        }))
    }
}

/// When a token says that it ends, for streams that it opens; whether it is good is for others to
/// say.
pub(crate) fn ends(token: &str) -> Option<SystemTime> {
    Unverified::parse(token)?.ends().and_then(instant)
}

fn instant(seconds: f64) -> Option<SystemTime> {
    let since = std::time::Duration::try_from_secs_f64(seconds).ok()?;
    UNIX_EPOCH.checked_add(since)
}

fn refused(issuer: &Issuer, why: &str) -> Denial {
    Denial::unauthorized(format!("the token of `{}` is refused: {why}", issuer.url))
}

/// Who the claims of a verified token say it is.
fn person(issuer: &Issuer, claims: &Value, now: SystemTime) -> Result<Identity, String> {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    if claims.get("iss").and_then(Value::as_str) != Some(issuer.url.as_str()) {
        return Err("its issuer is another".to_owned());
    }
    let audiences = strings(claims.get("aud")).ok_or("`aud` is no list of audiences")?;
    if !audiences
        .iter()
        .any(|one| issuer.audiences.iter().any(|ours| ours == one))
    {
        return Err(format!(
            "it is for another audience; expected `{}`",
            issuer.audiences.join("` or `")
        ));
    }
    let time = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(format!("`{claim}` is no time")),
        },
    };
    let ends = time("exp")?.ok_or("it has no end (`exp`)")?;
    if now >= ends {
        return Err("it has expired; sign in again".to_owned());
    }
    for claim in ["nbf", "iat"] {
        if time(claim)?.is_some_and(|begins| begins > now + SKEW) {
            return Err(format!("it is not valid yet (`{claim}`)"));
        }
    }
    for (claim, value) in &issuer.required {
        if claims.get(claim).and_then(Value::as_str) != Some(value) {
            return Err(format!("its claim `{claim}` must be `{value}`"));
        }
    }
    let name = name(issuer, claims)?;
    let groups = match &issuer.groups {
        None => Vec::new(),
        Some(mapping) => groups(mapping, claims)?,
    };
    Ok(Identity {
        who: Who::User { name, groups },
        ends: instant(ends),
        serial: None,
    })
}

fn name(issuer: &Issuer, claims: &Value) -> Result<String, String> {
    let Mapping { claim, prefix } = &issuer.username;
    let value = claims
        .get(claim)
        .and_then(Value::as_str)
        .unwrap_or_default();
    if value.is_empty() {
        return Err(format!("its claim `{claim}`, the user's name, is missing"));
    }
    let verified = claims.get("email_verified");
    if claim == "email" && verified.is_some_and(|verified| *verified != Value::Bool(true)) {
        return Err("its `email` is not verified".to_owned());
    }
    let name = format!("{prefix}{value}");
    check_name(&name).map_err(|why| format!("the user's name {why}"))?;
    Ok(name)
}

fn groups(mapping: &Mapping, claims: &Value) -> Result<Vec<String>, String> {
    let Mapping { claim, prefix } = mapping;
    let named = match claims.get(claim) {
        None | Some(Value::Null) => Vec::new(),
        some => strings(some).ok_or_else(|| format!("its claim `{claim}` is no list of groups"))?,
    };
    let mut groups = Vec::with_capacity(named.len());
    for group in named {
        let group = format!("{prefix}{group}");
        if ["system:", "bulkhead:"]
            .iter()
            .any(|ours| group.starts_with(ours))
        {
            return Err(format!("it names the group `{}`", group.escape_default()));
        }
        // A directory has groups with all sorts of names. Those that no Tenant can name are of no
        // use here, and no harm.
        if check_name(&group).is_ok() {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// A text, or a list of nothing but texts.
fn strings(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
