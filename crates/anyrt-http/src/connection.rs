//! One connection: hyper over a stream of the runtime, one request after the other.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use anyrt::TaskGroup;
use anyrt::net::TcpStream;
use anyrt::sync::Event;
use axum_core::Error;
use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;

use crate::attended::{Attended, Home};
use crate::disconnect::Arrival;
use crate::host::Host;
use crate::service::boxed;
use crate::stream::Wire;

/// What a connection shares with the request it is serving.
pub(crate) struct Connection {
    /// Whether the server is waiting for its own: for a handler, or for the next piece of a streaming
    /// body. Then nobody reads the socket, and [`Wire`] looks whether the client is still there.
    waiting: AtomicBool,
    /// Where a request goes on whose client left.
    pub(crate) group: TaskGroup,
}

impl Connection {
    pub(crate) fn new(group: TaskGroup) -> Arc<Self> {
        Arc::new(Connection { waiting: AtomicBool::new(false), group })
    }

    pub(crate) fn is_waiting(&self) -> bool {
        // Read and written in the polls of one task.
        self.waiting.load(Ordering::Relaxed)
    }

    fn note<T>(&self, poll: &Poll<T>) {
        self.waiting.store(poll.is_pending(), Ordering::Relaxed);
    }
}

/// Serves a connection to its end; when `stopping` is set, to the end of the request that was begun.
///
/// # Errors
///
/// What hyper says: a bad request, a client that left, a head that took too long.
///
/// # Cancel safety
///
/// Dropped, it closes the connection and cancels its request.
pub(crate) async fn serve(
    stream: TcpStream,
    host: Arc<dyn Host>,
    http: &http1::Builder,
    group: TaskGroup,
    stopping: &Event,
) -> hyper::Result<()> {
    let connection = Connection::new(group);
    let wire = Wire::new(stream, Arc::clone(&connection));
    let mut serving = pin!(http.serve_connection(wire, PerRequest { connection, host }));
    let mut stop = pin!(stopping.wait());
    let mut stopped = false;
    poll_fn(|cx| {
        if !stopped && stop.as_mut().poll(cx).is_ready() {
            stopped = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx)
    })
    .await
}

/// hyper's view of what we serve.
struct PerRequest {
    connection: Arc<Connection>,
    host: Arc<dyn Host>,
}

impl hyper::service::Service<Request<Incoming>> for PerRequest {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let arrival = Arrival::default();
        let answer = self.host.call(request.map(boxed), &arrival);
        let connection = Arc::clone(&self.connection);
        let home = Home::Server(Arc::clone(&connection));
        Answering { attended: Attended::new(answer, home, arrival.said()), connection }
    }
}

/// A request, and whether it is waited for.
struct Answering {
    attended: Attended,
    connection: Arc<Connection>,
}

impl Future for Answering {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = self.attended.poll(cx);
        self.connection.note(&poll);
        let body = |body| Outgoing { body, connection: Arc::clone(&self.connection) };
        Poll::Ready(Ok(ready!(poll).map(body)))
    }
}

/// A response's body, and whether it is waited for.
struct Outgoing {
    body: Body,
    connection: Arc<Connection>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        self.connection.note(&poll);
        poll
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
        self.connection.note(&Poll::Ready(()));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("waiting", &self.is_waiting()).finish_non_exhaustive()
    }
}
