//! One exchange: a request from hyper, its answer back to it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::Error;
use axum_core::body::Body;
use axum_core::response::Response as Answered;
use http::{Method, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use super::connection::Connection;
use super::incoming_body::Arriving;
use super::validate;
use crate::app::service::boxed;
use crate::base::contained::let_go;
use crate::request::arrival::Arrival;
use crate::request::endpoint;
use crate::request::request_future::RequestFuture;
use crate::response::ended::Ended;
use crate::response::framed::{Framed, framed};
use crate::response::sent::{Piece, Sent};

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
        let head = request.method() == Method::HEAD;
        let limits = self.connection.limits();
        if let Some(refusal) = validate::refuse(&mut request, limits) {
            if !request.body().is_end_stream() {
                self.connection.body_begins();
                self.connection.body_is_let_go();
            }
            let arrival = Arrival::at(self.connection.home());
            let request = request.map(|_| Body::empty());
            let answer = endpoint::begin_refused(&*self.connection.server.host, request, refusal, &arrival);
            let (home, leaving) = arrival.into_parts();
            let future = RequestFuture::new(answer, home, leaving);
            return Answering { future, head, flight: Some(flight), answer: None };
        }
        let request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            self.connection.body_begins();
            boxed(Arriving::new(body, &self.connection))
        });
        let home = self.connection.home();
        let arrival = Arrival::at(home).by_default(self.connection.server.on_disconnect);
        let answer = endpoint::begin(&*self.connection.server.host, request, &arrival);
        let (home, leaving) = arrival.into_parts();
        if !self.connection.is_http2() {
            self.connection.set_leaving(&leaving);
        }
        let future = RequestFuture::new(answer, home, leaving);
        Answering { future, head, flight: Some(flight), answer: None }
    }
}

/// The future of a request, as hyper polls it.
pub(crate) struct Answering {
    future: RequestFuture,
    head: bool,
    /// Until there is a response.
    flight: Option<Flight>,
    /// It waits one round, in which hyper looks what is left of the request's body: if it is here already, it is
    /// dropped; else the answer announces that the connection is closed.
    answer: Option<Answered>,
}

impl Future for Answering {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Answering { future, flight, answer, .. } = &mut *self;
        let poll = match answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => match (future.poll(cx), &*flight) {
                (Poll::Ready(response), Some(flight)) if flight.connection.is_body_let_go() => {
                    *answer = Some(response);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                (poll, _) => poll,
            },
        };
        if let Some(flight) = flight {
            flight.connection.set_waiting(poll.is_pending());
        }
        let Poll::Ready(mut response) = poll else { return Poll::Pending };
        let_go_extensions(&mut response);
        let flight = self.flight.take();
        let sent = flight.as_ref().and_then(|flight| flight.connection.begins_to_send());
        Poll::Ready(Ok(framed(self.head, response).map(|body| Outgoing { body, sent, flight })))
    }
}

/// What a handler put into the extensions is for those around it; hyper would drop it in places that a panic harms.
fn let_go_extensions(response: &mut Answered) {
    if response.extensions().is_empty() {
        return;
    }
    let mut extensions = std::mem::take(response.extensions_mut());
    if let Some(reason) = extensions.remove::<ReasonPhrase>() {
        response.extensions_mut().insert(reason);
    }
    let_go(extensions);
}

/// A response's body, as hyper polls it.
pub(crate) struct Outgoing {
    body: Framed,
    /// Its pieces, of HTTP/2.
    sent: Option<Arc<Sent>>,
    flight: Option<Flight>,
}

impl http_body::Body for Outgoing {
    type Data = Piece;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        let Outgoing { sent, flight, .. } = &mut *self;
        if let Some(flight) = flight {
            flight.connection.set_waiting(poll.is_pending());
        }
        poll.map_ok(|frame| frame.map_data(|bytes| Piece::new(bytes, sent.as_ref())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let ended = match (self.body.how(), &self.flight) {
            (Ended::Whole(_), _) => Ended::Whole(self.sent.take()),
            (Ended::Left, Some(flight)) => flight.connection.left(),
            (ended, _) => ended,
        };
        self.body.finish(ended.clone());
        if let Some(flight) = &mut self.flight {
            flight.ended = Some(ended);
        }
    }
}

/// A request in flight, from its head to the end of its response.
struct Flight {
    connection: Arc<Connection>,
    /// How the sending of its response ended.
    ended: Option<Ended>,
}

impl Flight {
    fn begin(connection: &Arc<Connection>) -> Self {
        connection.request_begins();
        Flight { connection: Arc::clone(connection), ended: None }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.connection.set_waiting(false);
        let ended = self.ended.take().unwrap_or_else(|| self.connection.left());
        self.connection.request_ends(ended);
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("body", &self.body).finish_non_exhaustive()
    }
}
