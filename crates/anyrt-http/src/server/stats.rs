//! What a server did: counts, told at its end.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::response::ended::Ended;

/// What a server did, from its start to its end.
///
/// A request that was read is in the end one of these: `answered`, `left`, `cancelled`, `broken`.
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
    /// Requests whose client left before their response was with the system, to its last byte.
    pub left: u64,
    /// Responses that broke off, since their body failed or panicked or was shorter than was declared.
    pub broken: u64,
    /// Handlers that had begun when the server was told to stop, or later, and ended by themselves.
    pub finished: u64,
    /// Requests, streaming responses among them, that were cancelled at the deadline
    /// ([`Limits::shutdown`](crate::Limits::shutdown)).
    pub cancelled: u64,
    /// Handlers that were still cleaning up when the server no longer waited for them:
    /// [`Limits::teardown`](crate::Limits::teardown). The run's end waits for them.
    pub cut: u64,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served { connections, requests, answered, left, broken, finished, cancelled, cut, .. } = self;
        write!(
            f,
            "{connections} connections, {requests} requests, {answered} answered, {left} left by their client, \
             {broken} broken off; after the stop {finished} finished, {cancelled} cancelled, {cut} cut"
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
    broken: AtomicU64,
    finished: AtomicU64,
    cancelled: AtomicU64,
    /// Handlers that have begun and not ended, also those whose client has left.
    alive: AtomicUsize,
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

    /// So many responses have ended in this way.
    pub(crate) fn ended(&self, ended: &Ended, count: usize) {
        let counter = match ended {
            // What was sent in place of another one counts for itself.
            Ended::Whole(_) | Ended::Refused(_) => &self.answered,
            Ended::Failed(_) | Ended::Panicked(_) => &self.broken,
            Ended::Left => &self.left,
            Ended::Cut => &self.cancelled,
        };
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn handler_begins(&self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// By itself, and after the stop. It counts as alive until [`handler_is_gone`](Counters::handler_is_gone).
    pub(crate) fn handler_finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
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
            broken: get(&self.broken),
            finished: get(&self.finished),
            cancelled: get(&self.cancelled),
            cut: self.alive.load(Ordering::Relaxed) as u64,
        }
    }
}
