//! The values that every other crate speaks about: names, tenants, requests, findings, and
//! views over Kubernetes objects that lose no field.
//!
//! Wire data becomes one of these types once, at the edge, and cannot be illegal afterwards.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod admission;
pub mod classes;
pub mod counted;
pub mod exposure;
pub mod finding;
pub mod host_path;
pub mod identity;
pub mod ids;
pub mod image;
pub mod json;
pub mod labels;
pub mod ledger;
pub mod names;
pub mod network;
pub mod nodes;
pub mod profile;
pub mod quantity;
pub mod quiet;
pub mod rules;
pub mod serial;
pub mod tenant;
pub mod view;

pub use admission::{AdmissionRequest, Gvk, Gvr, Operation, UserInfo};
pub use classes::{ClassList, ClassPattern, PatternError};
pub use exposure::{Exposure, Hostnames, Services};
pub use finding::{FieldPath, Finding, Segment};
pub use host_path::HostPathPrefix;
pub use identity::ServiceAccounts;
pub use ids::{IdRange, IdRules, McsPair, PodField, SelinuxLevel, UserNamespaces};
pub use image::{ImageRef, Images, PullPolicy, Registry};
pub use json::Json;
pub use ledger::{ClaimKind, Holder, LedgerEntry, entry_name};
pub use names::{
    ClassName, LabelKey, LabelValue, NameError, NamespaceName, Prefix, RoleName, ServiceAccountRef,
    SyntheticUser, TenantName, Uid,
};
pub use network::{Network, NetworkIsolation};
pub use nodes::{NodeSelector, Nodes, Placement};
pub use profile::{Profile, StandardsVersion, Tier};
pub use rules::{Capability, TenantRules};
pub use serial::{Serial, SerialError};
pub use tenant::{
    Granted, Member, PodSecurity, Role, RuntimeClasses, SelinuxChoice, Subject, Tenant,
};
