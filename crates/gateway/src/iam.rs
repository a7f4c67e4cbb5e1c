//! IAM tokens of EKS, read strictly before anybody acts on one. Such a token is a URL that
//! whoever verifies it fetches: what stands in it besides the signature is an attacker's choice.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// What they all begin with.
pub const PREFIX: &str = "k8s-aws-v1.";

/// The longest that is looked at, in bytes.
pub const LONGEST: usize = 4096;

/// For how long STS takes a token from the time that stands in it, whatever else does.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// How far in the future that time may be: clocks differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// What a token says that has the one form in which it can be what it claims to be. Whether its
/// signature is right only STS knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamToken {
    /// The host of STS that would be asked.
    pub host: String,
    /// When it was signed.
    pub signed: SystemTime,
    /// When it ends.
    pub ends: SystemTime,
}

/// Why a token has not that form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    /// Other prefix, too long, or not Base64 of ASCII.
    #[error("expected `k8s-aws-v1.` and at most 4096 bytes of unpadded base64url")]
    Encoding,
    /// Not `https`, a user, a port, another host than one of STS, another path than `/`.
    #[error("its URL is not `https://` and a host of STS")]
    Host,
    /// A parameter that is none of the nine, or not spelt so.
    #[error("its URL has a parameter that a presigned `GetCallerIdentity` has not")]
    Unknown,
    /// A parameter given twice.
    #[error("its URL has a parameter twice")]
    Twice,
    /// A parameter missing.
    #[error("its URL lacks a parameter of a presigned `GetCallerIdentity`")]
    Missing,
    /// A parameter of another value than it can have.
    #[error("its URL has a parameter of another value than a presigned `GetCallerIdentity` has")]
    Value,
    /// The cluster's name is not among what is signed.
    #[error("it is signed for no cluster: `X-Amz-SignedHeaders` must be `host;x-k8s-aws-id`")]
    SignedHeaders,
    /// More than 15 minutes old.
    #[error("it has expired; the client makes a new one")]
    Expired,
    /// Of a time to come.
    #[error("it is of a time to come")]
    NotYet,
}

/// The parameters, in the one spelling that is taken: CVE-2022-2385 was a key in other case.
const PARAMETERS: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Reads a token.
///
/// # Errors
/// If it is not of the one form, or not of now.
pub fn read(token: &str, now: SystemTime) -> Result<IamToken, IamError> {
    let encoded = token.strip_prefix(PREFIX).ok_or(IamError::Encoding)?;
    if token.len() > LONGEST {
        return Err(IamError::Encoding);
    }
    let url = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| IamError::Encoding)?;
    let url = String::from_utf8(url).map_err(|_| IamError::Encoding)?;
    if !url.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Err(IamError::Encoding);
    }
    let rest = url.strip_prefix("https://").ok_or(IamError::Host)?;
    let (host, query) = rest.split_once("/?").ok_or(IamError::Host)?;
    let region = region(host).ok_or(IamError::Host)?;
    let values = parameters(query)?;
    let [
        action,
        version,
        algorithm,
        credential,
        date,
        expires,
        headers,
        signature,
        session,
    ] = values;
    let of = |value: Option<String>| value.ok_or(IamError::Missing);
    let date = of(date)?;
    let expires = of(expires)?;
    let digits = (1..=3).contains(&expires.len()) && expires.bytes().all(|b| b.is_ascii_digit());
    let hexadecimal = |text: &str| {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let plain = of(action)? == "GetCallerIdentity"
        && of(version)? == "2011-06-15"
        && of(algorithm)? == "AWS4-HMAC-SHA256"
        && is_credential(&of(credential)?, date.get(..8).unwrap_or_default(), region)
        && digits
        && expires.parse::<u16>().is_ok_and(|seconds| seconds <= 900)
        && hexadecimal(&of(signature)?)
        && session.is_none_or(|session| {
            let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
            !session.is_empty() && session.bytes().all(base64)
        });
    if !plain {
        return Err(IamError::Value);
    }
    if of(headers)? != "host;x-k8s-aws-id" {
        return Err(IamError::SignedHeaders);
    }
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let signed = PrimitiveDateTime::parse(&date, form).map_err(|_| IamError::Value)?;
    let signed = SystemTime::from(signed.assume_utc());
    let ends = signed.checked_add(LIFE).ok_or(IamError::Value)?;
    if now >= ends {
        return Err(IamError::Expired);
    }
    if signed.duration_since(now).is_ok_and(|ahead| ahead > SKEW) {
        return Err(IamError::NotYet);
    }
    Ok(IamToken {
        host: host.to_owned(),
        signed,
        ends,
    })
}

