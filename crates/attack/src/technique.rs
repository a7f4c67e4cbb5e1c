//! What a technique is: a value that says what is sent, and why it must fail.

use std::borrow::Cow;
use std::fmt;

use crate::credential::Credential;
use crate::field::{Door, Field};
use crate::wire::{Request, Response};

/// The promise that a technique tries to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Theorem {
    /// No read or write of an API object that is not the tenant's.
    T1,
    /// No access to another's or the platform's pods, volumes, nodes, hosts.
    T2,
    /// No credential that is not the tenant's.
    T3,
    /// No request that is taken for another's.
    T4,
    /// No more than the tenant's limits.
    T5,
}

impl fmt::Display for Theorem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
            Self::T4 => "T4",
            Self::T5 => "T5",
        })
    }
}

/// What techniques have in common; the rows of the short table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Another tenant's objects.
    CrossTenant,
    /// Objects of the whole cluster.
    ClusterScope,
    /// Impersonation and forged identities.
    Identity,
    /// Certificates and tokens at doors that they are not for.
    Credentials,
    /// What makes a namespace a tenant's.
    Namespaces,
    /// Pods that reach for the node.
    Pods,
    /// Services and claims that reach for another's traffic or volumes.
    Services,
    /// Networks that reach further than the tenant's, and names of others.
    Network,
    /// Rights, tokens, roles of the cloud and owners of a tenant's choice.
    Grants,
    /// Status and bindings: what only the control plane may write.
    Status,
    /// Request targets that can be read in two ways.
    Targets,
    /// Bodies and heads that can be read in two ways, or are too large.
    Bodies,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CrossTenant => "cross-tenant access",
            Self::ClusterScope => "cluster-wide access",
            Self::Identity => "impersonation",
            Self::Credentials => "wrong credentials",
            Self::Namespaces => "namespace capture",
            Self::Pods => "dangerous pods",
            Self::Services => "services and claims",
            Self::Network => "networks and names",
            Self::Grants => "grants and tokens",
            Self::Status => "status and bindings",
            Self::Targets => "odd targets",
            Self::Bodies => "odd bodies and heads",
        })
    }
}

/// Who stops a technique. Each layer is recognised by the way in which it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A TLS alert.
    Tls,
    /// The reader of HTTP, which hangs up with a bare status: it knows no one to talk to.
    Http,
    /// The gateway.
    Gateway,
    /// The API server's authorizer.
    Rbac,
    /// A policy inside the API server.
    Guard,
    /// Our webhook.
    Webhook,
    /// Pod Security Admission.
    PodSecurity,
    /// The API server itself: authentication, routes, validation.
    ApiServer,
    /// Nobody: the request is answered, as the attacker and with the attacker's own things.
    Harmless,
}

/// One reason that may stop a technique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Who stops it.
    pub layer: Layer,
    /// The status code; 0 for a TLS alert.
    pub status: u16,
    /// What the message must contain. `{attacker}` and `{victim}` stand for the tenants' names,
    /// `{own}` and `{theirs}` for their namespaces.
    pub text: Cow<'static, str>,
    /// What the answer must not contain; empty for nothing.
    pub lacks: Cow<'static, str>,
}

impl Expected {
    /// A reason.
    pub fn new(layer: Layer, status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            layer,
            status,
            text: text.into(),
            lacks: "".into(),
        }
    }

    /// Adds what the answer must not contain.
    #[must_use]
    pub fn lacking(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lacks = text.into();
        self
    }

    /// Whether the answer shows this reason.
    #[must_use]
    pub fn explains(&self, response: &Response, door: Door, field: &Field) -> bool {
        let message = response.message();
        let lacks = field.fill(&self.lacks);
        response.status == self.status
            && self.layer == speaker(response, &message, door)
            && message.contains(&field.fill(&self.text))
            && (lacks.is_empty() || !response.text().contains(&lacks))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} `{}`", self.layer, self.status, self.text)
    }
}

