//! The admission plugin: which policy a pod is held to, and what comes of it.

use std::fmt;

use crate::change::{Change, changes};
use crate::checks::{errors, fits, refuses_at_once};
use crate::draft::Draft;
use crate::field::FieldError;
use crate::pod::Pod;
use crate::policy::PodSecurityPolicy;
use crate::rules::Rules;
use crate::skew::fields;

/// All policies of a cluster.
// INVARIANT: sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    rules: Vec<Rules>,
    unusable: Vec<Unusable>,
}

/// A policy that no pod can be held to, so that it is as if it were not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The policy's name.
    pub name: String,
    /// Why, in the original's words.
    pub reasons: Vec<String>,
}

/// Whether the pod's ServiceAccount, or who makes the pod, has the verb `use` on a policy of this
/// name, in the pod's namespace. `None` if that is not known yet.
pub type MayUse<'f> = &'f dyn Fn(&str) -> Option<bool>;

/// What comes of a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It may be.
    Admitted(Admitted),
    /// It may not be.
    Denied(Denied),
    /// Whether these policies may be used must be known first. Ask again then.
    Ask(Vec<String>),
}

/// By which policy a pod is admitted, and how it changes the pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// The policy's name.
    pub policy: String,
    /// What is set in the pod, the annotation with the policy's name included. None in the pass
    /// that only validates.
    pub changes: Vec<Change>,
    /// What the original set in annotations that nobody reads today, set in the fields that came
    /// after it. To be done after `changes`.
    pub fields: Vec<Change>,
}

/// Why a pod is admitted by no policy. It prints as the original's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// There is no policy that a pod can be held to.
    NoPolicies,
    /// No policy fits that may be used.
    Refused {
        /// Whether in the pass that may mutate.
        admit: bool,
        /// What is wrong by each policy that may be used, in the order in which they were tried.
        by: Vec<(String, Vec<FieldError>)>,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicies => {
                f.write_str("PodSecurityPolicy: no providers available to validate pod request")
            }
            Self::Refused { admit, by } => {
                let pass = if *admit { "admit" } else { "validate" };
                write!(f, "PodSecurityPolicy: unable to {pass} pod: [")?;
                let errors = by.iter().flat_map(|(_, errors)| errors);
                for (index, error) in errors.enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{error}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl Policies {
    /// Makes policies ready. Those that no pod can be held to are left out.
    #[must_use]
    pub fn new<'p>(policies: impl IntoIterator<Item = &'p PodSecurityPolicy>) -> Self {
        let mut all = Self::default();
        for policy in policies {
            match Rules::of(policy) {
                Ok(rules) => all.rules.push(rules),
                Err(reasons) => all.unusable.push(Unusable {
                    name: policy.name.clone(),
                    reasons,
                }),
            }
        }
        all.rules.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The policies that were left out.
    #[must_use]
    pub fn unusable(&self) -> &[Unusable] {
        &self.unusable
    }

    /// The names of the policies that pods can be held to, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rules| rules.name.as_str())
    }

    /// Whether there is none at all, not even one that was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.unusable.is_empty()
    }

    /// The pass in which a new pod is mutated. The first policy that fits the pod as it is wins;
    /// else the first that fits it mutated.
    #[must_use]
    pub fn admit(&self, pod: &Pod<'_>, may_use: MayUse<'_>) -> Verdict {
        self.decide(pod, true, self.rules.iter().collect(), may_use)
    }

    /// The pass in which a pod is only validated. The policy by which it was admitted is tried
    /// first; one that would mutate it does not fit.
    #[must_use]
    pub fn validate(&self, pod: &Pod<'_>, may_use: MayUse<'_>) -> Verdict {
        let hint = pod.admitted_by().unwrap_or_default();
        let mut order: Vec<&Rules> = self.rules.iter().collect();
        order.sort_by_key(|rules| rules.name != hint);
        self.decide(pod, false, order, may_use)
    }

    /// What is wrong with a pod by one policy, and whether that policy would mutate it. For those
    /// who compare policies; admission asks all of them.
    #[must_use]
    pub fn by_policy(&self, name: &str, pod: &Pod<'_>) -> Option<(Vec<FieldError>, bool)> {
        let rules = self.rules.iter().find(|rules| rules.name == name)?;
        let draft = Draft::of(pod, rules);
        Some((errors(pod, &draft, rules), draft.mutated))
    }

    fn decide(
        &self,
        pod: &Pod<'_>,
        admit: bool,
        order: Vec<&Rules>,
        may_use: MayUse<'_>,
    ) -> Verdict {
        if order.is_empty() {
            return Verdict::Denied(Denied::NoPolicies);
        }
        let mut unknown = Vec::new();
        let mut failed = Vec::new();
        let mut first_mutating = None;
        for rules in order {
            if refuses_at_once(pod, rules) {
                failed.push(rules);
                continue;
            }
            let draft = Draft::of(pod, rules);
            if !fits(pod, &draft, rules) {
                failed.push(rules);
                continue;
            }
            if draft.mutated && (!admit || first_mutating.is_some()) {
                continue;
            }
            match may_use(&rules.name) {
                Some(false) => {}
                None => unknown.push(rules.name.clone()),
                // Whether an earlier one may be used is not known, and it would go first.
                Some(true) if !unknown.is_empty() => {}
                Some(true) if draft.mutated => first_mutating = Some((rules, draft)),
                Some(true) => return admitted(pod, rules, admit.then_some(&draft)),
            }
        }
        if !unknown.is_empty() {
            return Verdict::Ask(unknown);
        }
        if let Some((rules, draft)) = first_mutating {
            return admitted(pod, rules, Some(&draft));
        }
        let mut by = Vec::new();
        for rules in failed {
            match may_use(&rules.name) {
                Some(true) => {
                    let draft = Draft::of(pod, rules);
                    by.push((rules.name.clone(), errors(pod, &draft, rules)));
                }
                Some(false) => {}
                None => unknown.push(rules.name.clone()),
            }
        }
        if unknown.is_empty() {
            Verdict::Denied(Denied::Refused { admit, by })
        } else {
            Verdict::Ask(unknown)
        }
    }
}

fn admitted(pod: &Pod<'_>, rules: &Rules, draft: Option<&Draft<'_>>) -> Verdict {
    let changes = draft.map_or_else(Vec::new, |draft| changes(pod, draft, &rules.name));
    Verdict::Admitted(Admitted {
        policy: rules.name.clone(),
        fields: draft.map_or_else(Vec::new, |draft| fields(pod, draft, &changes)),
        changes,
    })
}