/// The values of [`PARAMETERS`], unescaped.
fn parameters(query: &str) -> Result<[Option<String>; 9], IamError> {
    let mut values: [Option<String>; 9] = Default::default();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').ok_or(IamError::Unknown)?;
        let slot = PARAMETERS
            .iter()
            .zip(&mut values)
            .find(|(name, _)| **name == key);
        let (_, slot) = slot.ok_or(IamError::Unknown)?;
        if slot.replace(unescaped(value)?).is_some() {
            return Err(IamError::Twice);
        }
    }
    Ok(values)
}

/// A value as SigV4 escapes it: everything but letters, digits and `-._~`, in capitals. Another
/// spelling has another signature, and could be read otherwise by somebody else.
fn unescaped(value: &str) -> Result<String, IamError> {
    let mut bytes = value.bytes();
    let mut text = String::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| match byte {
                    Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
                    Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
                    _ => Err(IamError::Value),
                };
                let code = 16 * digit(bytes.next())? + digit(bytes.next())?;
                let escaped = code.is_ascii_graphic() && !is_plain(code);
                text.push(char::from(code));
                if !escaped {
                    return Err(IamError::Value);
                }
            }
            plain if is_plain(plain) => text.push(char::from(plain)),
            _ => return Err(IamError::Value),
        }
    }
    Ok(text)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The region of a host of STS: regional, FIPS or dual stack, of any partition; for the global
/// one, the region that it signs for.
fn region(host: &str) -> Option<&str> {
    if host == "sts.amazonaws.com" {
        return Some("us-east-1");
    }
    let rest = host
        .strip_prefix("sts.")
        .or_else(|| host.strip_prefix("sts-fips."))?;
    let (region, domain) = rest.split_once('.')?;
    let known = match domain {
        "amazonaws.com" | "api.aws" => !region.starts_with("cn-"),
        "amazonaws.com.cn" | "api.amazonwebservices.com.cn" => region.starts_with("cn-"),
        "c2s.ic.gov" => region.starts_with("us-iso-"),
        "sc2s.sgov.gov" => region.starts_with("us-isob-"),
        _ => false,
    };
    // `eu-west-1`, `us-gov-east-1`, `us-isob-east-1`.
    let parts: Vec<&str> = region.split('-').collect();
    let (number, words) = parts.split_last()?;
    let regional = (2..=4).contains(&words.len())
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit());
    (known && regional && region.len() <= 32).then_some(region)
}

