//! How the sending of a response ended, as those are told who wait for it: the same word for all of them.
//!
//! Whoever sends a response drops its body when it has all that it needs of it, which is not always when the body
//! has said its last: a declared length was reached, trailers were the end, the status has no content. Only the
//! outermost body knows; it tells those inside of it while it drops them, through whatever is in between.

use std::cell::RefCell;
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
use crate::attended::Home;
use crate::live::Live;
use crate::sent::Sent;

/// How the sending of a response ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// All of it was taken; what of it is not yet with the system is still to be seen.
    Whole(Option<Arc<Sent>>),
    /// The body failed, or gave less than was declared.
    Failed(Arc<str>),
    /// The body panicked, with this message.
    Panicked(Arc<str>),
    /// It was no response that can be sent: another one was sent in its place.
    Refused(Arc<str>),
    /// The client left.
    Left,
    /// The server's shutdown had no more time for it.
    Cut,
}

thread_local! {
    static TOLD: RefCell<Option<Ended>> = const { RefCell::new(None) };
}

/// Runs what drops a body, and tells those inside how its sending ended.
pub(crate) fn telling<T>(ended: Ended, run: impl FnOnce() -> T) -> T {
    struct Before(Option<Ended>);
    impl Drop for Before {
        fn drop(&mut self) {
            TOLD.replace(self.0.take());
        }
    }
    let _before = Before(TOLD.replace(Some(ended)));
    run()
}

/// What is told, if anybody tells: else the body is dropped by others, and has to judge by itself.
pub(crate) fn told() -> Option<Ended> {
    TOLD.with_borrow(Clone::clone)
}

/// Who waits for the end of a response's sending.
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
        Body::new(Ending { body, whole: false, failed: None, waiter: Some((home, waiter)) })
    })
}

/// A response's body, and who waits for its end.
struct Ending {
    body: Body,
    /// The body has given its last frame.
    whole: bool,
    failed: Option<Arc<str>>,
    waiter: Option<(Home, Waiter)>,
}

impl http_body::Body for Ending {
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

impl Drop for Ending {
    fn drop(&mut self) {
        let Some((home, waiter)) = self.waiter.take() else { return };
        let ended = match (self.failed.take(), told()) {
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

/// Lets the waiter begin, also when what is in between panics.
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
