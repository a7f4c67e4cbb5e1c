//! Every rule that a file is held to: the controls, and what is about files themselves.

use bulkhead_controls::{REGISTRY, Severity as Grade};
use bulkhead_manifests::ProblemKind;
use bulkhead_report::{Rule, Severity};

/// A rule that is no control.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    pub(crate) mend: &'static str,
}

pub(crate) const UNREADABLE: Own = Own {
    name: "unreadable-file",
    why: "what cannot be read cannot be judged",
    mend: "make it readable, as UTF-8, or leave it out",
};

pub(crate) const MALFORMED: Own = Own {
    name: "malformed-object",
    why: "an object of another shape than its kind's is refused by the API server, and no rule can judge it",
    mend: "give the field the type that its kind has there",
};

pub(crate) const UNKNOWN_WORKLOAD: Own = Own {
    name: "unknown-workload",
    why: "a kind that no rule knows carries a pod template, and whatever its controller makes of it is judged only at admission",
    mend: "check the objects that its controller makes",
};

pub(crate) const ALLOW_MALFORMED: Own = Own {
    name: "allow-malformed",
    why: "a comment to Bulkhead that it does not understand allows nothing",
    mend: "write `# bulkhead: allow NAME -- reason`",
};

pub(crate) const ALLOW_WITHOUT_REASON: Own = Own {
    name: "allow-without-reason",
    why: "who reads it later cannot tell whether it still holds",
    mend: "write why, after ` -- `",
};

pub(crate) const ALLOW_OF_NOTHING: Own = Own {
    name: "allow-of-nothing",
    why: "an exception that nothing needs would let the next mistake through",
    mend: "remove it",
};

pub(crate) const POD_SECURITY_POLICY: Own = Own {
    name: "pod-security-policy",
    why: "no PodSecurityPolicy of those that were named admits the pod",
    mend: "make the pod fit one of the policies, or write a policy that it fits",
};

pub(crate) const REGO_POLICY: Own = Own {
    name: "rego-policy",
    why: "a policy in Rego of those that were named has something against the object",
    mend: "change the object as the policy's message says",
};

const OWN: [Own; 8] = [
    UNREADABLE,
    MALFORMED,
    UNKNOWN_WORKLOAD,
    ALLOW_MALFORMED,
    ALLOW_WITHOUT_REASON,
    ALLOW_OF_NOTHING,
    POD_SECURITY_POLICY,
    REGO_POLICY,
];

pub(crate) fn mend_of(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Syntax => "correct the line",
        ProblemKind::DuplicateKey => "keep one of them",
        ProblemKind::TooLarge => "take it apart",
        ProblemKind::AmbiguousScalar => {
            "write `true`, `false` or a plain decimal number, or put quotes around it"
        }
    }
}

pub(crate) fn severity(grade: Grade) -> Severity {
    match grade {
        Grade::Medium => Severity::Medium,
        Grade::High => Severity::High,
        Grade::Critical => Severity::Critical,
    }
}

/// Every rule: the controls in the guide's order, then the rest.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let controls = REGISTRY.iter().map(|control| Rule {
        name: control.name,
        severity: Some(severity(control.severity)),
        why: control.why,
        mend: control.remedy,
        page: control.page.to_owned(),
    });
    let plain = |name, why, mend| Rule {
        name,
        severity: None,
        why,
        mend,
        page: format!("# {name}\n\nBecause {why}.\n\nMend: {mend}.\n"),
    };
    let problems = ProblemKind::ALL
        .into_iter()
        .map(|kind| plain(kind.name(), kind.why(), mend_of(kind)));
    let own = OWN
        .into_iter()
        .map(|own| plain(own.name, own.why, own.mend));
    controls.chain(problems).chain(own).collect()
}

/// Whether some rule has this name.
#[must_use]
pub fn is_rule(name: &str) -> bool {
    REGISTRY.iter().any(|control| control.name == name)
        || ProblemKind::ALL.into_iter().any(|kind| kind.name() == name)
        || OWN.into_iter().any(|own| own.name == name)
}