/// `KEYID/DAY/REGION/sts/aws4_request`, of the token's own day and its host's region.
fn is_credential(credential: &str, day: &str, region: &str) -> bool {
    let mut parts = credential.split('/');
    let key = parts.next().unwrap_or_default();
    let key = (16..=128).contains(&key.len())
        && key
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    key && parts.eq([day, region, "sts", "aws4_request"])
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    const URL: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token=IQoJb3%2FJp%2B%3D%3D&X-Amz-Signature=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn then() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    fn of(url: &str, now: SystemTime) -> Result<IamToken, IamError> {
        read(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url)), now)
    }

    #[test]
    fn the_one_form_is_taken() {
        let expected = IamToken {
            host: "sts.eu-west-1.amazonaws.com".into(),
            signed: then(),
            ends: then() + LIFE,
        };
        assert_eq!(of(URL, then()), Ok(expected));
        let long = URL.replace("&X-Amz-Security-Token=IQoJb3%2FJp%2B%3D%3D", "");
        assert!(
            of(&long, then()).is_ok(),
            "a user's own keys have no session"
        );
        for (host, region) in [
            ("sts.amazonaws.com", "us-east-1"),
            ("sts-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("sts.eu-central-1.api.aws", "eu-central-1"),
            ("sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ] {
            let url = URL
                .replace("sts.eu-west-1.amazonaws.com", host)
                .replace("eu-west-1", region);
            assert!(of(&url, then()).is_ok(), "{host}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        use IamError::{Encoding, Host, Missing, SignedHeaders, Twice, Unknown, Value};
        for (old, new, why) in [
            ("https:", "http:", Host),
            ("https:", "HTTPS:", Host),
            (
                "sts.eu-west-1.amazonaws.com/",
                "sts.eu-west-1.amazonaws.com:443/",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "sts.eu-west-1.amazonaws.com.evil.example",
                Host,
            ),
            ("sts.eu-west-1.amazonaws.com", "evil.example", Host),
            (
                "sts.eu-west-1.amazonaws.com",
                "sts.eu-west-1.evil.example",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "x.sts.eu-west-1.amazonaws.com",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "sts.amazonaws.com@evil.example",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "sts.evil-bucket.amazonaws.com",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "s3.eu-west-1.amazonaws.com",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com",
                "STS.eu-west-1.amazonaws.com",
                Host,
            ),
            ("sts.eu-west-1.amazonaws.com", "169.254.169.254", Host),
            (
                "sts.eu-west-1.amazonaws.com",
                "sts.eu-west-1.amazonaws.com.cn",
                Host,
            ),
            (
                "sts.eu-west-1.amazonaws.com/",
                "sts.us-east-1.amazonaws.com/",
                Value,
            ),
            (".com/?", ".com/x?", Host),
            (".com/?", ".com//?", Host),
            (".com/?", ".com?", Host),
            ("Action=GetCallerIdentity", "Action=GetSessionToken", Value),
            ("Action=", "action=", Unknown),
            ("&Version=2011-06-15", "", Missing),
            (
                "&Version=2011-06-15",
                "&Version=2011-06-15&Version=2011-06-15",
                Twice,
            ),
            (
                "&X-Amz-Date",
                "&x-amz-date=20260102T030405Z&X-Amz-Date",
                Unknown,
            ),
            (
                "&X-Amz-Date",
                "&X-Amz-Date=20260102T030405Z&X-Amz-Date",
                Twice,
            ),
            ("&X-Amz-Date", "&X%2DAmz-Date", Unknown),
            ("&X-Amz-Date", "&&X-Amz-Date", Unknown),
            ("&X-Amz-Date", "&RoleArn=x&X-Amz-Date", Unknown),
            ("&X-Amz-Date", ";X-Amz-Date", Value),
            ("X-Amz-Expires=60", "X-Amz-Expires=901", Value),
            ("X-Amz-Expires=60", "X-Amz-Expires=-1", Value),
            ("X-Amz-Expires=60", "X-Amz-Expires=", Value),
            ("X-Amz-Expires=60", "X-Amz-Expires=%36", Value),
            ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", Value),
            ("host%3Bx-k8s-aws-id", "host", SignedHeaders),
            ("host%3Bx-k8s-aws-id", "host%3Bx-k8s-aws-idx", SignedHeaders),
            ("host%3Bx-k8s-aws-id", "host;x-k8s-aws-id", Value),
            ("host%3Bx-k8s-aws-id", "host%3bx-k8s-aws-id", Value),
            ("%2F20260102%2F", "%2F20260103%2F", Value),
            ("%2Fsts%2F", "%2Fiam%2F", Value),
            ("AKIAIOSFODNN7EXAMPLE", "%7B%7BAccessKeyID%7D%7D", Value),
            (
                "00112233445566778899aabb",
                "00112233445566778899AABB",
                Value,
            ),
            ("00112233445566778899aabb", "", Value),
            ("eeff00", "eeff#00", Value),
            ("20260102T030405Z", "20260102T250405Z", Value),
            ("Action", "Acti on", Encoding),
            ("Action", "Acti\u{e9}on", Encoding),
        ] {
            let url = URL.replace(old, new);
            assert_ne!(url, URL, "{old}");
            assert_eq!(of(&url, then()), Err(why), "{old} → {new}");
        }
        let good = URL_SAFE_NO_PAD.encode(URL);
        let bare = format!("k8s-aws-v1.{good}");
        assert!(read(&bare, then()).is_ok());
        for token in [
            good.clone(),
            format!("k8s-aws-v2.{good}"),
            format!("K8S-aws-v1.{good}"),
            format!("{bare}="),
            format!("{bare} "),
            PREFIX.to_owned(),
            format!("{PREFIX}{}", "A".repeat(LONGEST)),
        ] {
            assert!(read(&token, then()).is_err(), "{token}");
        }
    }

    /// What fuzzing has found, and where it begins.
    #[test]
    fn the_corpus_of_the_fuzz_target_is_read() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/iam");
        let mut taken = Vec::new();
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let url = std::fs::read(&path).unwrap();
            let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&url));
            if let Ok(token) = read(&token, then()) {
                assert!(url.starts_with(format!("https://{}/?", token.host).as_bytes()));
                taken.push(path.file_name().unwrap().to_owned());
            }
        }
        taken.sort();
        assert_eq!(taken, ["global", "good"]);
    }

    #[test]
    fn it_lives_a_quarter_of_an_hour() {
        let second = Duration::from_secs(1);
        assert!(of(URL, then() + LIFE - second).is_ok());
        assert_eq!(of(URL, then() + LIFE), Err(IamError::Expired));
        assert!(of(URL, then() - SKEW).is_ok());
        assert_eq!(of(URL, then() - SKEW - second), Err(IamError::NotYet));
    }

    proptest! {
        /// What is taken is of the one form, whatever was done to it.
        #[test]
        fn a_changed_byte_leaves_nothing_open(at in 0..URL.len(), byte in 0u8..128) {
            let mut url = URL.as_bytes().to_vec();
            url[at] = byte;
            let url = String::from_utf8(url).unwrap();
            if let Ok(token) = of(&url, then()) {
                prop_assert!(url.starts_with("https://sts."));
                prop_assert!(region(&token.host).is_some());
                prop_assert_eq!(url.matches('&').count(), 8);
                prop_assert!(url.contains("=host%3Bx-k8s-aws-id&"));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = of(&text, then());
            let _ = read(&format!("{PREFIX}{text}"), then());
        }
    }
}
