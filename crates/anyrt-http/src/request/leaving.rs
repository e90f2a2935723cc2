//! A response's body that tells who asked when its client leaves before its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use anyrt::sync::Event;
use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

/// Sets `gone` when the body is dropped before its end. Only for requests of which something asks.
pub(crate) fn telling(gone: Event, response: Response) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|body| Body::new(Telling { body, gone: Some(gone) }))
}

struct Telling {
    body: Body,
    /// Taken at the body's end.
    gone: Option<Event>,
}

impl http_body::Body for Telling {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        // One that failed was not ended by its client.
        if matches!(poll, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.gone = None;
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

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(gone) = &self.gone {
            gone.set();
        }
    }
}
