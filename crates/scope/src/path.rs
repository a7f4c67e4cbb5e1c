//! The path of a request target, read as Kubernetes' request info reads it and only where that
//! reading is the sole one.

use std::fmt;

use bulkhead_model::NamespaceName;

use crate::denial::Denial;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// Something about the server: discovery, schemas, version, health.
    Document(Document),
    /// A collection, an object or a part of one.
    Resource(Resource),
}

/// A path that names no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1` and `/apis/GROUP/VERSION`
    GroupVersion {
        /// Empty for the core group.
        group: String,
        /// Version.
        version: String,
    },
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`, or below it the schema of the document named.
    OpenApiV3(Option<String>),
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`
    Health(Probe),
}

/// Which of the health endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `/healthz`
    Healthz,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
}

/// A part of a pod that is reached by changing the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A command in a container.
    Exec,
    /// The container's own process.
    Attach,
    /// A port.
    PortForward,
}

/// A path that names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// The namespace that the path goes through. None for `/api/v1/namespaces/NAME` itself.
    pub namespace: Option<NamespaceName>,
    /// Plural name.
    pub resource: String,
    /// Object.
    pub name: Option<String>,
    /// Part of the object.
    pub subresource: Option<String>,
}

impl Resource {
    /// Whether the path is about Namespace objects, not about things inside one.
    #[must_use]
    pub fn is_namespaces(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces" && self.namespace.is_none()
    }

    /// What the path connects to; none if it is answered, as most are.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        match (self.group.as_str(), self.resource.as_str()) {
            ("", "pods") => match self.subresource.as_deref()? {
                "exec" => Some(Connection::Exec),
                "attach" => Some(Connection::Attach),
                "portforward" => Some(Connection::PortForward),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// If Kubernetes could read it otherwise than it looks (escapes, empty or dot segments, the
    /// legacy `watch` and `proxy` prefixes), or it has no form that Kubernetes knows.
    pub fn parse(path: &str) -> Result<Self, Denial> {
        let Some(rest) = path.strip_prefix('/') else {
            return Err(Denial::bad_request(
                "the request target must start with `/`",
            ));
        };
        if let Some(bad) = path
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "/-._:".contains(*c)))
        {
            return Err(Denial::bad_request(format!(
                "the path holds {bad:?}: expected letters, digits and `/`, `-`, `.`, `_`, `:`, without escapes"
            )));
        }
        let (rest, slash) = rest.strip_suffix('/').map_or((rest, false), |r| (r, true));
        let segments: Vec<&str> = rest.split('/').collect();
        if segments.iter().any(|s| s.is_empty()) {
            return Err(match path {
                "/" => Denial::no_such_resource(),
                _ => Denial::bad_request("the path holds an empty segment (`//`)"),
            });
        }
        if segments.iter().any(|s| matches!(*s, "." | "..")) {
            return Err(Denial::bad_request(
                "the path holds a dot segment (`.` or `..`)",
            ));
        }
        let parsed = Self::of_segments(&segments)?;
        match parsed {
            // Some clients ask for documents so; a resource has one spelling.
            Self::Resource(_) if slash => Err(Denial::bad_request(
                "the path of a resource must not end with `/`",
            )),
            parsed => Ok(parsed),
        }
    }

    fn of_segments(segments: &[&str]) -> Result<Self, Denial> {
        let document = match segments {
            ["api"] => Document::CoreVersions,
            ["api", version] => Document::GroupVersion {
                group: String::new(),
                version: version_name(version)?,
            },
            ["apis"] => Document::Groups,
            ["apis", group] => Document::Group(group_name(group)?),
            ["apis", group, version] => Document::GroupVersion {
                group: group_name(group)?,
                version: version_name(version)?,
            },
            ["openapi", "v2"] => Document::OpenApiV2,
            ["openapi", "v3"] => Document::OpenApiV3(None),
            ["openapi", "v3", below @ ..] => Document::OpenApiV3(Some(openapi_name(below)?)),
            ["version"] => Document::Version,
            ["healthz"] => Document::Health(Probe::Healthz),
            ["livez"] => Document::Health(Probe::Livez),
            ["readyz"] => Document::Health(Probe::Readyz),
            ["api", version, rest @ ..] => {
                return resource(String::new(), version_name(version)?, rest).map(Self::Resource);
            }
            ["apis", group, version, rest @ ..] => {
                return resource(group_name(group)?, version_name(version)?, rest)
                    .map(Self::Resource);
            }
            _ => return Err(Denial::no_such_resource()),
        };
        Ok(Self::Document(document))
    }
}

