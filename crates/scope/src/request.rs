//! A request as typed values, and its target printed from them.

use std::fmt;

use crate::denial::Denial;
use crate::path::{Connection, Document, Path, Resource};
use crate::query::{Operation, Query};
use crate::served::NOT_CARRIED;

/// A command that is run in a container travels in the target; nothing else of a real client's comes
/// near this. Upstream refuses at about a mebibyte.
const MAX_TARGET: usize = 24 * 1024;

/// What is asked, as Kubernetes' authorizers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object, or a document.
    Get,
    /// A collection.
    List,
    /// A collection's changes.
    Watch,
    /// A new object, or a subresource that is created.
    Create,
    /// An object replaced.
    Update,
    /// An object changed in parts.
    Patch,
    /// An object removed.
    Delete,
    /// Many objects removed.
    DeleteCollection,
}

impl Verb {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];

    /// The verb that RBAC writes so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }

    /// The verb as RBAC writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Get | Self::List | Self::Watch => "GET",
            Self::Create => "POST",
            Self::Update => "PUT",
            Self::Patch => "PATCH",
            Self::Delete | Self::DeleteCollection => "DELETE",
        }
    }

    /// Whether something may change by it.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that has one reading only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    verb: Verb,
    path: Path,
    query: Query,
}

/// Reads a request's method and raw target.
///
/// # Errors
/// 400 if the target could be read in two ways or holds what Kubernetes does not know there, 404
/// if it names nothing that this gateway serves, 405 if the method has no meaning there, 414 if
/// it is too long, 501 for what Kubernetes has and this gateway has not.
pub fn parse(method: &str, target: &str) -> Result<ApiRequest, Denial> {
    if target.len() > MAX_TARGET {
        return Err(Denial::target_too_long(format!(
            "the request target has {} bytes: at most {MAX_TARGET} are taken",
            target.len()
        )));
    }
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(p, q)| (p, Some(q)));
    let path = Path::parse(path)?;
    let (verb, operation) = match &path {
        Path::Document(document) if method == "GET" => (
            Verb::Get,
            match document {
                Document::OpenApiV3(Some(_)) => Operation::OpenApiV3,
                _ => Operation::Document,
            },
        ),
        Path::Document(_) => {
            return Err(Denial::method_not_allowed(format!(
                "{path} is only there to GET"
            )));
        }
        Path::Resource(resource) => verb_of(method, resource)?,
    };
    let query = match &path {
        // Refused whatever the query says, in words of its own, so it is not read.
        Path::Resource(Resource {
            subresource: Some(name),
            ..
        }) if NOT_CARRIED.contains(&name.as_str()) => Query::default(),
        _ => Query::parse(query, operation)?,
    };
    let verb = if verb == Verb::List && query.watch() {
        Verb::Watch
    } else {
        verb
    };
    Ok(ApiRequest { verb, path, query })
}

pub(crate) fn verb_of(method: &str, resource: &Resource) -> Result<(Verb, Operation), Denial> {
    let named = resource.name.is_some();
    if let Some(connection) = resource.connection() {
        let verb = match method {
            "GET" => Verb::Get,
            "POST" => Verb::Create,
            _ => {
                return Err(Denial::method_not_allowed(
                    "a connection is opened by GET or POST",
                ));
            }
        };
        let operation = match connection {
            Connection::Exec => Operation::Exec,
            Connection::Attach => Operation::Attach,
            Connection::PortForward => Operation::PortForward,
        };
        return Ok((verb, operation));
    }
    Ok(match (method, named) {
        ("GET", true) if resource.subresource.as_deref() == Some("log") => {
            (Verb::Get, Operation::Log)
        }
        ("GET", true) => (Verb::Get, Operation::Get),
        ("GET", false) => (Verb::List, Operation::List),
        ("POST", false) => (Verb::Create, Operation::Create),
        ("POST", true) if resource.subresource.is_some() => (Verb::Create, Operation::Create),
        ("PUT", true) => (Verb::Update, Operation::Update),
        ("PATCH", true) => (Verb::Patch, Operation::Patch),
        ("DELETE", true) => (Verb::Delete, Operation::Delete),
        ("DELETE", false) => (Verb::DeleteCollection, Operation::DeleteCollection),
        ("POST" | "PUT" | "PATCH", _) => {
            let thing = if named { "an object" } else { "a collection" };
            return Err(Denial::method_not_allowed(format!(
                "{method} has no meaning for {thing}"
            )));
        }
        _ => {
            return Err(Denial::method_not_allowed(
                "the method must be GET, POST, PUT, PATCH or DELETE",
            ));
        }
    })
}

