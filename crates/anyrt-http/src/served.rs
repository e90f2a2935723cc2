//! What a server did: counts, told at its end.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a server did, from its start to its end.
///
/// A request that was read is answered, or its client left, or its handler was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were accepted.
    pub connections: u64,
    /// Accepts that failed, for want of file descriptors or the like, and were tried again.
    pub accept_failures: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Responses that were handed to the system, whole.
    pub answered: u64,
    /// Handlers whose client left before they had ended.
    pub left: u64,
    /// Handlers that had begun when the server was told to stop, or later, and ended by themselves.
    pub finished: u64,
    /// Handlers that were cancelled at the deadline ([`Limits::shutdown`](crate::Limits::shutdown)) and
    /// have cleaned up.
    pub cancelled: u64,
    /// Handlers that were still cleaning up when the server no longer waited for them:
    /// [`Limits::teardown`](crate::Limits::teardown). The run's end waits for them.
    pub cut: u64,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served { connections, requests, answered, left, finished, cancelled, cut, .. } = self;
        write!(
            f,
            "{connections} connections, {requests} requests, {answered} answered, {left} left by their client; \
             after the stop {finished} finished, {cancelled} cancelled, {cut} cut"
        )
    }
}

/// The counts of a server that runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    accept_failures: AtomicU64,
    requests: AtomicU64,
    answered: AtomicU64,
    left: AtomicU64,
    finished: AtomicU64,
    cancelled: AtomicU64,
    /// Handlers that have begun and not ended, also those whose client has left.
    alive: AtomicUsize,
}

/// How a handler came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Finished,
    /// Its client left.
    Left,
    /// At the deadline of the shutdown.
    Cancelled,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, count: usize) {
        self.answered.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn handler_begins(&self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// It counts as alive until [`handler_is_gone`](Counters::handler_is_gone).
    pub(crate) fn handler_ends(&self, end: End, stopping: bool) {
        let count = match end {
            End::Finished if stopping => &self.finished,
            End::Finished => return,
            End::Left => &self.left,
            End::Cancelled => &self.cancelled,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn handler_is_gone(&self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }

    /// The counts; what is alive now is cut.
    pub(crate) fn served(&self) -> Served {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Served {
            connections: get(&self.connections),
            accept_failures: get(&self.accept_failures),
            requests: get(&self.requests),
            answered: get(&self.answered),
            left: get(&self.left),
            finished: get(&self.finished),
            cancelled: get(&self.cancelled),
            cut: self.alive.load(Ordering::Relaxed) as u64,
        }
    }
}