fn resource(group: String, version: String, segments: &[&str]) -> Result<Resource, Denial> {
    if let ["watch" | "proxy", ..] = segments {
        return Err(Denial::bad_request(
            "the legacy `watch/` and `proxy/` paths are not served: use the query `watch=true`",
        ));
    }
    let (namespace, rest) = match segments {
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
            if let [_, name, ..] = segments {
                namespace_name(name)?;
            }
            (None, segments)
        }
        ["namespaces", _, "status" | "finalize", ..] => return Err(Denial::no_such_resource()),
        ["namespaces", namespace, rest @ ..] => (Some(namespace_name(namespace)?), rest),
        rest => (None, rest),
    };
    let (kind, name, subresource) = match rest {
        [kind] => (kind, None, None),
        [kind, name] => (kind, Some(name), None),
        [kind, name, subresource] => (kind, Some(name), Some(subresource)),
        [_, _, "proxy", ..] => {
            return Err(Denial::not_implemented(
                "the subresource `proxy` is not served by this gateway",
            ));
        }
        _ => return Err(Denial::no_such_resource()),
    };
    // In a namespace, these are parts of the Namespace itself, whatever the group: a list over all
    // namespaces of a kind that is called so would be made of requests for those.
    if ["status", "finalize"].contains(kind) {
        return Err(Denial::no_such_resource());
    }
    Ok(Resource {
        group,
        version,
        namespace,
        resource: label(kind, "resource")?,
        name: name.map(|n| object_name(n)).transpose()?,
        subresource: subresource.map(|s| label(s, "subresource")).transpose()?,
    })
}

fn namespace_name(s: &str) -> Result<NamespaceName, Denial> {
    NamespaceName::parse(s).map_err(|error| Denial::bad_request(error.to_string()))
}

fn group_name(s: &str) -> Result<String, Denial> {
    if is_subdomain(s) {
        return Ok(s.to_owned());
    }
    Err(Denial::bad_request(format!(
        "`{s}` is not an API group: expected lower case, such as `apps`"
    )))
}

fn version_name(s: &str) -> Result<String, Denial> {
    label(s, "API version")
}

fn label(s: &str, what: &str) -> Result<String, Denial> {
    // INVARIANT: such names are DNS labels in Kubernetes, the rule that namespaces follow.
    if NamespaceName::parse(s).is_ok() {
        return Ok(s.to_owned());
    }
    Err(Denial::bad_request(format!(
        "`{s}` is not the name of a {what}: expected lower case letters, digits and `-`"
    )))
}

fn object_name(s: &str) -> Result<String, Denial> {
    if s.len() <= 253 {
        return Ok(s.to_owned());
    }
    Err(Denial::bad_request(
        "the name in the path is longer than 253 characters",
    ))
}

fn openapi_name(segments: &[&str]) -> Result<String, Denial> {
    match segments {
        ["version" | "api" | "apis"] => {}
        ["api", version] => drop(version_name(version)?),
        ["apis", group] => drop(group_name(group)?),
        ["apis", group, version] => {
            group_name(group)?;
            version_name(version)?;
        }
        _ => return Err(Denial::no_such_resource()),
    }
    Ok(segments.join("/"))
}

/// RFC 1123 subdomain.
pub(crate) fn is_subdomain(s: &str) -> bool {
    s.len() <= 253 && s.split('.').all(|part| NamespaceName::parse(part).is_ok())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(document) => document.fmt(f),
            Self::Resource(resource) => resource.fmt(f),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CoreVersions => f.write_str("/api"),
            Self::Groups => f.write_str("/apis"),
            Self::Group(group) => write!(f, "/apis/{group}"),
            Self::GroupVersion { group, version } => root(f, group, version),
            Self::OpenApiV2 => f.write_str("/openapi/v2"),
            Self::OpenApiV3(None) => f.write_str("/openapi/v3"),
            Self::OpenApiV3(Some(name)) => write!(f, "/openapi/v3/{name}"),
            Self::Version => f.write_str("/version"),
            Self::Health(Probe::Healthz) => f.write_str("/healthz"),
            Self::Health(Probe::Livez) => f.write_str("/livez"),
            Self::Health(Probe::Readyz) => f.write_str("/readyz"),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        root(f, &self.group, &self.version)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "/namespaces/{namespace}")?;
        }
        write!(f, "/{}", self.resource)?;
        for part in [&self.name, &self.subresource].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

