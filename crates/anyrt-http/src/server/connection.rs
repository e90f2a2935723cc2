//! One connection: hyper over a stream of the runtime, one request after the other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyrt::BoxError;
use anyrt::TaskGroup;
use anyrt::sync::Event;
use hyper::server::conn::{http1, http2};

use super::accepted::Accepted;
use super::deadlines::{Watched, Which};
use super::exchange::PerRequest;
use super::http2::InGroup;
use super::shared::Shared;
use super::stats::Counters;
use super::stream::{Protocol, Wire};
use crate::base::limits::Limits;
use crate::request::arrival::Leaving;
use crate::request::at_end::Waiter;
use crate::request::home::{Home, Owner};
use crate::response::ended::Ended;
use crate::response::sent::Sent;

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

/// A waiter for the moment in which a response is with the system; and, of HTTP/2, the pieces of that response.
struct Waiting {
    /// None: it is counted.
    waiter: Option<Waiter>,
    sent: Option<Arc<Sent>>,
}

/// What a connection shares with the requests it is serving.
pub(crate) struct Connection {
    pub(crate) server: Arc<Shared>,
    /// Asked for if the app has a view.
    peer: Option<SocketAddr>,
    watch: Watched,
    phase: AtomicU8,
    http2: AtomicBool,
    /// Requests that were begun, and whose response was not yet made whole.
    in_flight: AtomicUsize,
    /// Responses that were made whole, and not yet flushed.
    unflushed: AtomicUsize,
    /// Whether the server is waiting for its own: for a handler, or for the next piece of a streaming
    /// body. Then hyper does not read the socket, and [`Wire`] looks whether the client is still there.
    waiting: AtomicBool,
    /// A body was among what came since the connection was idle: where it ends in there only hyper knows.
    had_body: AtomicBool,
    /// A response, of HTTP/1, has ended before it was whole.
    broke_off: AtomicBool,
    /// The body of the request, of HTTP/1, was let go before its end.
    body_let_go: AtomicBool,
    /// Whether a client that has ended its sending is still to be answered.
    half_closed_is_fine: AtomicBool,
    /// Set when the client has left, for a handler that asked.
    gone: Mutex<Option<Event>>,
    /// The waiters until what was written is with the system; none when the stream is gone.
    waiters: Mutex<Option<Vec<Waiting>>>,
    has_waiters: AtomicBool,
    /// How often all that was written was with the system, of HTTP/2.
    flushes: AtomicUsize,
}

impl Connection {
    /// A connection that was just accepted: its first clock starts.
    pub(crate) fn new(server: Arc<Shared>, peer: Option<SocketAddr>) -> Arc<Self> {
        let watch = server.deadlines.watch();
        watch.set(Which::Reading, server.limits.first_byte.min(server.limits.head));
        Arc::new(Connection {
            watch,
            server,
            peer,
            phase: AtomicU8::new(Phase::New as u8),
            http2: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            unflushed: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
            broke_off: AtomicBool::new(false),
            body_let_go: AtomicBool::new(false),
            half_closed_is_fine: AtomicBool::new(false),
            gone: Mutex::new(None),
            waiters: Mutex::new(Some(Vec::new())),
            has_waiters: AtomicBool::new(false),
            flushes: AtomicUsize::new(0),
        })
    }

    /// Where the requests of this connection go on when their client has left.
    pub(crate) fn home(self: &Arc<Self>) -> Home {
        Home::of(Arc::clone(self) as Arc<dyn Owner>)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.counters
    }

