//! The waiters for the end of a response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyrt::sync::Event;
use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::after::After;
use super::home::Home;
use super::live::Live;
use crate::response::ended::Ended;
use crate::response::ended::told_ended;

/// A waiter for the end of a response's sending.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// Is left to be done.
    After(After),
    /// Is set if the client left.
    Gone(Event),
    /// Keeps the request in the list.
    Live(#[allow(dead_code, reason = "it acts when it is dropped")] Live),
}

impl Waiter {
    /// The sending has ended.
    pub(crate) fn ends(self, ended: &Ended) {
        match (self, ended) {
            (Waiter::After(mut after), _) => {
                after.outcome.sending(ended);
                after.begin();
            }
            (Waiter::Gone(gone), Ended::Left | Ended::Cut) => gone.set(),
            (Waiter::Gone(_) | Waiter::Live(_), _) => {}
        }
    }
}

/// The response, with a body that tells `waiter` at its end.
pub(crate) fn at_end(response: Response, home: &Home, waiter: Waiter) -> Response {
    response.map(|body| {
        let home = home.clone();
        Body::new(AtEnd { body, whole: false, failed: None, waiter: Some((home, waiter)) })
    })
}

/// A response's body, and the waiter for its end.
struct AtEnd {
    body: Body,
    /// The body has given its last frame.
    whole: bool,
    failed: Option<Arc<str>>,
    waiter: Option<(Home, Waiter)>,
}

impl http_body::Body for AtEnd {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        match &poll {
            Poll::Ready(None) => self.whole = true,
            // Nothing comes after trailers.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => self.whole = true,
            Poll::Ready(Some(Err(error))) => {
                self.failed = Some(format!("the response's body failed: {error}").into());
            }
            _ => {}
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

impl Drop for AtEnd {
    fn drop(&mut self) {
        let Some((home, waiter)) = self.waiter.take() else { return };
        let ended = match (self.failed.take(), told_ended()) {
            // Said by the body itself, which knows why.
            (Some(why), None | Some(Ended::Failed(_))) => Ended::Failed(why),
            (_, Some(ended)) => ended,
            (None, None) if std::thread::panicking() => {
                Ended::Panicked("the response's body panicked".into())
            }
            (None, None) if self.whole || self.body.is_end_stream() => Ended::Whole(None),
            (None, None) => Ended::Left,
        };
        let begins = Begins { home, waiter: Some(waiter), ended };
        // What the body holds is let go before the rest begins, which a panic does not keep from it.
        self.body = Body::empty();
        drop(begins);
    }
}

/// Lets the waiter begin when this is dropped: also when the drop of the body before it panics.
struct Begins {
    home: Home,
    waiter: Option<Waiter>,
    ended: Ended,
}

impl Drop for Begins {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else { return };
        match &self.ended {
            Ended::Whole(sent) => self.home.when_sent(waiter, sent.clone()),
            ended => waiter.ends(ended),
        }
    }
}
