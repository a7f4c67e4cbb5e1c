//! Who asks: by client certificate or by token. What is accepted here gives
//! nothing at the API server, and no name that means something there is accepted here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bulkhead_model::tenant::Person;
use bulkhead_model::{Serial, ServiceAccountRef};
use bulkhead_scope::Denial;
use bulkhead_serve::Peer;
use http::{HeaderMap, header};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Somebody whom we believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) who: Who,
    /// When the credential ends. Nothing that was opened by it goes on for longer.
    pub(crate) ends: Option<SystemTime>,
    /// The certificate's number, by which it can be taken back.
    pub(crate) serial: Option<Serial>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    User { name: String, groups: Vec<String> },
    ServiceAccount(ServiceAccountRef),
}

impl Identity {
    pub(crate) fn person(&self) -> Person<'_> {
        match &self.who {
            Who::User { name, groups } => Person::User { name, groups },
            Who::ServiceAccount(account) => Person::ServiceAccount(account),
        }
    }

    /// The name for logs. A user cannot be called like a ServiceAccount: `system:` is refused.
    pub(crate) fn name(&self) -> String {
        match &self.who {
            Who::User { name, .. } => name.clone(),
            Who::ServiceAccount(account) => account.username(),
        }
    }

    /// Whether the credential has ended.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }
}

/// What a request shows of its sender, for logs and metrics.
pub(crate) fn sort_of(headers: &HeaderMap, peer: &Peer) -> &'static str {
    match (
        &peer.certificate,
        headers.contains_key(header::AUTHORIZATION),
    ) {
        (Some(_), false) => "certificate",
        (None, true) => "token",
        (Some(_), true) => "both",
        (None, false) => "none",
    }
}

/// The bearer token of a request, if there is one.
///
/// # Errors
/// If there is an `Authorization` header of another form, or more than one.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denial> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    let token = value
        .to_str()
        .ok()
        .filter(|_| second.is_none())
        .and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            let well_formed = (1..=16 * 1024).contains(&token.len())
                && token
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
            (scheme.eq_ignore_ascii_case("bearer") && well_formed).then_some(token)
        });
    token.map(Some).ok_or_else(|| {
        Denial::unauthorized("the `Authorization` header must be one `Bearer TOKEN`")
    })
}

/// The user of a client certificate, whose chain and key the TLS layer has verified: the common
/// name, and the organizations as groups. A connection may outlive the certificate, so its
/// dates are looked at for every request.
pub(crate) fn of_certificate(der: &[u8], now: SystemTime) -> Result<Identity, Denial> {
    let refused =
        |why: &str| Denial::unauthorized(format!("the client certificate is refused: {why}"));
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| refused("it cannot be read"))?;
    if !rest.is_empty() {
        return Err(refused("it cannot be read"));
    }
    let validity = certificate.validity();
    let instant = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
    if now < instant(validity.not_before.timestamp())
        || now > instant(validity.not_after.timestamp())
    {
        return Err(refused("it is not valid now"));
    }
    let subject = certificate.subject();
    let mut names = subject.iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(refused(
            "its subject must have one common name (CN), the user's name",
        ));
    };
    let text = |value: &x509_parser::prelude::AttributeTypeAndValue<'_>, what: &str| {
        let text = value
            .as_str()
            .map_err(|_| refused(&format!("its {what} is no text")))?;
        check_name(text).map_err(|why| refused(&format!("its {what} {why}")))?;
        Ok(text.to_owned())
    };
    let name = text(name, "common name (CN)")?;
    let groups: Result<Vec<String>, Denial> = subject
        .iter_organization()
        .map(|group| text(group, "organization (O)"))
        .collect();
    Ok(Identity {
        who: Who::User {
            name,
            groups: groups?,
        },
        ends: Some(instant(validity.not_after.timestamp())),
        serial: Some(Serial::of_bytes(certificate.raw_serial())),
    })
}

/// Names travel in a header and stand in the API server's audit log, and must mean nothing there.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let printable = name.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !(1..=256).contains(&name.len()) || !printable || name.trim() != name {
        return Err("must be 1 to 256 printable ASCII characters, without spaces at its ends");
    }
    if name.starts_with("system:") {
        return Err("must not start with `system:`");
    }
    if name.starts_with("bulkhead:") {
        return Err("must not start with `bulkhead:`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(names: &[&str], groups: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        for group in groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0x0a, 0x1b]));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn at(year: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600)
    }

    #[test]
    fn a_certificate_names_user_and_groups() {
        assert_eq!(
            of_certificate(
                &certificate(&["alice@acme.example"], &["acme-admins"]),
                at(2025)
            ),
            Ok(Identity {
                who: Who::User {
                    name: "alice@acme.example".into(),
                    groups: vec!["acme-admins".into()]
                },
                ends: Some(UNIX_EPOCH + Duration::from_secs(1_893_456_000)),
                serial: Some(Serial::parse("0A1B").unwrap()),
            })
        );
    }

    #[test]
    fn certificates_that_mean_something_elsewhere_or_nothing_are_refused() {
        for (names, groups, year, says) in [
            (&["alice"][..], &[][..], 2019, "not valid now"),
            (&["alice"], &[], 2031, "not valid now"),
            (&[], &["acme"], 2025, "one common name"),
            (&["system:admin"], &[], 2025, "`system:`"),
            (&["alice"], &["system:masters"], 2025, "`system:`"),
            (&["bulkhead:tenant:acme:admin"], &[], 2025, "`bulkhead:`"),
            (&["alice"], &["bulkhead:tenants"], 2025, "`bulkhead:`"),
            (&["alice\r\nx: y"], &[], 2025, "printable"),
            (&[" alice"], &[], 2025, "printable"),
            (&["älice"], &[], 2025, "printable"),
            (&[""], &[], 2025, "printable"),
        ] {
            let denial = of_certificate(&certificate(names, groups), at(year)).unwrap_err();
            assert_eq!(denial.status, 401, "{names:?} {groups:?}");
            assert!(
                denial.message.contains(says),
                "{names:?} {groups:?}: {}",
                denial.message
            );
        }
        assert_eq!(of_certificate(b"junk", at(2025)).unwrap_err().status, 401);
        let mut tail = certificate(&["alice"], &[]);
        tail.push(0);
        assert_eq!(of_certificate(&tail, at(2025)).unwrap_err().status, 401);
    }

    #[test]
    fn one_bearer_token_is_taken() {
        let headers = |values: &[&str]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            map
        };
        assert_eq!(bearer(&headers(&[])), Ok(None));
        assert_eq!(bearer(&headers(&["Bearer a.b-c_d"])), Ok(Some("a.b-c_d")));
        assert_eq!(bearer(&headers(&["bearer a"])), Ok(Some("a")));
        for bad in [
            &["Basic YTpi"][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,Bearer b"],
            &["Bearer a", "Bearer b"],
            &[""],
        ] {
            assert_eq!(bearer(&headers(bad)).unwrap_err().status, 401, "{bad:?}");
        }
    }
}
