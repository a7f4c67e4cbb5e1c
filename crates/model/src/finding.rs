//! What a control found, and where.

use std::borrow::Cow;
use std::fmt;

/// A step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A field or a map's key.
    Key(Cow<'static, str>),
    /// A list's element.
    Index(usize),
}

/// Where in an object something stands. Prints as `spec.containers[0].image`, keys that are no
/// plain field names as `metadata.annotations["example.com/key"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// A path of plain field names, separated by dots.
    #[must_use]
    pub fn of(dotted: &'static str) -> Self {
        // Room for most paths, so that what is appended moves nothing.
        Self(Vec::with_capacity(8)).then(dotted)
    }

    /// Appends plain field names, separated by dots.
    #[must_use]
    pub fn then(mut self, dotted: &'static str) -> Self {
        self.0.extend(
            dotted
                .split('.')
                .filter(|s| !s.is_empty())
                .map(|s| Segment::Key(Cow::Borrowed(s))),
        );
        self
    }

    /// Appends one key, taken as it is.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(Cow::Owned(key.into())));
        self
    }

    /// Appends a list index.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// The same place, seen from further out.
    #[must_use]
    pub fn below(self, root: Self) -> Self {
        Self(root.0.into_iter().chain(self.0).collect())
    }

    /// The steps, from the object's root.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The same place as a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        let mut out = String::new();
        for segment in &self.0 {
            out.push('/');
            match segment {
                Segment::Key(key) => push_step(&mut out, key),
                Segment::Index(index) => out.push_str(&index.to_string()),
            }
        }
        out
    }
}

/// Appends a key to a JSON pointer (RFC 6901).
pub fn push_step(pointer: &mut String, key: &str) {
    if key.contains(['~', '/']) {
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(key);
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if plain(key) => {
                    if i > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                Segment::Key(key) => write!(f, "[{key:?}]")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The control that found it.
    pub control: &'static str,
    /// Where.
    pub path: FieldPath,
    /// What is wrong there, a clause without a full stop: "adds the capability `NET_RAW`".
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_and_point() {
        let path = FieldPath::of("spec.containers")
            .index(2)
            .then("securityContext.privileged");
        assert_eq!(
            path.to_string(),
            "spec.containers[2].securityContext.privileged"
        );
        assert_eq!(
            path.pointer(),
            "/spec/containers/2/securityContext/privileged"
        );
        let path = FieldPath::of("metadata.annotations").key("a.b/c~d");
        assert_eq!(path.to_string(), r#"metadata.annotations["a.b/c~d"]"#);
        assert_eq!(path.pointer(), "/metadata/annotations/a.b~1c~0d");
    }
}