impl ApiRequest {
    /// What is asked.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// About what.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it connects to, for requests that change the protocol.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        match &self.path {
            Path::Resource(resource) => resource.connection(),
            Path::Document(_) => None,
        }
    }

    /// Whether something may change by it. A connection may change what it reaches, whatever its
    /// method.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.verb.writes() || self.connection().is_some()
    }

    /// With which parameters.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The request target, printed from the values above.
    #[must_use]
    pub fn target(&self) -> String {
        match self.query.encode() {
            query if query.is_empty() => self.path.to_string(),
            query => format!("{}?{query}", self.path),
        }
    }

    pub(crate) fn query_mut(&mut self) -> &mut Query {
        &mut self.query
    }

    /// A request of ours.
    pub(crate) fn of(verb: Verb, path: Path) -> Self {
        Self {
            verb,
            path,
            query: Query::default(),
        }
    }

    /// The same parameters for another verb and path.
    pub(crate) fn narrow(&mut self, verb: Verb, path: Path) {
        self.verb = verb;
        self.path = path;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn verbs_are_those_of_kubernetes() {
        for (method, target, verb) in [
            ("GET", "/api/v1/namespaces/a/pods", Verb::List),
            ("GET", "/api/v1/namespaces/a/pods?watch=0", Verb::List),
            ("GET", "/api/v1/namespaces/a/pods?watch=1", Verb::Watch),
            ("GET", "/api/v1/namespaces/a/pods/x", Verb::Get),
            (
                "GET",
                "/api/v1/namespaces/a/pods/x/log?follow=true",
                Verb::Get,
            ),
            ("POST", "/api/v1/namespaces/a/pods", Verb::Create),
            ("POST", "/api/v1/namespaces/a/pods/x/eviction", Verb::Create),
            ("PUT", "/api/v1/namespaces/a/pods/x", Verb::Update),
            ("PATCH", "/api/v1/namespaces/a/pods/x", Verb::Patch),
            ("DELETE", "/api/v1/namespaces/a/pods/x", Verb::Delete),
            (
                "DELETE",
                "/api/v1/namespaces/a/pods",
                Verb::DeleteCollection,
            ),
            ("GET", "/api/v1/namespaces/a", Verb::Get),
            ("GET", "/api/v1/namespaces", Verb::List),
            ("GET", "/version?timeout=32s", Verb::Get),
            ("GET", "/api/v1/namespaces/a/pods/x/exec", Verb::Get),
            ("POST", "/api/v1/namespaces/a/pods/x/attach", Verb::Create),
        ] {
            let request = parse(method, target).unwrap();
            assert_eq!(request.verb(), verb, "{method} {target}");
            assert_eq!(request.verb().method(), method);
        }
    }

    #[test]
    fn methods_without_a_meaning_are_refused() {
        for (method, target) in [
            ("HEAD", "/api/v1/namespaces/a/pods"),
            ("OPTIONS", "/api/v1/namespaces/a/pods"),
            ("TRACE", "/api/v1/namespaces/a/pods/x"),
            ("CONNECT", "/api/v1/namespaces/a/pods/x"),
            ("get", "/api/v1/namespaces/a/pods"),
            ("POST", "/api/v1/namespaces/a/pods/x"),
            ("PUT", "/api/v1/namespaces/a/pods"),
            ("PATCH", "/api/v1/namespaces/a/pods"),
            ("POST", "/version"),
            ("HEAD", "/api"),
        ] {
            assert_eq!(
                parse(method, target).unwrap_err().status,
                405,
                "{method} {target}"
            );
        }
    }

    #[test]
    fn other_forms_of_a_target_are_refused() {
        for target in [
            "*",
            "https://other/api/v1/pods",
            "other:443",
            "api/v1",
            "",
            "?watch=true",
        ] {
            assert_eq!(parse("GET", target).unwrap_err().status, 400, "{target}");
        }
        let long = format!("/api/v1/namespaces/a/pods?continue={}", "a".repeat(25_000));
        assert_eq!(parse("GET", &long).unwrap_err().status, 414);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(method in ".{0,8}", target in ".{0,64}") {
            let _ = parse(&method, &target);
        }

        #[test]
        fn what_is_printed_reads_the_same(
            method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
            path in prop::collection::vec(prop::sample::select(vec![
                "api", "apis", "v1", "apps", "namespaces", "acme-app", "globex-app", "pods", "log", "x", "watch",
                "openapi", "v3", "status", "", ".", "..", "%2f", "version",
            ]), 0..8),
            query in prop::collection::vec(prop::sample::select(vec![
                "watch=true", "watch=0", "labelSelector=a%3Db,c+in+(d)", "labelSelector=", "fieldSelector=a%3D%5C%2C",
                "limit=1", "dryRun=All", "follow=1", "fieldManager=a%20b", "timeout=1m2s", "force=true", "hash=AB",
            ]), 0..3),
        ) {
            let target = format!("/{}?{}", path.join("/"), query.join("&"));
            if let Ok(request) = parse(method, target.trim_end_matches('?')) {
                let again = parse(request.verb().method(), &request.target());
                prop_assert_eq!(again, Ok(request));
            }
        }
    }
}
