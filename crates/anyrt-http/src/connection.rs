//! One connection: hyper over a stream of the runtime, one request after the other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use anyrt::BoxError;
use anyrt::TaskGroup;
use anyrt::sync::Event;
use hyper::server::conn::http1;

use crate::attended::Home;
use crate::counters::Counters;
use crate::deadlines::{Watched, Which};
use crate::disconnect::Leaving;
use crate::exchange::PerRequest;
use crate::limits::Limits;
use crate::request::After;
use crate::server::Shared;
use crate::stream::Wire;
use crate::transport::Transport;

/// Why a connection was ended by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Slow {
    #[error("the client sent nothing, or no whole head, in time")]
    Head,
    #[error("the client took no byte of the response in time")]
    Writing,
}

/// Where a connection is in its life. Written and read in the polls of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Accepted, and nothing has come.
    New,
    /// A head has begun, or whatever comes before the first.
    Head,
    /// A request is being answered.
    Serving,
    /// Kept alive: waits for its next request.
    Idle,
}

/// What a connection shares with the requests it is serving.
pub(crate) struct Connection {
    pub(crate) server: Arc<Shared>,
    watch: Watched,
    phase: AtomicU8,
    /// Requests that were begun, and whose response was not yet made whole.
    in_flight: AtomicUsize,
    /// Responses that were made whole, and not yet flushed.
    unflushed: AtomicUsize,
    /// Whether the server is waiting for its own: for a handler, or for the next piece of a streaming
    /// body. Then nobody reads the socket, and [`Wire`] looks whether the client is still there.
    waiting: AtomicBool,
    /// Whether a client that has ended its sending is still to be answered.
    half_closed_is_fine: AtomicBool,
    /// Told when the client has left, for a handler that asked.
    gone: Mutex<Option<Event>>,
    /// What begins when what was written is flushed; none when the stream is gone.
    after: Mutex<Option<Vec<After>>>,
    has_after: AtomicBool,
}

impl Connection {
    /// A connection that was just accepted: its first clock starts.
    pub(crate) fn new(server: Arc<Shared>) -> Arc<Self> {
        let watch = server.deadlines.watch();
        watch.set(Which::Reading, server.limits.first_byte.min(server.limits.head));
        Arc::new(Connection {
            watch,
            server,
            phase: AtomicU8::new(Phase::New as u8),
            in_flight: AtomicUsize::new(0),
            unflushed: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            half_closed_is_fine: AtomicBool::new(false),
            gone: Mutex::new(None),
            after: Mutex::new(Some(Vec::new())),
            has_after: AtomicBool::new(false),
        })
    }

    pub(crate) fn group(&self) -> &TaskGroup {
        &self.server.group
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.counters
    }

