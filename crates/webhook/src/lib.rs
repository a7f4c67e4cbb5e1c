//! The admission webhook: what the API server asks, answered by the controls.
//!
//! It decides nothing itself. It finds the rules of the namespace, hands request and rules to
//! `controls`, and says the outcome in the API server's words. Whatever it does not know, cannot
//! read or fails at is a refusal.

mod answer;
mod facts;
mod hostnames;
mod inventory;
mod metrics;
mod namespaces;
mod policies;
mod quota;
mod rego;
mod routes;
mod run;
mod tenants;

pub use routes::Webhook;
pub use run::{Config, run};
