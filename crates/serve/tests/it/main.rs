//! The server over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says by panicking that it fails"
)]

mod http1;
mod life;
mod pki;
mod running;
mod tls;