/// Whose words an answer is made of. What comes through the gateway and is not in the words of
/// anybody behind it is the gateway's own.
pub(crate) fn speaker(response: &Response, message: &str, door: Door) -> Layer {
    let says = |text: &str| message.contains(text);
    let hangs_up = response
        .header("connection")
        .is_some_and(|c| c.eq_ignore_ascii_case("close"));
    if response.is_success() {
        Layer::Harmless
    } else if response.body.is_empty() && hangs_up {
        Layer::Http
    } else if says("admission webhook \"") || says("failed calling webhook \"") {
        Layer::Webhook
    } else if says("ValidatingAdmissionPolicy '") {
        Layer::Guard
    } else if says("violates PodSecurity \"") {
        Layer::PodSecurity
    } else if says(" is forbidden: User \"") || (says("forbidden: User \"") && says("cannot ")) {
        Layer::Rbac
    } else {
        match door {
            Door::Gateway => Layer::Gateway,
            Door::ApiServer => Layer::ApiServer,
        }
    }
}

/// One request of a technique.
pub struct Shot {
    /// Which door it is sent to.
    pub door: Door,
    /// Who sends it.
    pub credential: Credential,
    /// What is sent.
    pub request: Request,
}

/// What the administrator sees afterwards if the technique was stopped.
pub enum Truth {
    /// There is nothing at this path.
    Absent(String),
    /// What is at this path is as it was before, apart from its status and resource version.
    Same(String),
    /// What is at this path does not contain this text.
    Lacks(String, String),
}

/// What a technique does to a given field.
#[derive(Default)]
pub struct Attack {
    /// What is sent, in order. Each must be stopped.
    pub shots: Vec<Shot>,
    /// What must be true afterwards.
    pub truths: Vec<Truth>,
}

impl Attack {
    /// One request.
    #[must_use]
    pub fn shot(door: Door, credential: Credential, request: Request) -> Self {
        Self::default().then(door, credential, request)
    }

    /// One more request.
    #[must_use]
    pub fn then(mut self, door: Door, credential: Credential, request: Request) -> Self {
        self.shots.push(Shot {
            door,
            credential,
            request,
        });
        self
    }

    /// One more thing to look at afterwards.
    #[must_use]
    pub fn truth(mut self, truth: Truth) -> Self {
        self.truths.push(truth);
        self
    }
}

type Plan = Box<dyn Fn(&Field) -> Attack + Send + Sync>;

/// One attack.
pub struct Technique {
    /// Unique, in kebab case.
    pub name: String,
    /// What the attacker tries, one sentence.
    pub does: String,
    /// The promise that it tries to break.
    pub theorem: Theorem,
    /// The row of the short table.
    pub family: Family,
    /// The reasons that may stop it; any of them will do.
    pub stopped_by: Vec<Expected>,
    plan: Plan,
}

impl Technique {
    /// A technique whose requests depend on nothing but the names in the field.
    pub(crate) fn new(
        name: impl Into<String>,
        family: Family,
        theorem: Theorem,
        does: impl Into<String>,
        plan: impl Fn(&Field) -> Attack + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            does: does.into(),
            theorem,
            family,
            stopped_by: Vec::new(),
            plan: Box::new(plan),
        }
    }

    /// Adds a reason.
    #[must_use]
    pub(crate) fn stopped_by(mut self, expected: Expected) -> Self {
        self.stopped_by.push(expected);
        self
    }

    /// Who may stop it in the words of this control.
    pub fn stopped_for(&self, control: &str) -> impl Iterator<Item = Layer> {
        let says = move |expected: &&Expected| {
            let mut words = expected
                .text
                .split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            words.any(|word| word == control)
        };
        let refusals = self.stopped_by.iter().filter(says);
        refusals
            .map(|expected| expected.layer)
            .filter(|layer| *layer != Layer::Harmless)
    }

    /// What it does to this field.
    #[must_use]
    pub fn plan(&self, field: &Field) -> Attack {
        (self.plan)(field)
    }
}
