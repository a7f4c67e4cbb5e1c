//! PodSecurityPolicies as Kubernetes 1.24, the last that had them, read, validated and evaluated
//! them: `policy/v1beta1` and `extensions/v1beta1`, with the annotations for seccomp and AppArmor.
//!
//! [`parse`] and [`complaints`] are what the API server says to a policy; [`Policies::admit`] and
//! [`Policies::validate`] are the two passes of the admission plugin over a pod. Who may `use` a
//! policy is asked of the caller. The original judges: `oracles/psp` wraps it, and
//! `tests/suite/differential.rs` holds both to the same verdicts, words and mutated pods.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod audit;
mod change;
mod checks;
mod complaints;
mod draft;
mod field;
mod import;
mod plugin;
mod pod;
mod policy;
mod quote;
mod read;
mod rules;
mod skew;
mod translate;
mod update;
mod volumes;

pub use audit::{At, AuditFinding, AuditRule, Inventory, audit};
pub use change::{Change, apply};
pub use complaints::complaints;
pub use field::FieldError;
pub use import::{ImportError, Imported, import, import_role};
pub use plugin::{Admitted, Denied, MayUse, Policies, Unusable, Verdict};
pub use pod::{Malformed, Pod};
pub use policy::{
    AllowedHostPath, GroupRule, IdRange, PodSecurityPolicy, PortRange, RuntimeClasses, SeLinux,
    SeLinuxRule, Spec, Strategy, UserRule,
};
pub use read::{Misread, parse};
pub use translate::{
    Beyond, LeftOut, Level, NAMESPACE_LABEL, Translation, Untranslated, translate,
};
pub use update::only_owners_and_finalizers;

/// The API groups and versions that the original served.
pub const ORIGINAL: [&str; 2] = ["policy/v1beta1", "extensions/v1beta1"];
/// The API group of our kind, which Kubernetes still has a place for.
pub const GROUP: &str = bulkhead_model::labels::GROUP;
/// `apiVersion` of our kind.
pub const API_VERSION: &str = "bulkhead.dev/v1alpha1";
/// The kind, in the original's groups and in ours.
pub const KIND: &str = "PodSecurityPolicy";
/// The resource's name, which RBAC rules hold.
pub const RESOURCE: &str = "podsecuritypolicies";
/// The verb that lets pods be made under a policy.
pub const USE: &str = "use";
/// The annotation of a pod that names the policy by which it was admitted.
pub const ADMITTED_BY: &str = "kubernetes.io/psp";
/// The audit annotation of the mutating pass.
pub const AUDIT_ADMIT: &str = "podsecuritypolicy.policy.k8s.io/admit-policy";
/// The audit annotation of the validating pass.
pub const AUDIT_VALIDATE: &str = "podsecuritypolicy.policy.k8s.io/validate-policy";

/// Whether policies of this `apiVersion` are what is read here.
#[must_use]
pub fn is_policy(api_version: &str) -> bool {
    api_version == API_VERSION || ORIGINAL.contains(&api_version)
}
