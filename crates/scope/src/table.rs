//! What becomes of each request: the table that `docs/gateway.md` prints. Tests hold it against the
//! decision itself, and against everything that a live API server serves.

use std::fmt::{self, Write as _};

use crate::request::Verb;
use crate::served;
use crate::sight;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Part of the object.
    pub subresource: Option<&'a str>,
    /// What is asked.
    pub verb: Verb,
    /// Where.
    pub place: Place,
}

/// The namespace that a path goes through, or that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// One of the caller's tenants' own.
    Own,
    /// Any other, whether it exists or not.
    Others,
    /// None.
    Nowhere,
}

/// What the gateway does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It goes to the API server, which decides by the rights of the caller's role.
    Passed,
    /// The answer is made of what is the caller's own.
    Narrowed,
    /// The gateway works the answer out.
    Computed,
    /// It is refused with this status.
    Refused(u16),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Narrowed => f.write_str("narrowed"),
            Self::Computed => f.write_str("computed"),
            Self::Refused(status) => write!(f, "refused ({status})"),
        }
    }
}

/// A row of the table.
pub struct Row {
    /// The paths, as people read them.
    pub paths: &'static str,
    /// The verbs.
    pub verbs: &'static str,
    /// What becomes of it.
    pub answer: Answer,
    /// How, or why.
    pub how: &'static str,
    is: fn(&Subject<'_>) -> bool,
}

const READS: [Verb; 3] = [Verb::Get, Verb::List, Verb::Watch];
const LISTS: [Verb; 2] = [Verb::List, Verb::Watch];

fn namespaces(s: &Subject<'_>) -> bool {
    s.group.is_empty() && s.resource == "namespaces"
}

fn cluster_scoped(s: &Subject<'_>) -> bool {
    served::is_cluster_kind(s.group, s.resource)
}

fn shared(s: &Subject<'_>) -> bool {
    s.subresource.is_none() && is_shared(s.group, s.resource)
}

/// Whether tenants see a part of a kind of the cluster's.
#[must_use]
pub fn is_shared(group: &str, resource: &str) -> bool {
    sight::is_shared(group, resource)
}

fn review(s: &Subject<'_>, kind: &str) -> bool {
    s.resource == kind && s.group.ends_with(".k8s.io") && s.place == Place::Nowhere
}

/// The rows; the first that fits says what happens.
pub const ROWS: &[Row] = &[
    Row {
        paths: "anything in a namespace of others, and that namespace itself",
        verbs: "all",
        answer: Answer::Refused(404),
        how: "what is another's does not exist: `namespaces \"N\" not found`, the same as for a name that nobody has",
        is: |s| s.place == Place::Others,
    },
    Row {
        paths: "`/api/v1/namespaces`",
        verbs: "list, watch",
        answer: Answer::Narrowed,
        how: "the namespaces of one's tenants, by a label selector that the client's own narrows further",
        is: |s| namespaces(s) && s.place == Place::Nowhere && LISTS.contains(&s.verb),
    },
    Row {
        paths: "`/api/v1/namespaces`",
        verbs: "create",
        answer: Answer::Passed,
        how: "for the role `admin`, with the tenant's prefix; tenant, UID and prefix are stamped on it",
        is: |s| namespaces(s) && s.place == Place::Nowhere && s.verb == Verb::Create,
    },
    Row {
        paths: "`/api/v1/namespaces`",
        verbs: "deletecollection",
        answer: Answer::Refused(405),
        how: "namespaces are deleted one by one",
        is: |s| namespaces(s) && s.place == Place::Nowhere,
    },
    Row {
        paths: "`SelfSubjectReview`",
        verbs: "create",
        answer: Answer::Computed,
        how: "names the person, and the users that stand for it at the API server (`kubectl auth whoami`)",
        is: |s| review(s, "selfsubjectreviews"),
    },
    Row {
        paths: "`SelfSubjectAccessReview`",
        verbs: "create",
        answer: Answer::Computed,
        how: "asked of the API server for the namespace that it names; for none, a `list` or `watch` of a kind in namespaces is allowed if it is in one of the own; what the gateway refuses is not allowed",
        is: |s| review(s, "selfsubjectaccessreviews"),
    },
    Row {
        paths: "`SelfSubjectRulesReview`",
        verbs: "create",
        answer: Answer::Computed,
        how: "asked of the API server for one's own namespace that it names, without what the gateway refuses (`kubectl auth can-i --list`)",
        is: |s| review(s, "selfsubjectrulesreviews"),
    },
    Row {
        paths: "`/…/namespaces/OWN/bindings`",
        verbs: "all",
        answer: Answer::Refused(403),
        how: "only the scheduler binds pods to nodes",
        is: |s| s.place == Place::Own && s.group.is_empty() && s.resource == "bindings",
    },
    Row {
        paths: "`/…/namespaces/OWN/KIND/NAME/SUBRESOURCE`, of those listed below",
        verbs: "as listed",
        answer: Answer::Passed,
        how: "the API server decides by the role's rights in that namespace",
        is: |s| {
            s.place == Place::Own && s.subresource.is_some_and(|sub| served::takes(sub, s.verb))
        },
    },
    Row {
        paths: "`/…/namespaces/OWN/KIND/NAME/SUBRESOURCE`, of those listed below",
        verbs: "others",
        answer: Answer::Refused(405),
        how: "the subresource does not take the verb",
        is: |s| s.place == Place::Own && s.subresource.is_some_and(served::carries),
    },
    Row {
        paths: "`/…/namespaces/OWN/KIND/NAME/SUBRESOURCE`, of those that are not carried, listed below",
        verbs: "all",
        answer: Answer::Refused(501),
        how: "the gateway does not carry them; a proxy reaches any port, and other hosts by redirection",
        is: |s| s.place == Place::Own && s.subresource.is_some_and(served::is_not_carried),
    },
    Row {
        paths: "`/…/namespaces/OWN/KIND/NAME/SUBRESOURCE`, all others, `status` among them",
        verbs: "all",
        answer: Answer::Refused(403),
        how: "written and read by the platform's own components; the status stands in the object",
        is: |s| s.place == Place::Own && s.subresource.is_some(),
    },
    Row {
        paths: "`/api/v1/namespaces/OWN`",
        verbs: "get, update, patch, delete",
        answer: Answer::Passed,
        how: "the API server decides by the role's rights in it; guards keep the labels and annotations that make it the tenant's",
        is: |s| s.place == Place::Own && namespaces(s),
    },
    Row {
        paths: "`/…/namespaces/OWN/KIND`, `/…/namespaces/OWN/KIND/NAME`",
        verbs: "all",
        answer: Answer::Passed,
        how: "the API server decides by the role's rights in that namespace; bodies are judged first by the controls that admission uses; `metadata.namespace` must agree",
        is: |s| s.place == Place::Own,
    },
    Row {
        paths: "`/…/KIND`, of a kind in namespaces",
        verbs: "list, watch",
        answer: Answer::Narrowed,
        how: "all namespaces of one's tenants as one list of one state, each under its own tenant's user (below)",
        is: |s| !cluster_scoped(s) && s.subresource.is_none() && LISTS.contains(&s.verb),
    },
    Row {
        paths: "`/…/KIND` and `/…/KIND/NAME` of the kinds of the cluster that are listed below",
        verbs: "get, list, watch",
        answer: Answer::Narrowed,
        how: "what the caller's tenants may use of it, read by the gateway itself, as one page; what they may not use does not exist",
        is: |s| shared(s) && READS.contains(&s.verb),
    },
    Row {
        paths: "`/…/KIND` and `/…/KIND/NAME` of the kinds of the cluster that are listed below",
        verbs: "others",
        answer: Answer::Refused(403),
        how: "they are the platform's",
        is: shared,
    },
    Row {
        paths: "everything else outside namespaces: volumes, other classes, roles of the cluster, Tenants, …",
        verbs: "all",
        answer: Answer::Refused(404),
        how: "does not exist for a tenant",
        is: |_| true,
    },
];

/// The row that says what becomes of a request.
#[must_use]
pub fn row(subject: &Subject<'_>) -> Option<&'static Row> {
    ROWS.iter().find(|row| (row.is)(subject))
}

/// The table and what belongs to it, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| path | verbs | answer | how |\n|---|---|---|---|\n");
    for row in ROWS {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            row.paths, row.verbs, row.answer, row.how
        );
    }
    out.push_str("\nSubresources that are open, and the verbs that they take:\n\n");
    for (name, verbs) in served::subresources() {
        let verbs: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
        let _ = writeln!(out, "- `{name}`: {}", verbs.join(", "));
    }
    out.push_str("\nKinds of the cluster of which tenants see a part:\n\n");
    for (group, name, shown) in sight::kinds() {
        let dot = if group.is_empty() { "" } else { "." };
        let _ = writeln!(out, "- `{name}{dot}{group}`: {shown}");
    }
    let _ = writeln!(
        out,
        "\nNot carried: `{}`.",
        served::NOT_CARRIED.join("`, `")
    );
    out
}

#[cfg(test)]
mod tests;
