//! What every server of Bulkhead shares: TLS with reload, strict HTTP/1.1 and HTTP/2, limits,
//! probes, logs and a graceful stop. It knows nothing of Kubernetes.

mod body;
mod connection;
mod health;
mod logging;
mod server;
mod strict;
mod switch;
mod tls;

pub use body::{Body, BodyError, BoxError, empty, full, read_body, text};
pub use connection::Peer;
pub use health::{probe, scrape, serve_health};
pub use logging::{LogFormat, UnknownLogFormat, init_tracing};
pub use server::{Config, Limits, ServeError, Server};
pub use switch::Switch;
pub use tls::{TlsError, TlsFiles};
