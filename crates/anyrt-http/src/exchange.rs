//! One exchange: a request from hyper, its answer back to it.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::Error;
use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::arriving::Arriving;
use crate::attended::{Attended, Home};
use crate::connection::Connection;
use crate::disconnect::{Arrival, Leaving};
use crate::service::boxed;
use crate::vetting;

/// hyper's view of what we serve.
pub(crate) struct PerRequest {
    connection: Arc<Connection>,
}

impl PerRequest {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        PerRequest { connection }
    }
}

impl hyper::service::Service<Request<Incoming>> for PerRequest {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        let flight = Flight::begin(&self.connection);
        let limits = self.connection.limits();
        if let Some(refusal) = vetting::refuse(&mut request, limits.uri) {
            let attended =
                Attended::new(Box::pin(ready(refusal)), Home::of(&self.connection), Leaving::default());
            return Answering { attended, flight: Some(flight) };
        }
        let request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            self.connection.body_begins();
            boxed(Arriving::new(body, &self.connection))
        });
        let home = Home::of(&self.connection);
        let arrival = Arrival::at(home).by_default(self.connection.server.on_disconnect);
        let answer = self.connection.server.host.call(request, &arrival);
        let (home, leaving) = arrival.said();
        if !self.connection.is_http2() {
            self.connection.set_leaving(&leaving);
        }
        Answering { attended: Attended::new(answer, home, leaving), flight: Some(flight) }
    }
}

/// A request, and whether it is waited for.
pub(crate) struct Answering {
    attended: Attended,
    /// Until there is a response.
    flight: Option<Flight>,
}

impl Future for Answering {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = self.attended.poll(cx);
        if let Some(flight) = &self.flight {
            flight.connection.note(&poll);
        }
        let Poll::Ready(response) = poll else { return Poll::Pending };
        if let Some(flight) = &mut self.flight {
            flight.whole = response.body().is_end_stream();
        }
        let flight = self.flight.take();
        Poll::Ready(Ok(response.map(|body| Outgoing { body, flight })))
    }
}

/// A response's body, and whether it is waited for.
pub(crate) struct Outgoing {
    body: Body,
    flight: Option<Flight>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        let ended = matches!(poll, Poll::Ready(None)) || self.body.is_end_stream();
        if let Some(flight) = &mut self.flight {
            flight.connection.note(&poll);
            flight.whole = ended;
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

/// A request in flight, from its head to the end of its response.
struct Flight {
    connection: Arc<Connection>,
    /// Whether the response was made to its end.
    whole: bool,
}

impl Flight {
    fn begin(connection: &Arc<Connection>) -> Self {
        connection.request_begins();
        Flight { connection: Arc::clone(connection), whole: false }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.connection.note(&Poll::Ready(()));
        self.connection.request_ends(self.whole);
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}
