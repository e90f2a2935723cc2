//! The body of a request on its way in, and the clock of a handler that waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum_core::BoxError;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::deadlines::{Watched, Which};
use crate::base::causes::cause;
use crate::inject::client::ClientDisconnect;
use crate::request::body::TooSlow;

/// A body whose chunks are none, or whose length is not the declared one.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
pub(crate) struct BrokeOff(#[source] hyper::Error);

/// A request's body. While a handler waits for it, it must come, and not too slowly.
pub(crate) struct Arriving {
    body: Incoming,
    connection: Arc<Connection>,
    /// When the handler began to wait for the next piece.
    since: Option<Duration>,
    /// How long it has waited for the pieces before.
    waited: Duration,
    bytes: u64,
    waker: Option<Waker>,
    /// It has come to its end, or broke off.
    ended: bool,
    /// Of a body that is not the only one of its connection: HTTP/2.
    own: Option<Watched>,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, connection: &Arc<Connection>) -> Self {
        let connection = Arc::clone(connection);
        Arriving {
            body,
            connection,
            since: None,
            waited: Duration::ZERO,
            bytes: 0,
            waker: None,
            ended: false,
            own: None,
        }
    }

    /// How long the next piece may take.
    fn patience(&self) -> Duration {
        let limits = self.connection.limits();
        let Some(due) = self.bytes.saturating_mul(1000).checked_div(limits.body_rate) else {
            return limits.body_idle;
        };
        let allowed = Duration::from_millis(due).max(limits.body_grace);
        limits.body_idle.min(allowed.saturating_sub(self.waited))
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.own.is_none() && self.connection.is_http2() {
            self.own = Some(self.connection.server.deadlines.watch());
        }
        let patience = self.patience();
        let watch = self.own.as_ref().unwrap_or(self.connection.watch());
        watch.wake(Which::Body, cx.waker(), &mut self.waker);
        match self.since {
            None => {
                self.since = Some(watch.time());
                watch.set(Which::Body, patience);
                Poll::Pending
            }
            Some(_) if watch.has_passed(Which::Body) => {
                watch.clear(Which::Body);
                Poll::Ready(Some(Err(TooSlow.into())))
            }
            Some(_) => Poll::Pending,
        }
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            let watch = self.own.as_ref().unwrap_or(self.connection.watch());
            self.waited += watch.time().saturating_sub(since);
            watch.clear(Which::Body);
        }
    }
}

fn broken(error: hyper::Error) -> BoxError {
    let nonsense = match cause::<h2::Error>(&error) {
        // Of HTTP/2 a length that is not kept, for example: a fault that was found here.
        Some(error) => error.is_library() && !error.is_remote(),
        None => error.is_parse() && !error.is_incomplete_message(),
    };
    if nonsense { BrokeOff(error).into() } else { ClientDisconnect::because(error).into() }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        if poll.is_pending() {
            return self.wait(cx);
        }
        let frame = ready!(poll);
        self.ended |= !matches!(frame, Some(Ok(_)));
        self.came(frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len));
        Poll::Ready(frame.map(|frame| frame.map_err(broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.connection.body_is_let_go();
        }
        if self.since.is_some() {
            self.own.as_ref().unwrap_or(self.connection.watch()).clear(Which::Body);
        }
    }
}
