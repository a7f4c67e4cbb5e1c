//! What can go wrong between us and the API server: a variant per operation, its cause in
//! [`Failure`].

use std::path::PathBuf;

/// Why an operation on the cluster failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The kubeconfig cannot be used.
    #[error("cannot use kubeconfig `{}`", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The object is not one that can be named to the API server. Nothing was sent.
    #[error("not a Kubernetes object that can be sent: {problem}")]
    Object {
        /// What is missing or malformed.
        problem: String,
    },
    /// The API server does not serve the kind.
    #[error("the cluster serves no kind `{kind}` in `{api_version}`")]
    UnknownKind {
        /// The group and version that were looked through.
        api_version: String,
        /// The kind that was not found.
        kind: String,
    },
    /// Discovery failed, so the kind's path is unknown.
    #[error("cannot discover the resources of `{api_version}`")]
    Discover {
        /// The group and version that were asked for.
        api_version: String,
        /// Why.
        source: Failure,
    },
    /// Server-side apply failed.
    #[error("cannot apply {object}")]
    Apply {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Creating an object failed.
    #[error("cannot create {object}")]
    Create {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Reading an object failed.
    #[error("cannot get {object}")]
    Get {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Listing a kind failed.
    #[error("cannot list {kind}")]
    List {
        /// The kind.
        kind: String,
        /// Why.
        source: Failure,
    },
    /// Replacing an object failed.
    #[error("cannot replace {object}")]
    Replace {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Patching an object failed.
    #[error("cannot patch {object}")]
    Patch {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Deleting an object failed.
    #[error("cannot delete {object}")]
    Delete {
        /// Kind and name.
        object: String,
        /// Why.
        source: Failure,
    },
    /// Evicting a pod failed, for another reason than a budget.
    #[error("cannot evict {pod}")]
    Evict {
        /// Kind and name.
        pod: String,
        /// Why.
        source: Failure,
    },
    /// The API server did not review a token.
    #[error("cannot have a token reviewed")]
    ReviewToken {
        /// Why.
        source: Failure,
    },
    /// The API server did not say whether somebody has a right.
    #[error("cannot have a right reviewed")]
    ReviewAccess {
        /// Why.
        source: Failure,
    },
    /// A request could not be forwarded, or its answer broke off.
    #[error("cannot forward the request")]
    Forward {
        /// Why.
        source: Failure,
    },
}

/// Why one request to the API server failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The API server answered with an error.
    #[error("{message} ({code} {reason})")]
    Status {
        /// HTTP status code.
        code: u16,
        /// The `reason` of the Status object, such as `Conflict`; empty if there was none.
        reason: String,
        /// Its message.
        message: String,
    },
    /// No answer: connection, TLS, credential, or a broken stream.
    #[error("no answer from the API server")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("no answer from the API server within {seconds} s")]
    Timeout {
        /// How long we waited.
        seconds: u64,
    },
    /// This process does not lead, or does not any more. Nothing was sent.
    #[error("another process leads now")]
    NotLeading,
    /// The answer is not what the API says it should be.
    #[error("the API server's answer cannot be read: {problem}")]
    Answer {
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with a kubeconfig.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// It cannot be read, or its current context is incomplete.
    #[error("it cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It asks for something that would make our credential or identity unsafe.
    #[error("{0}")]
    Refused(&'static str),
    /// No client can be made of it.
    #[error("no client can be made of it")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClusterError {
    /// The cause, if a request was sent and failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Discover { source, .. }
            | Self::Apply { source, .. }
            | Self::Create { source, .. }
            | Self::Get { source, .. }
            | Self::List { source, .. }
            | Self::Patch { source, .. }
            | Self::Replace { source, .. }
            | Self::Delete { source, .. }
            | Self::Evict { source, .. }
            | Self::ReviewToken { source }
            | Self::ReviewAccess { source }
            | Self::Forward { source } => Some(source),
            Self::Kubeconfig { .. } | Self::Object { .. } | Self::UnknownKind { .. } => None,
        }
    }

    /// The HTTP status code, if the API server answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self.failure()? {
            Failure::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The `reason` of the API server's Status, such as `AlreadyExists`.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self.failure()? {
            Failure::Status { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether the object, or its kind, does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the object is not in the state that the request presumed. An object that exists
    /// already is no conflict ([`Self::is_already_exists`]).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// Whether an object of that name exists.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Some("AlreadyExists")
    }

    /// Whether authorization or admission refused.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The error and all its causes on one line, for a log or a condition's message.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
