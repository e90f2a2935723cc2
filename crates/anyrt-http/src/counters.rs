//! What a server counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one server, from its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that were accepted.
    connections: AtomicU64,
    /// Requests whose head was read.
    requests: AtomicU64,
    /// Responses that were handed to the system, whole.
    answered: AtomicU64,
    /// Accepts that failed, for want of descriptors or the like.
    refused: AtomicU64,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn begun(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, count: usize) {
        self.answered.fetch_add(count as u64, Ordering::Relaxed);
    }
}
