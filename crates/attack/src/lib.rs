//! The attacks that the tests make on the sandbox, a file each, and their runner.
//!
//! A technique is a value: what is sent, by whom, to which door, and which reason must stop it. It
//! speaks raw HTTP, since a polite client library would refuse to send half of it. A technique that
//! is refused for another reason than the expected one counts as failed: an error that nobody
//! predicted shows nothing.
//!
//! Nothing here runs against anything but a directory that `bulkhead sandbox up` has made.

mod confined;
mod credential;
mod field;
mod kubeconfig;
mod report;
mod run;
mod setup;
mod technique;
mod techniques;
pub mod wire;

pub use credential::{Account, Credential, Forged};
pub use field::{Door, Field, FieldError, Side};
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use report::{list, table};
pub use run::{Outcome, Verdict, run, run_one};
pub use technique::{Attack, Expected, Family, Layer, Shot, Technique, Theorem, Truth};
pub use techniques::{evil_containers, evil_pods, good_pod, techniques};
