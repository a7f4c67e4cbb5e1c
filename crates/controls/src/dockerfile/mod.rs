//! Controls over Dockerfiles: what is decided when an image is built and admission cannot see.

pub(crate) mod root_user;

use bulkhead_model::view::Fields;
use bulkhead_model::{Finding, Json};

use crate::context::Findings;
use crate::control::Rule;
use crate::registry::REGISTRY;

/// Every finding in a Dockerfile: `{stages: [{from, base?, user?}]}`, where `base` is the index of
/// the stage that `from` means, and `user` is a string, or `{variable}` where only a build knows.
#[must_use]
pub fn judge_dockerfile(dockerfile: &Json<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    for control in REGISTRY {
        if let Rule::Dockerfile(rule) = control.rule {
            findings.of(control.name);
            rule(Fields::of(Some(dockerfile)), &mut findings);
        }
    }
    findings.into_vec()
}
