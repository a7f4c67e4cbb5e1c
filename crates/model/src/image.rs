//! Image references, by the grammar of the OCI distribution specification and its reference
//! implementation, and the registries that a tenant may pull from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::NameError;

/// Where an image without a host comes from, as containerd and Docker read it.
const DEFAULT_HOST: &str = "docker.io";
/// The repository prefix of Docker's own images, which have a name of one part.
const DEFAULT_PREFIX: &str = "library";
/// The longest name, host and path together, that registries take.
const MAX_NAME: usize = 255;

/// A parsed image reference: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`. Prints in full, with the host
/// and path that a runtime fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRef<'a> {
    host: &'a str,
    /// Docker's own images are written without it.
    prefix: Option<&'static str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> ImageRef<'a> {
    /// Reads a reference as runtimes do; none if it is none.
    ///
    /// The first part is a host if it has a dot, a colon or a capital, or is `localhost`.
    #[must_use]
    pub fn parse(reference: &'a str) -> Option<Self> {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (reference, None),
        };
        // The last colon begins a tag, unless it stands in the host.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, path)) if names_a_host(first) => (first, path),
            _ => (DEFAULT_HOST, name),
        };
        let host = if host == "index.docker.io" {
            DEFAULT_HOST
        } else {
            host
        };
        let prefix = (host == DEFAULT_HOST && !path.contains('/')).then_some(DEFAULT_PREFIX);
        // Sixty-four hexadecimal digits are an image's id, which no registry is asked for.
        let id = reference.len() == 64
            && reference
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let valid = name.len() <= MAX_NAME
            && is_host(host)
            && is_path(path)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest)
            && !id;
        valid.then_some(Self {
            host,
            prefix,
            path,
            tag,
            digest,
        })
    }

    /// What is pulled when the manifest has no pull policy: anew each time only where the tag is
    /// `latest` or missing, as the API server fills in.
    #[must_use]
    pub fn default_policy(&self) -> PullPolicy {
        match (self.tag, self.digest) {
            (Some("latest"), _) | (None, None) => PullPolicy::Always,
            _ => PullPolicy::IfNotPresent,
        }
    }

    /// The parts of the repository's path.
    fn parts(&self) -> impl Iterator<Item = &'a str> {
        self.prefix.into_iter().chain(self.path.split('/'))
    }
}

impl fmt::Display for ImageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host)?;
        for part in self.parts() {
            write!(f, "/{part}")?;
        }
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn names_a_host(first: &str) -> bool {
    first == "localhost"
        || first
            .bytes()
            .any(|b| b == b'.' || b == b':' || b.is_ascii_uppercase())
}

/// A name or an IPv4 address, or an IPv6 address in brackets; and a port.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let named = |name: &str| {
        name.split('.').all(|label| {
            let inside = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
            inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        })
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let numbered = |inside: &str| {
        !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
    };
    address.map_or_else(|| named(name), numbered)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_part)
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_path_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(|b| is_word(*b));
    let mut separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends(part.as_bytes().first())
        && ends(part.as_bytes().last())
        && separators.all(|it| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// An algorithm, `sha256` mostly, and at least thirty-two hexadecimal digits.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let mut components = algorithm.split(['+', '.', '_', '-']);
    let component = |it: &str| {
        it.starts_with(|c: char| c.is_ascii_alphabetic())
            && it.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    components.all(component) && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A registry, or a part of one, that a tenant may pull from: `HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Registry(String);

impl Registry {
    /// Reads one. The host has to be written, `docker.io` too: `team/app` could be either.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn parse(input: impl Into<String>) -> Result<Self, NameError> {
        let input = input.into();
        let (host, path) = match input.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (input.as_str(), None),
        };
        let capital = input.bytes().any(|b| b.is_ascii_uppercase());
        let valid = names_a_host(host) && is_host(host) && path.is_none_or(is_path) && !capital;
        if valid && input.len() <= MAX_NAME && host != "index.docker.io" {
            Ok(Self(input))
        } else {
            Err(NameError {
                input,
                what: "registry",
                expected: "`HOST[:PORT][/PATH]` in lower case, such as `registry.example/team` or `docker.io/library`",
            })
        }
    }

    /// Whether an image comes from here: the same host, and a path that begins with all parts of
    /// ours. Ports are part of the host; another port is another server.
    #[must_use]
    pub fn has(&self, image: &ImageRef<'_>) -> bool {
        let (host, path) = self.0.split_once('/').unwrap_or((&self.0, ""));
        let mut parts = image.parts();
        image.host.eq_ignore_ascii_case(host)
            && path
                .split('/')
                .filter(|part| !part.is_empty())
                .all(|part| parts.next() == Some(part))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Registry {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        Self::parse(input)
    }
}

impl From<Registry> for String {
    fn from(registry: Registry) -> Self {
        registry.0
    }
}

/// When the kubelet asks the registry for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Each time, so that each pod's own credentials count.
    Always,
    /// Only if the node does not have it.
    IfNotPresent,
    /// Never: the pod runs what others have brought to the node.
    Never,
}

impl PullPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::IfNotPresent, Self::Never];

    /// As manifests have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }

    /// Exactly as manifests spell it.
    #[must_use]
    pub fn parse(input: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == input)
    }
}

/// Which images a tenant may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Images {
    /// Where they may come from; anywhere if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_registries: Vec<Registry>,
    /// The pull policies that containers may have.
    pub pull_policies: Vec<PullPolicy>,
}

impl Images {
    /// For serde: whether nothing needs to be said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            allowed_registries: Vec::new(),
            pull_policies: vec![PullPolicy::Always, PullPolicy::IfNotPresent],
        }
    }
}

#[cfg(test)]
mod tests;
