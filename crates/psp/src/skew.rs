//! What has changed in Kubernetes since PodSecurityPolicies left it, as far as they meet it.
//!
//! Seccomp and AppArmor profiles stood in annotations. Fields came, and up to 1.26 the API server
//! kept seccomp's annotation and field in step. Today nobody reads the annotation.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::change::{Change, Changes};
use crate::draft::Draft;
use crate::pod::Pod;

impl<'a> Pod<'a> {
    /// The pod as Kubernetes up to 1.26 stored it: the annotation of the seccomp profile says what
    /// the field says. The original saw such pods in its validating pass.
    #[must_use]
    pub fn as_stored(mut self) -> Self {
        if self.seccomp_note().is_none() {
            let said = self.seccomp.clone().filter(|profile| !profile.is_empty());
            self.stored_seccomp = said.map(Cow::Owned);
        }
        self
    }
}

/// What a policy has set in annotations, set in the fields that are read today. `before` is what
/// is done to the pod first.
pub(crate) fn fields(pod: &Pod<'_>, draft: &Draft<'_>, before: &[Change]) -> Vec<Change> {
    let made = |parent: &str| before.iter().any(|change| change.path.starts_with(parent));
    let mut changes = Changes::new();
    if pod.seccomp.is_none()
        && let Some(profile) = draft.seccomp.as_deref().and_then(profile)
    {
        let field = [("seccompProfile".to_owned(), profile)];
        let parent = "/spec/securityContext";
        changes.set(parent, pod.has_context || made(parent), field);
    }
    for (container, own) in pod.containers.iter().zip(&draft.containers) {
        if own.apparmor == container.apparmor.as_deref() {
            continue;
        }
        if let Some(profile) = own.apparmor.and_then(profile) {
            let parent = format!(
                "/spec/{}/{}/securityContext",
                container.list, container.index
            );
            let field = [("appArmorProfile".to_owned(), profile)];
            changes.set(&parent, container.has_context || made(&parent), field);
        }
    }
    changes.into_list()
}

/// A profile as the field says it; none if it is no profile.
fn profile(noted: &str) -> Option<Value> {
    match noted {
        "runtime/default" | "docker/default" => Some(json!({"type": "RuntimeDefault"})),
        "unconfined" => Some(json!({"type": "Unconfined"})),
        other => {
            let path = other
                .strip_prefix("localhost/")
                .filter(|path| !path.is_empty())?;
            Some(json!({"type": "Localhost", "localhostProfile": path}))
        }
    }
}
