//! Policies in Rego, asked about files.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_rego::{
    Action, Inventory, Judge, Policies, Refusal, Violation, is_of_the_platform, is_quiet,
};
use bulkhead_report::Level;
use serde_json::Value;

/// Why policies that compare with other objects are not asked.
const NOT_IN_FILES: &str =
    "compares with other objects of the cluster (`data.inventory`), which files do not show";

/// Compiled policies, which threads share: each takes a judge that nobody uses.
#[derive(Clone, Default)]
pub(crate) struct Rego(Option<Arc<Shared>>);

struct Shared {
    policies: Policies,
    /// The file of each policy, by its name.
    places: BTreeMap<String, String>,
    free: Mutex<Vec<Judge>>,
}

impl fmt::Debug for Rego {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rego")
    }
}

impl Rego {
    /// Compiles policies that have been looked through. `places` has the file of each, by its name.
    pub(crate) fn new(
        policies: Policies,
        places: BTreeMap<String, String>,
    ) -> Result<Self, Vec<Refusal>> {
        if policies.plain.is_empty() && policies.templates.is_empty() {
            return Ok(Self::default());
        }
        let first = judge(&policies)?;
        Ok(Self(Some(Arc::new(Shared {
            policies,
            places,
            free: Mutex::new(vec![first]),
        }))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What the policies have against an object: what follows from it, and what it is.
    pub(crate) fn ask(&self, object: &Value, namespace: Option<&Value>) -> Vec<(Level, String)> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let text = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default()
        };
        let group = text("/apiVersion");
        let group = group.split_once('/').map_or("", |(group, _)| group);
        // As in the cluster.
        if is_quiet(group, text("/kind")) || is_of_the_platform(object) {
            return Vec::new();
        }
        let free = shared.free().pop();
        let mut judge = match free.map_or_else(|| judge(&shared.policies), Ok) {
            Ok(judge) => judge,
            // Those that have compiled once compile again.
            Err(refusals) => {
                let refusals = refusals.iter().map(ToString::to_string);
                return refusals.map(|text| (Level::Finding, text)).collect();
            }
        };
        let found = judge.audit(object, namespace);
        shared.free().push(judge);
        found
            .iter()
            .map(|violation| shared.said(violation))
            .collect()
    }
}

impl Shared {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Judge>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, violation: &Violation) -> (Level, String) {
        let level = match violation.action {
            _ if violation.unknown => Level::NotChecked,
            Action::Deny => Level::Finding,
            Action::Warn | Action::DryRun => Level::Warning,
        };
        let (policy, message) = (&violation.policy, &violation.message);
        let at = self.places.get(policy).filter(|at| *at != policy);
        let at = at.map_or_else(String::new, |at| format!(" ({at})"));
        let text = match (violation.failed, violation.action) {
            (true, _) => format!("the policy `{policy}`{at} gives no answer: {message}"),
            (false, Action::Deny) => {
                format!("is refused by the policy `{policy}`{at}: {message}")
            }
            (false, action) => {
                format!("violates the policy `{policy}`{at}, which says `{action}`: {message}")
            }
        };
        (level, text)
    }
}

fn judge(policies: &Policies) -> Result<Judge, Vec<Refusal>> {
    let mut judge = policies.judge(&Inventory::default())?;
    // It takes every reason.
    let _ = judge.compare_with(Err(NOT_IN_FILES.to_owned()));
    Ok(judge)
}
