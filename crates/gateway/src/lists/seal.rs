//! Tokens by which a list over many namespaces goes on. They are sealed: what they say is signed
//! with a key that every replica derives from the gateway's own private key, and they speak of one
//! person, one kind, one selection, one set of namespaces, for a few minutes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_scope::Denial;
use ring::hmac;

/// How long a token may be used. The API server forgets old states after five minutes, too.
const VALID: Duration = Duration::from_secs(300);
const TAG: usize = 32;

/// Makes and opens tokens.
pub(crate) struct Seal(hmac::Key);

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The state that the list shows.
    pub(crate) version: u64,
    /// The namespace in which it goes on.
    pub(crate) namespace: String,
    /// The API server's token for the rest of that namespace; empty for all of it.
    pub(crate) after: String,
}

impl Seal {
    /// A seal that all who hold this secret share.
    pub(crate) fn of(secret: &[u8]) -> Self {
        // A key of its own, so that no signature says anything about the secret's other uses.
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, b"bulkhead gateway continue tokens v1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// A token for a position in the list with this identity. `now` is the time since 1970.
    pub(crate) fn close(&self, position: &Position, identity: &str, now: Duration) -> String {
        let until = (now + VALID).as_secs();
        let mut bytes = format!(
            "1\n{until}\n{}\n{}\n{}",
            position.version, position.namespace, position.after
        )
        .into_bytes();
        let tag = self.sign(&bytes, identity);
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a token.
    ///
    /// # Errors
    /// 410 if the token is not ours, of another list, or too old. Clients begin anew then.
    pub(crate) fn open(
        &self,
        token: &str,
        identity: &str,
        now: Duration,
    ) -> Result<Position, Denial> {
        self.read(token, identity, now).ok_or_else(|| {
            Denial::expired(
                "the `continue` token is too old, was made for another list or before your namespaces changed: list again from the start",
            )
        })
    }

    fn read(&self, token: &str, identity: &str, now: Duration) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (said, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        hmac::verify(&self.0, &signed(said, identity), tag).ok()?;
        let mut lines = std::str::from_utf8(said).ok()?.split('\n');
        let mut next = || lines.next();
        let (form, until) = (next()?, next()?);
        let (version, namespace, after) = (next()?, next()?, next()?);
        let fresh = form == "1" && now.as_secs() < until.parse().ok()?;
        (fresh && next().is_none()).then_some(Position {
            version: version.parse().ok()?,
            namespace: namespace.to_owned(),
            after: after.to_owned(),
        })
    }

    fn sign(&self, said: &[u8], identity: &str) -> hmac::Tag {
        hmac::sign(&self.0, &signed(said, identity))
    }
}

/// What is said, with its length, so that no part of it can be taken for a part of the identity.
fn signed(said: &[u8], identity: &str) -> Vec<u8> {
    let mut bytes = said.len().to_be_bytes().to_vec();
    bytes.extend_from_slice(said);
    bytes.extend_from_slice(identity.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            version: 42,
            namespace: "acme-app".into(),
            after: "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ".into(),
        }
    }

    const NOW: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn a_token_opens_where_it_was_made_for_and_nowhere_else() {
        let seal = Seal::of(b"secret");
        let token = seal.close(&position(), "alice\n/api/v1/pods", NOW);
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            "{token}"
        );
        assert_eq!(
            seal.open(&token, "alice\n/api/v1/pods", NOW),
            Ok(position())
        );
        assert_eq!(
            Seal::of(b"secret").open(&token, "alice\n/api/v1/pods", NOW),
            Ok(position()),
            "another replica"
        );
        let status = |seal: &Seal, identity, now| {
            seal.open(&token, identity, now)
                .map_err(|denial| denial.status)
        };
        assert_eq!(status(&seal, "mallory\n/api/v1/pods", NOW), Err(410));
        assert_eq!(status(&seal, "alice\n/api/v1/secrets", NOW), Err(410));
        assert_eq!(
            status(&Seal::of(b"other"), "alice\n/api/v1/pods", NOW),
            Err(410)
        );
        assert!(
            status(
                &seal,
                "alice\n/api/v1/pods",
                NOW + VALID - Duration::from_secs(1)
            )
            .is_ok()
        );
        assert_eq!(status(&seal, "alice\n/api/v1/pods", NOW + VALID), Err(410));
    }

    #[test]
    fn a_token_with_one_bit_changed_is_none() {
        let seal = Seal::of(b"secret");
        let token = seal.close(&position(), "x", NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(&other);
            assert_eq!(
                seal.open(&forged, "x", NOW).unwrap_err().status,
                410,
                "{index}"
            );
        }
        // What is moved over from the signed text to the identity, or back, is another text.
        for forged in ["", "AAAA", "=", "ü", token.get(1..).unwrap()] {
            assert_eq!(
                seal.open(forged, "x", NOW).unwrap_err().status,
                410,
                "{forged}"
            );
        }
    }
}
