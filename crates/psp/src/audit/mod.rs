//! What is wrong with the policies of a cluster, and with the rights to use them.

mod covers;
mod lint;
mod rights;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::policy::PodSecurityPolicy;
use crate::rules::Rules;
use crate::translate::Level;
use crate::translate::level_of;

use rights::{Grant, Subject, grants, is_everyone};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditRule {
    /// A policy that lets pods take nodes over may be used by everybody.
    OpenToEveryone,
    /// A policy that nobody may use.
    Unused,
    /// A policy that another always goes before.
    Shadowed,
    /// A policy that says what cannot be, or what has no effect.
    Contradictory,
    /// Rules for seccomp that do not do what they seem to.
    SeccompSurprise,
    /// Rules for AppArmor that do not do what they seem to.
    AppArmorSurprise,
}

impl AuditRule {
    /// Whether it is wrong for certain, not only likely.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::OpenToEveryone | Self::Contradictory)
    }
}

impl fmt::Display for AuditRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OpenToEveryone => "psp-open-to-everyone",
            Self::Unused => "psp-unused",
            Self::Shadowed => "psp-shadowed",
            Self::Contradictory => "psp-contradictory",
            Self::SeccompSurprise => "psp-seccomp-surprise",
            Self::AppArmorSurprise => "psp-apparmor-surprise",
        })
    }
}

/// What a finding points at, by its place in the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// A policy.
    Policy(usize),
    /// A RoleBinding or ClusterRoleBinding.
    Binding(usize),
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditFinding {
    /// What it is about.
    pub rule: AuditRule,
    /// Where.
    pub at: At,
    /// What is wrong, and what to do.
    pub message: String,
    /// The binding as it should be.
    pub mended: Option<Value>,
}

/// The policies of a cluster, and everything of RBAC.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The policies, each with its kind of group.
    pub policies: Vec<PodSecurityPolicy>,
    /// Roles and ClusterRoles.
    pub roles: Vec<Value>,
    /// RoleBindings and ClusterRoleBindings.
    pub bindings: Vec<Value>,
}

/// Looks everything through. `administrators` is a group that takes the place of everybody in mended
/// bindings. Where there is no binding at all, nothing is said of rights: they are elsewhere.
#[must_use]
pub fn audit(inventory: &Inventory, administrators: Option<&str>) -> Vec<AuditFinding> {
    let rules: Vec<Option<Rules>> = inventory
        .policies
        .iter()
        .map(|policy| Rules::of(policy).ok())
        .collect();
    let grants = grants(&inventory.roles, &inventory.bindings);
    let mut found = Vec::new();
    for (index, policy) in inventory.policies.iter().enumerate() {
        lint::lint(
            policy,
            rules.get(index).and_then(Option::as_ref),
            &mut |rule, message| {
                found.push(AuditFinding {
                    rule,
                    at: At::Policy(index),
                    message,
                    mended: None,
                });
            },
        );
    }
    if !inventory.bindings.is_empty() {
        open(inventory, &rules, &grants, administrators, &mut found);
        unused(inventory, &grants, &mut found);
        shadowed(&rules, &grants, &mut found);
    }
    found.sort_by_key(|finding| (finding.at, finding.rule));
    found
}

fn open(
    inventory: &Inventory,
    rules: &[Option<Rules>],
    grants: &[Grant<'_>],
    administrators: Option<&str>,
    found: &mut Vec<AuditFinding>,
) {
    for (index, binding) in inventory.bindings.iter().enumerate() {
        let of_binding = || grants.iter().filter(|grant| grant.binding == index);
        let everyone: BTreeSet<&str> = of_binding()
            .filter(|grant| is_everyone(&grant.subject))
            .map(|grant| grant.subject.name)
            .collect();
        let wide: BTreeSet<&str> = rules
            .iter()
            .flatten()
            .filter(|rules| level_of(rules) == Level::Privileged)
            .map(|rules| rules.name.as_str())
            .filter(|name| of_binding().any(|grant| grant.gives(name)))
            .collect();
        if everyone.is_empty() || wide.is_empty() {
            continue;
        }
        let mended = rights::without_everyone(binding, administrators);
        let wide: Vec<String> = wide.iter().map(|name| format!("`{name}`")).collect();
        let everyone: Vec<String> = everyone.iter().map(|name| format!("`{name}`")).collect();
        let mut message = format!(
            "{} may use {}, which lets a pod take its node over: take {} out of the subjects, and let administrators alone use it",
            everyone.join(" and "),
            wide.join(" and "),
            if everyone.len() == 1 { "it" } else { "them" },
        );
        let left = mended.get("subjects").and_then(Value::as_array);
        if left.is_none_or(Vec::is_empty) {
            message.push_str(
                "; then nobody is left: name your administrators' group with `--administrators`",
            );
        }
        if !starts_without(grants, index, inventory) {
            message.push_str(
                "; warning: nothing else lets ServiceAccounts use a policy, so that no pods of Deployments, DaemonSets and Jobs would start, in `kube-system` neither: grant another policy first",
            );
        }
        found.push(AuditFinding {
            rule: AuditRule::OpenToEveryone,
            at: At::Binding(index),
            message,
            mended: Some(mended),
        });
    }
}

/// Whether ServiceAccounts may use some policy without what this binding gives everybody.
fn starts_without(grants: &[Grant<'_>], binding: usize, inventory: &Inventory) -> bool {
    grants.iter().any(|grant| {
        let gone = grant.binding == binding && is_everyone(&grant.subject);
        let lets = inventory
            .policies
            .iter()
            .any(|policy| grant.gives(&policy.name));
        !gone && lets && grant.subject.reaches_accounts()
    })
}

fn unused(inventory: &Inventory, grants: &[Grant<'_>], found: &mut Vec<AuditFinding>) {
    for (index, policy) in inventory.policies.iter().enumerate() {
        if !grants.iter().any(|grant| grant.gives(&policy.name)) {
            found.push(AuditFinding {
                rule: AuditRule::Unused,
                at: At::Policy(index),
                message: "nobody may use it: no binding leads to a role with the verb `use` on it; delete it, or bind such a role".to_owned(),
                mended: None,
            });
        }
    }
}

fn shadowed(rules: &[Option<Rules>], grants: &[Grant<'_>], found: &mut Vec<AuditFinding>) {
    let who = |name: &str| -> Vec<(Subject<'_>, Option<&str>)> {
        let given = grants.iter().filter(|grant| grant.gives(name));
        given
            .map(|grant| (grant.subject, grant.namespace))
            .collect()
    };
    for (index, narrow) in rules.iter().enumerate() {
        let Some(narrow) = narrow else { continue };
        let users = who(&narrow.name);
        let wider = rules.iter().flatten().find(|wide| {
            let by_all = || {
                let theirs = who(&wide.name);
                users.iter().all(|(subject, namespace)| {
                    theirs.iter().any(|(other, place)| {
                        other.includes(subject) && place.is_none_or(|it| Some(it) == *namespace)
                    })
                })
            };
            wide.name < narrow.name && !users.is_empty() && covers::covers(wide, narrow) && by_all()
        });
        if let Some(wide) = wider {
            found.push(AuditFinding {
                rule: AuditRule::Shadowed,
                at: At::Policy(index),
                message: format!(
                    "`{}` goes before it: it comes first by name, admits as it is every pod that this one admits as it is, and whoever may use this one may use it; rename this one, or take rights from `{}`",
                    wide.name, wide.name
                ),
                mended: None,
            });
        }
    }
}
