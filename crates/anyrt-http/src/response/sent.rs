//! The pieces of a response on their way to the system.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};

use crate::base::contained::let_go;

/// What has become of the pieces that hyper was given of one HTTP/2 response: its windows keep them back for as long
/// as the client likes, after hyper is done with the body.
#[derive(Debug)]
pub(crate) struct Sent {
    on_their_way: AtomicUsize,
    lost: AtomicBool,
    /// How often its connection had been flushed when the response was made.
    made_at: usize,
}

impl Sent {
    pub(crate) fn made_at(flushes: usize) -> Arc<Self> {
        Arc::new(Sent { on_their_way: AtomicUsize::new(0), lost: AtomicBool::new(false), made_at: flushes })
    }

    /// Whether all of it went, as far as can be known of a connection that is gone: `flushes` is how often it was flushed.
    pub(crate) fn went(&self, flushes: usize) -> bool {
        self.is_over() && !self.is_lost() && flushes != self.made_at
    }

    /// Whether no piece is on its way any more.
    pub(crate) fn is_over(&self) -> bool {
        self.on_their_way.load(Ordering::Acquire) == 0
    }

    /// Whether a piece was dropped before all of it was written: the stream was reset.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// A piece of a body, in hyper's hands.
pub(crate) struct Piece {
    bytes: Bytes,
    sent: Option<Arc<Sent>>,
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, sent: Option<&Arc<Sent>>) -> Self {
        if let Some(sent) = sent {
            sent.on_their_way.fetch_add(1, Ordering::AcqRel);
        }
        Piece { bytes, sent: sent.cloned() }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(sent) = &self.sent {
            if !self.bytes.is_empty() {
                sent.lost.store(true, Ordering::Release);
            }
            sent.on_their_way.fetch_sub(1, Ordering::AcqRel);
        }
        // The memory may have an owner with a destructor of its own.
        let_go(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Piece").field(&self.bytes.len()).finish()
    }
}
