//! One rule and one page per control, and everything that is derived from them: what admission
//! mends and refuses, the webhook configurations, the documentation, the guards.
//!
//! [`mend`] and [`judge`] are the whole of admission: the webhook and the gateway call them with
//! the same request and get the same answer. Both are pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod boundary;
pub mod carriers;
mod claim;
mod classes;
mod context;
mod control;
mod denial;
mod dockerfile;
mod docs;
mod facts;
mod fills;
pub mod guards;
mod identity;
mod ids;
mod inspect;
mod judge;
mod lookups;
mod network;
mod object;
mod placement;
mod pod;
pub mod policies;
mod profiles;
mod registry;
mod service;
mod shape;
mod webhooks;

pub use carriers::{Carriers, PodTemplate, PodTemplateError};
pub use context::{Context, Findings};
pub use control::{Control, Mend, Rule, Section, Severity};
pub use denial::denial;
pub use dockerfile::judge_dockerfile;
pub use docs::{Language, docs, explain};
pub use facts::{Fact, Facts, ObjectKey, Wanted};
pub use fills::{Addition, Fills};
pub use inspect::{Fill, Inspected, Inspection, filled};
pub use judge::{Unjudged, judge, mend, mend_and_judge};
pub use lookups::{LOOKED_UP, LookedUp, needed};
pub use profiles::Profiles;
pub use registry::{REGISTRY, by_name};
pub use webhooks::{Endpoint, WebhookClient, webhook_configurations};

pub use claim::Claim;
pub use network::hostname_taken::{NAMED, hostnames};
pub use object::Object;
pub use service::Service;
