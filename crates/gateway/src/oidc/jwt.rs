//! JSON Web Tokens, read strictly. Which keys and algorithms count is never for the token to say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_model::json;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// The algorithms that are taken: those with a public key alone, so that who can verify cannot
/// sign. `none` and the HMACs are none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            _ => return None,
        })
    }
}

/// A public key of an issuer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

impl Key {
    /// Reads a JSON Web Key. None if it is not for signatures, or of a kind that is not taken.
    pub(crate) fn parse(jwk: &Value) -> Option<Self> {
        let text = |field: &str| jwk.get(field).and_then(Value::as_str);
        if !matches!(jwk.get("use"), None | Some(Value::Null)) && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops").filter(|ops| !ops.is_null())
            && !operations.as_array()?.iter().any(|op| op == "verify")
        {
            return None;
        }
        let bytes = |field: &str| URL_SAFE_NO_PAD.decode(text(field)?).ok();
        let point = |length: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            // Uncompressed, as SEC 1 has it.
            (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let number = |bytes: Vec<u8>| {
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    bytes.get(zeros..).map(<[u8]>::to_vec)
                };
                Material::Rsa {
                    n: number(bytes("n")?)?,
                    e: number(bytes("e")?)?,
                }
            }
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            _ => return None,
        };
        Some(Self {
            id: text("kid").map(str::to_owned),
            algorithm: match jwk.get("alg") {
                None | Some(Value::Null) => None,
                Some(name) => Some(Algorithm::parse(name.as_str()?)?),
            },
            material,
        })
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return false;
        }
        let rsa: &signature::RsaParameters = match (algorithm, &self.material) {
            (Algorithm::Es256, Material::P256(point)) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                return key.verify(message, signature).is_ok();
            }
            (Algorithm::Es384, Material::P384(point)) => {
                let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
                return key.verify(message, signature).is_ok();
            }
            (Algorithm::Rs256, Material::Rsa { .. }) => &RSA_PKCS1_2048_8192_SHA256,
            (Algorithm::Rs384, Material::Rsa { .. }) => &RSA_PKCS1_2048_8192_SHA384,
            (Algorithm::Rs512, Material::Rsa { .. }) => &RSA_PKCS1_2048_8192_SHA512,
            (Algorithm::Ps256, Material::Rsa { .. }) => &RSA_PSS_2048_8192_SHA256,
            (Algorithm::Ps384, Material::Rsa { .. }) => &RSA_PSS_2048_8192_SHA384,
            (Algorithm::Ps512, Material::Rsa { .. }) => &RSA_PSS_2048_8192_SHA512,
            _ => return false,
        };
        let Material::Rsa { n, e } = &self.material else {
            return false;
        };
        RsaPublicKeyComponents { n, e }
            .verify(rsa, message, signature)
            .is_ok()
    }
}

/// A token whose parts can be read. Nothing in it is believed yet.
pub(crate) struct Unverified<'a> {
    algorithm: Option<Algorithm>,
    key: Option<String>,
    claims: Value,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Reads a token. None if it is not three parts that are each strictly what they must be; a
    /// token of another sort, then.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let object = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            let value = Value::from(json::parse(&bytes).ok()?);
            value.is_object().then_some(value)
        };
        let header = object(header)?;
        let key = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        // What is critical must be understood, and we understand no extension.
        let plain = !header.as_object()?.contains_key("crit");
        // A token of another purpose (`logout+jwt`, `dpop+jwt`) signs nobody in.
        let kind = match header.get("typ") {
            None => true,
            Some(kind) => ["jwt", "at+jwt"].contains(&kind.as_str()?.to_ascii_lowercase().as_str()),
        };
        let algorithm = header.get("alg")?.as_str()?;
        Some(Self {
            algorithm: Algorithm::parse(algorithm).filter(|_| plain && kind),
            key,
            claims: object(claims)?,
            signed: signed.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Who says that he has issued it: to choose the keys by, and nothing else.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// When it says that it ends, in seconds since 1970.
    pub(crate) fn ends(&self) -> Option<f64> {
        self.claims.get("exp")?.as_f64()
    }

    /// Whether a key is one that the token may be signed with.
    pub(crate) fn may_be_of(&self, key: &Key) -> bool {
        self.key.is_none() || self.key == key.id
    }

    /// The claims, if one of the keys has signed them.
    pub(crate) fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Option<&Value> {
        let algorithm = self.algorithm?;
        keys.into_iter()
            .filter(|key| self.may_be_of(key))
            .any(|key| key.verifies(algorithm, self.signed, &self.signature))
            .then_some(&self.claims)
    }
}
