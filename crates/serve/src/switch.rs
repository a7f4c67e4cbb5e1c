//! Requests that ask for another protocol, for handlers that can give it.

use http::Extensions;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::BoxError;

/// A connection whose protocol the client wants changed.
pub struct Switch(OnUpgrade);

impl Switch {
    /// Takes it out of a request's extensions; none if the protocol there knows no change.
    #[must_use]
    pub fn take(extensions: &mut Extensions) -> Option<Self> {
        extensions.remove::<OnUpgrade>().map(Self)
    }

    /// The connection, once a response of status 101 is written on it. The server counts it no
    /// more: whoever takes it also ends it.
    ///
    /// # Errors
    /// If the client has gone, or was answered with another status.
    pub async fn done(self) -> Result<impl AsyncRead + AsyncWrite + Send + 'static, BoxError> {
        Ok(TokioIo::new(self.0.await?))
    }
}