    /// Whether a response is on its way, or broke off: its end must not look like one.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 || self.broke_off.load(Ordering::Relaxed)
    }

    pub(crate) fn watch(&self) -> &Watched {
        &self.watch
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
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
        if self.is_http2() {
            return;
        }
        if self.is(Phase::New) {
            self.first_bytes_came();
        } else if self.is(Phase::Idle) {
            self.watch.set(Which::Reading, limits.head);
            self.had_body.store(false, Ordering::Relaxed);
            self.go(Phase::Head);
        }
    }

    /// The request that begins has a body.
    pub(crate) fn body_begins(&self) {
        self.had_body.store(true, Ordering::Relaxed);
    }

    /// The handler has dropped the request's body: its rest is not read.
    pub(crate) fn body_is_let_go(&self) {
        if !self.is_http2() {
            self.body_let_go.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_body_let_go(&self) -> bool {
        self.body_let_go.load(Ordering::Relaxed)
    }

    /// Whether the client may still be sending what is not read.
    pub(crate) fn leaves_unread(&self) -> bool {
        !self.is_http2() && (self.is_body_let_go() || self.is(Phase::Head))
    }

    /// The first bytes of the connection have come, of whatever protocol.
    pub(crate) fn first_bytes_came(&self) {
        let limits = &self.server.limits;
        if self.is(Phase::New) {
            // One clock from the accept on: what is left of it.
            let left = limits.head.saturating_sub(limits.first_byte.min(limits.head));
            self.watch.extend(Which::Reading, left);
            self.go(Phase::Head);
        }
    }

    /// A request's head is whole.
    pub(crate) fn request_begins(&self) {
        self.counters().requested();
        self.body_let_go.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.watch.clear(Which::Reading);
        self.go(Phase::Serving);
    }

    /// What its route says about a client that leaves. Only for HTTP/1, where it leaves with the connection.
    pub(crate) fn set_leaving(&self, leaving: &Leaving) {
        use crate::request::on_disconnect::Disconnect::Cancel;
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

    /// A response was taken whole, or given up.
    pub(crate) fn request_ends(&self, ended: Ended) {
        match ended {
            Ended::Whole(sent) if self.is_http2() => self.wait_for_sent(Waiting { waiter: None, sent }),
            Ended::Whole(_) => drop(self.unflushed.fetch_add(1, Ordering::Relaxed)),
            ended => {
                self.broke_off.store(!self.is_http2(), Ordering::Relaxed);
                self.counters().ended(&ended, 1);
            }
        }
        let last = self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1;
        // Streams end in tasks of their own, maybe after the last flush.
        if last && self.is_http2() {
            self.becomes_idle();
        }
    }

    /// How a response ended that was dropped before it was whole.
    pub(crate) fn left(&self) -> Ended {
        if self.server.is_cancelling() { Ended::Cut } else { Ended::Left }
    }

    fn wait_for_sent(&self, waiting: Waiting) {
        {
            let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *waiters {
                Some(waiters) => waiters.push(waiting),
                None => {
                    drop(waiters);
                    return self.tell_late(waiting);
                }
            }
        }
        self.has_waiters.store(true, Ordering::Release);
        // A stream of HTTP/2 ends in a task of its own, maybe after the last flush.
        if self.is_http2() {
            self.watch.wake_connection();
        }
    }

    /// By what a response of HTTP/2 is known, whose end its stream's task sees, maybe when its client has it and is gone.
    pub(crate) fn begins_to_send(&self) -> Option<Arc<Sent>> {
        self.is_http2().then(|| Sent::made_at(self.flushes.load(Ordering::Acquire)))
    }

    fn tell_late(&self, waiting: Waiting) {
        let flushes = self.flushes.load(Ordering::Acquire);
        let went = waiting.sent.as_ref().is_some_and(|sent| sent.went(flushes));
        let ended = if went { Ended::Whole(None) } else { self.left() };
        self.tell(waiting, &ended);
    }

    fn tell(&self, Waiting { waiter, sent }: Waiting, ended: &Ended) {
        let lost = self.left();
        let ended = if sent.is_some_and(|sent| sent.is_lost()) { &lost } else { ended };
        match waiter {
            Some(waiter) => waiter.ends(ended),
            None => self.counters().ended(ended, 1),
        }
    }

    /// hyper has done what it can in this poll. For HTTP/2: all that its streams gave it is with the system, but for what
    /// the client's windows hold back.
    fn on_hyper_pending(&self) {
        if self.is_http2() && self.has_waiters.load(Ordering::Acquire) && !self.watch.is_set(Which::Writing) {
            self.tell_those_sent();
        }
    }

    /// Tells the waiters whose response has no piece on its way any more. One at a time, so that the list keeps its memory.
    fn tell_those_sent(&self) {
        while let Some(waiting) = self.next_sent() {
            self.tell(waiting, &Ended::Whole(None));
        }
    }

    fn next_sent(&self) -> Option<Waiting> {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiters.as_mut()?;
        let is_over = |waiting: &Waiting| waiting.sent.as_ref().is_none_or(|sent| sent.is_over());
        let sent = waiters.iter().position(is_over).map(|place| waiters.remove(place));
        self.has_waiters.store(!waiters.is_empty(), Ordering::Relaxed);
        sent
    }

    /// There is no stream any more: what was not flushed never will be.
    pub(crate) fn stream_gone(&self) {
        let waiting = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).take();
        waiting.into_iter().flatten().for_each(|waiting| self.tell_late(waiting));
        self.counters().ended(&self.left(), self.unflushed.swap(0, Ordering::Relaxed));
    }

    /// All that was written is with the system. `head_has_begun`: what came last, if it was no body, is the beginning of a head.
    pub(crate) fn flushed(&self, head_has_begun: bool) {
        // A frame of HTTP/2 may be on its way here from the task of its stream.
        if self.is_http2() {
            self.flushes.fetch_add(1, Ordering::AcqRel);
        } else if self.has_waiters.load(Ordering::Relaxed) {
            self.tell_those_sent();
        }
        if self.unflushed.load(Ordering::Relaxed) > 0 {
            self.counters().ended(&Ended::Whole(None), self.unflushed.swap(0, Ordering::Relaxed));
        }
        if self.is(Phase::Serving) && self.in_flight.load(Ordering::Relaxed) == 0 {
            if head_has_begun && !self.had_body.load(Ordering::Relaxed) {
                self.watch.set(Which::Reading, self.server.limits.head);
                self.go(Phase::Head);
            } else {
                self.becomes_idle();
            }
        }
    }

    /// The first bytes were those of HTTP/2: from now on it is idle while no stream is open.
    fn speaks_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
        self.becomes_idle();
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.is(Phase::Idle)
    }

    fn becomes_idle(&self) {
        let limits = &self.server.limits;
        let limit = if self.server.is_stopping() { limits.first_byte } else { limits.idle };
        self.watch.set(Which::Reading, limit);
        self.go(Phase::Idle);
    }

    /// Whether the client has taken nothing, or sent nothing, for too long.
    fn too_slow(&self) -> Option<Slow> {
        if self.watch.has_passed(Which::Writing) {
            return Some(Slow::Writing);
        }
        if !self.watch.has_passed(Which::Reading) {
            return None;
        }
        if self.is_http2() && self.in_flight.load(Ordering::Relaxed) > 0 {
            // One stream ended while another began.
            self.watch.clear(Which::Reading);
            return None;
        }
        Some(Slow::Head)
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
pub(crate) async fn serve(accepted: Accepted, connection: Arc<Connection>) -> Result<(), BoxError> {
    let (transport, agreed) = match accepted.handshake(&connection).await? {
        Some(transport) => transport,
        None => return Ok(()),
    };
    let mut wire = Wire::new(transport, Arc::clone(&connection));
    let protocol = match agreed {
        #[cfg(feature = "tls")]
        Some(Protocol::Http2) => {
            wire.speaks_http2();
            Protocol::Http2
        }
        Some(protocol) => protocol,
        None => match guarded(&connection, |cx| wire.poll_protocol(cx)).await? {
            Some(protocol) => protocol,
            None => return Ok(()),
        },
    };
    let service = PerRequest::new(Arc::clone(&connection));
    let server = &connection.server;
    match protocol {
        Protocol::Http1 => drive(pin!(server.http1.serve_connection(wire, service)), &connection).await,
        Protocol::Http2 => {
            connection.speaks_http2();
            // Boxed, so that the many connections of HTTP/1 need no room for it.
            let mut serving = Box::pin(server.http2.serve_connection(wire, service));
            drive(serving.as_mut(), &connection).await
        }
    }
}

/// What comes before there is a protocol, under the one clock; none when the server stops before
/// anything has come.
pub(crate) async fn guarded<T>(
    connection: &Connection,
    mut work: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> Result<Option<T>, BoxError> {
    let mut known = None;
    poll_fn(|cx| {
        connection.watch.wake(Which::Reading, cx.waker(), &mut known);
        if let Poll::Ready(done) = work(cx) {
            return Poll::Ready(done.map(Some).map_err(BoxError::from));
        }
        if connection.is(Phase::New) && connection.server.is_stopping() {
            return Poll::Ready(Ok(None));
        }
        match connection.too_slow() {
            Some(slow) => Poll::Ready(Err(slow.into())),
            None => Poll::Pending,
        }
    })
    .await
}

/// What hyper's connections have in common.
trait Graceful: Future<Output = hyper::Result<()>> {
    /// Takes no further request; what was begun is answered.
    fn end(self: Pin<&mut Self>);
}

impl Graceful for http1::Connection<Wire, PerRequest> {
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Graceful for http2::Connection<Wire, PerRequest, InGroup> {
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive(mut serving: Pin<&mut impl Graceful>, connection: &Connection) -> Result<(), BoxError> {
    let (mut ending, mut known) = (false, None);
    poll_fn(|cx| {
        connection.watch.wake(Which::Reading, cx.waker(), &mut known);
        loop {
            let polled = serving.as_mut().poll(cx);
            connection.on_hyper_pending();
            if let Poll::Ready(end) = polled {
                return Poll::Ready(end.map_err(BoxError::from));
            }
            let slow = connection.too_slow();
            let end = match slow {
                Some(Slow::Writing) => return Poll::Ready(Err(Slow::Writing.into())),
                Some(Slow::Head) if connection.is_idle() => {
                    if ending {
                        return Poll::Ready(Ok(()));
                    }
                    // Told that it is the end (by TLS, by HTTP/2), it has a moment to hear it.
                    true
                }
                Some(Slow::Head) => return Poll::Ready(Err(Slow::Head.into())),
                // A request whose first byte was read is read to its end, and answered.
                None => connection.server.is_stopping() && !connection.is(Phase::Head),
            };
            if ending || !end {
                return Poll::Pending;
            }
            ending = true;
            serving.as_mut().end();
            if connection.is_idle() {
                connection.watch.set(Which::Reading, connection.limits().first_byte);
            }
        }
    })
    .await
}

impl Owner for Connection {
    fn group(&self) -> &TaskGroup {
        &self.server.group
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    fn when_sent(&self, waiter: Waiter, sent: Option<Arc<Sent>>) {
        self.wait_for_sent(Waiting { waiter: Some(waiter), sent });
    }

    fn handler_begins(&self) {
        self.counters().handler_begins();
    }

    fn handler_ends(&self) {
        if self.server.is_stopping() {
            self.counters().handler_finished();
        }
    }

    fn handler_is_gone(&self) {
        self.counters().handler_is_gone();
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
