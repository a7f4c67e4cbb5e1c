//! The gateway: the API server as tenants see it.
//!
//! A request is authenticated, read into typed values, judged, scoped, and only then sent on
//! under a synthetic identity. Nothing of a client's request travels upstream as it came: target,
//! headers and body are printed from what was understood.

mod accept;
mod answer;
mod audit;
mod authn;
mod body;
mod gateway;
mod headers;
pub mod iam;
mod id;
mod judge;
mod limits;
mod lists;
mod metrics;
mod oidc;
mod openapi;
#[cfg(test)]
mod promises;
mod reviews;
mod run;
mod shared;
mod splice;
mod stream;
mod token;
mod upgrade;
mod upstream;
mod watches;

pub use audit::Target as AuditTarget;
pub use limits::{Allowance, Allowances};
pub use run::{Config, run};
