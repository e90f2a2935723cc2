//! A response's body, and what happens at its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

/// Calls `end` once, at the end of the response's body; with `false` if the body is dropped before that, which is what
/// becomes of it when the client leaves. A body that fails has come to its end.
pub(crate) fn at_end(response: Response, end: impl FnOnce(bool) + Send + Unpin + 'static) -> Response {
    if response.body().is_end_stream() {
        end(true);
        return response;
    }
    response.map(|body| Body::new(Ending { body, end: Some(end) }))
}

struct Ending<E: FnOnce(bool)> {
    body: Body,
    end: Option<E>,
}

impl<E: FnOnce(bool)> Ending<E> {
    fn ends(&mut self, whole: bool) {
        if let Some(end) = self.end.take() {
            end(whole);
        }
    }
}

impl<E: FnOnce(bool) + Unpin> http_body::Body for Ending<E> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(poll, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.ends(true);
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<E: FnOnce(bool)> Drop for Ending<E> {
    fn drop(&mut self) {
        self.ends(false);
    }
}