fn root(f: &mut fmt::Formatter<'_>, group: &str, version: &str) -> fmt::Result {
    match group {
        "" => write!(f, "/api/{version}"),
        group => write!(f, "/apis/{group}/{version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource_of(path: &str) -> Resource {
        match Path::parse(path).unwrap() {
            Path::Resource(resource) => resource,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn resources_are_read_as_kubernetes_reads_them() {
        for (path, namespace, resource, name, subresource) in [
            ("/api/v1/pods", None, "pods", None, None),
            ("/api/v1/namespaces", None, "namespaces", None, None),
            ("/api/v1/namespaces/a", None, "namespaces", Some("a"), None),
            (
                "/api/v1/namespaces/a/status",
                None,
                "namespaces",
                Some("a"),
                Some("status"),
            ),
            (
                "/api/v1/namespaces/a/finalize",
                None,
                "namespaces",
                Some("a"),
                Some("finalize"),
            ),
            ("/api/v1/namespaces/a/pods", Some("a"), "pods", None, None),
            (
                "/api/v1/namespaces/a/pods/p",
                Some("a"),
                "pods",
                Some("p"),
                None,
            ),
            (
                "/api/v1/namespaces/a/pods/p/log",
                Some("a"),
                "pods",
                Some("p"),
                Some("log"),
            ),
            (
                "/api/v1/namespaces/a/pods/P.q:r_s",
                Some("a"),
                "pods",
                Some("P.q:r_s"),
                None,
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                Some("a"),
                "deployments",
                Some("d"),
                Some("scale"),
            ),
            ("/api/v1/nodes/n", None, "nodes", Some("n"), None),
            // The namespace of this name, and the kind of it in a namespace called `namespaces`.
            (
                "/api/v1/namespaces/watch",
                None,
                "namespaces",
                Some("watch"),
                None,
            ),
            (
                "/api/v1/namespaces/namespaces/pods",
                Some("namespaces"),
                "pods",
                None,
                None,
            ),
        ] {
            let got = resource_of(path);
            assert_eq!(
                got.namespace.as_ref().map(NamespaceName::as_str),
                namespace,
                "{path}"
            );
            assert_eq!(
                (
                    got.resource.as_str(),
                    got.name.as_deref(),
                    got.subresource.as_deref()
                ),
                (resource, name, subresource),
                "{path}"
            );
            assert_eq!(got.to_string(), path);
        }
    }

    #[test]
    fn documents_are_read_with_and_without_a_slash_at_the_end() {
        for path in [
            "/api",
            "/apis",
            "/apis/apps",
            "/api/v1",
            "/apis/apps/v1",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/api/v1",
            "/openapi/v3/apis/apps/v1",
            "/version",
            "/healthz",
            "/livez",
            "/readyz",
        ] {
            let parsed = Path::parse(path).unwrap();
            assert!(matches!(parsed, Path::Document(_)), "{path}");
            assert_eq!(parsed.to_string(), path);
            assert_eq!(Path::parse(&format!("{path}/")).unwrap(), parsed);
        }
    }

    #[test]
    fn whatever_can_be_read_in_two_ways_is_refused() {
        let long = format!("/api/v1/namespaces/a/pods/{}", "x".repeat(254));
        for (path, status) in [
            ("", 400),
            ("*", 400),
            ("/", 404),
            ("//", 400),
            ("//api", 400),
            ("/api//v1", 400),
            ("/api/v1/namespaces//pods", 400),
            ("/api/v1/watch/namespaces//pods", 400),
            ("/api/v1/namespaces/a//pods", 400),
            ("/api/v1/namespaces/a/pods//", 400),
            ("/api/v1/namespaces/a/pods/", 400),
            ("/api/v1/namespaces/a/../b/pods", 400),
            ("/api/v1/namespaces/./pods", 400),
            ("/api/v1/namespaces/a/pods/..", 400),
            ("/%61pi", 400),
            ("/api/v1/namespaces/a%2fb/pods", 400),
            ("/api/v1/namespaces/a/pods/%zz", 400),
            ("/api/v1/namespaces/a/pods/x\0", 400),
            ("/api/v1/namespaces/a/pods/x\n", 400),
            ("/api/v1/namespaces/a/pods/x;y", 400),
            ("/api/v1/namespaces/a/pods/x#y", 400),
            ("/api/v1/namespaces/a\\b/pods", 400),
            ("/api/v1/namespaces/a/pods/ä", 400),
            ("/api/v1/namespaces/a/pods/x y", 400),
            ("/api/v1/namespaces/A/pods", 400),
            ("/api/v1/Namespaces/a/pods", 400),
            ("/API/v1/pods", 404),
            ("/api/V1/pods", 400),
            ("/apis/Apps/v1/deployments", 400),
            ("/api/v1/namespaces/a/Pods", 400),
            ("/api/v1/namespaces/a/pods/x/Log", 400),
            ("/api/v1/watch/pods", 400),
            ("/api/v1/watch", 400),
            ("/apis/apps/v1/watch/namespaces/a/deployments", 400),
            ("/api/v1/proxy/namespaces/a/pods/x", 400),
            ("/api/v1/namespaces/a/pods/x/proxy/y/z", 501),
            ("/api/v1/namespaces/a/pods/x/log/y", 404),
            ("/api/v1/namespaces/a/status/y", 404),
            ("/openapi", 404),
            ("/openapi/v3/apis/a/b/c", 404),
            ("/metrics", 404),
            ("/logs", 404),
            ("/debug/pprof", 404),
            ("/.well-known/openid-configuration", 404),
            ("/healthz/etcd", 404),
            ("/version/x", 404),
            (long.as_str(), 400),
        ] {
            match Path::parse(path) {
                Err(denial) => assert_eq!(denial.status, status, "{path}"),
                Ok(parsed) => panic!("{path} was read as {parsed:?}"),
            }
        }
    }
}