    pub(crate) fn watch(&self) -> &Watched {
        &self.watch
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn note<T>(&self, poll: &Poll<T>) {
        self.waiting.store(poll.is_pending(), Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn go(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Bytes have come.
    pub(crate) fn bytes_came(&self) {
        let limits = &self.server.limits;
        if self.is(Phase::New) {
            // One clock from the accept on: what is left of it.
            let left = limits.head.saturating_sub(limits.first_byte.min(limits.head));
            self.watch.extend(Which::Reading, left);
            self.go(Phase::Head);
        } else if self.is(Phase::Idle) {
            self.watch.set(Which::Reading, limits.head);
            self.go(Phase::Head);
        }
    }

    /// A request's head is whole.
    pub(crate) fn request_begins(&self) {
        self.counters().begun();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.watch.clear(Which::Reading);
        self.go(Phase::Serving);
    }

    /// What its route says about a client that leaves. Only for HTTP/1, where it leaves with the connection.
    pub(crate) fn set_leaving(&self, leaving: &Leaving) {
        use crate::disconnect::Disconnect::Cancel;
        self.half_closed_is_fine.store(leaving.disconnect != Cancel, Ordering::Relaxed);
        if leaving.gone.is_some() {
            *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = leaving.gone.clone();
        }
    }

    /// The client ended its sending; whether it may still be answered.
    pub(crate) fn sending_ended(&self) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(gone) = gone {
            gone.set();
        }
        self.half_closed_is_fine.load(Ordering::Relaxed)
    }

    /// A response was made whole, or given up.
    pub(crate) fn request_ends(&self, whole: bool) {
        if whole {
            self.unflushed.fetch_add(1, Ordering::Relaxed);
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// What is to begin when the response is with the system.
    pub(crate) fn after_sent(&self, after: After) {
        if let Some(waiting) = &mut *self.after.lock().unwrap_or_else(PoisonError::into_inner) {
            waiting.push(after);
            self.has_after.store(true, Ordering::Relaxed);
            return;
        }
        after.begin();
    }

    fn begin_after(&self) {
        let waiting = match &mut *self.after.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => std::mem::take(waiting),
            None => Vec::new(),
        };
        self.has_after.store(false, Ordering::Relaxed);
        waiting.into_iter().for_each(After::begin);
    }

    /// There is no stream any more: nothing waits for a flush.
    pub(crate) fn stream_gone(&self) {
        let waiting = self.after.lock().unwrap_or_else(PoisonError::into_inner).take();
        waiting.into_iter().flatten().for_each(After::begin);
    }

    /// All that was written is with the system.
    pub(crate) fn flushed(&self) {
        if self.has_after.load(Ordering::Relaxed) {
            self.begin_after();
        }
        if self.unflushed.load(Ordering::Relaxed) > 0 {
            self.counters().answered(self.unflushed.swap(0, Ordering::Relaxed));
        }
        if self.is(Phase::Serving) && self.in_flight.load(Ordering::Relaxed) == 0 {
            self.watch.set(Which::Reading, self.server.limits.idle);
            self.go(Phase::Idle);
        }
    }

    /// Whether the client has taken nothing, or sent nothing, for too long.
    fn too_slow(&self) -> Option<Slow> {
        if self.watch.has_passed(Which::Writing) {
            return Some(Slow::Writing);
        }
        self.watch.has_passed(Which::Reading).then_some(Slow::Head)
    }
}

/// Serves a connection to its end; when the server is told to stop, to the end of the request that was
/// begun, be it with its first byte.
///
/// # Errors
///
/// What hyper says: a bad request, a client that left; or [`Slow`].
///
/// # Cancel safety
///
/// Dropped, it closes the connection and cancels its request.
pub(crate) async fn serve(transport: Transport, connection: Arc<Connection>) -> Result<(), BoxError> {
    let wire = Wire::new(transport, Arc::clone(&connection));
    let http = &connection.server.http1;
    http1(wire, http, &connection).await
}

async fn http1(wire: Wire, http: &http1::Builder, connection: &Arc<Connection>) -> Result<(), BoxError> {
    let service = PerRequest::new(Arc::clone(connection));
    let mut serving = pin!(http.serve_connection(wire, service));
    let mut told = false;
    let mut known = None;
    poll_fn(|cx| {
        connection.watch.wake(Which::Reading, cx.waker(), &mut known);
        loop {
            if let Poll::Ready(end) = serving.as_mut().poll(cx) {
                return Poll::Ready(end.map_err(BoxError::from));
            }
            // A request whose first byte was read is read to its end, and answered.
            let may_end = !connection.is(Phase::Head);
            if told || !may_end || !connection.server.is_stopping() {
                break;
            }
            told = true;
            serving.as_mut().graceful_shutdown();
        }
        match connection.too_slow() {
            // Nobody waits for it, and nothing was begun.
            Some(Slow::Head) if connection.is(Phase::Idle) => Poll::Ready(Ok(())),
            Some(slow) => Poll::Ready(Err(slow.into())),
            None => Poll::Pending,
        }
    })
    .await
}

impl Home {
    /// Where a request of this connection goes on when its client has left.
    pub(crate) fn of(connection: &Arc<Connection>) -> Home {
        Home::Server(Arc::clone(connection))
    }
}

impl From<Slow> for io::Error {
    fn from(slow: Slow) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, slow)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("waiting", &self.is_waiting()).finish_non_exhaustive()
    }
}
