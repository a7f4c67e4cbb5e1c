//! The API server, as the rest of Bulkhead reaches it. No other crate of the product uses a
//! Kubernetes client.
//!
//! [`Cluster`] reads and writes objects, [`TenantCache`] and [`NamespaceCache`] hold what is
//! decided by, [`Forwarder`] sends tenants' requests on. Each is made of a kubeconfig, and each
//! process has only those whose rights it needs.

mod cache;
mod cluster;
mod connect;
mod error;
mod forward;
mod hostnames;
mod lease;
mod ledger;
mod namespaces;
mod nodes;
mod objects;
mod pod_policies;
mod rego;
mod resource;
mod review;
mod revoked;
mod tenants;
mod transport;
mod upstream;
mod watch;

pub use cache::{Cache, Changes};
pub use cluster::{Cluster, DeleteOptions, Page, Propagation};
pub use error::{ClusterError, Failure, KubeconfigError};
pub use forward::{Duplex, ForwardedBody, Forwarder, Switch};
pub use lease::{Election, Fence, LeaseTimes};
pub use ledger::{Claim, EntryRecord, Ledger, LedgerCache, Revision};
pub use namespaces::{NamespaceCache, NamespaceRecord};
pub use nodes::Eviction;
pub use objects::{Followed, ObjectCache, Touched};
pub use pod_policies::{PodPolicyCache, PodPolicyRecord};
pub use rego::Listable;
pub use resource::{Kind, ObjectRef};
pub use review::TokenUser;
pub use revoked::{RevocationCache, RevokedCertificates};
pub use tenants::{TenantCache, TenantRecord};
pub use upstream::Lane;
pub use watch::Event;
