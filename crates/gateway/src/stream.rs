//! Answers that go on. The API server never looks again at the rights of an open stream, so the
//! gateway ends it when what it was opened by is no more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bulkhead_serve::{Body, BoxError};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;

/// The body until `revoked` is ready.
pub(crate) fn until(body: Body, revoked: impl Future<Output = ()> + Send + 'static) -> Body {
    Until {
        body,
        revoked: Box::pin(revoked),
    }
    .boxed_unsync()
}

struct Until {
    body: Body,
    revoked: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // The right comes before the data: what came in after the loss is not told.
        if this.revoked.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut this.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_serve::{full, read_body};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_revoked_stream_ends_though_data_is_there() {
        let (revoke, revoked) = oneshot::channel::<()>();
        let body = until(full("data"), async move { drop(revoked.await) });
        assert_eq!(read_body(body, 9).await.unwrap(), "data");
        drop(revoke);
        let (revoke, revoked) = oneshot::channel::<()>();
        drop(revoke);
        let body = until(full("data"), async move { drop(revoked.await) });
        assert_eq!(read_body(body, 9).await.unwrap(), "");
    }
}
