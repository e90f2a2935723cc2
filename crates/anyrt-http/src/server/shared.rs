//! What all connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyrt::TaskGroup;
use anyrt::sync::Semaphore;

use super::deadlines::Deadlines;
use super::stats::Counters;
use super::{http1, http2};
use crate::base::limits::Limits;
use crate::request::endpoint::Host;
use crate::request::on_disconnect::Disconnect;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    /// Of routes that say nothing else.
    pub(crate) on_disconnect: Disconnect,
    pub(crate) http1: hyper::server::conn::http1::Builder,
    pub(crate) http2: http2::Builder,
    pub(crate) group: TaskGroup,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) counters: Counters,
    /// A permit for each connection.
    pub(crate) room: Semaphore,
    /// A permit for each handshake.
    #[cfg(feature = "tls")]
    pub(crate) handshakes: Semaphore,
    stage: AtomicU8,
}

const SERVING: u8 = 0;
const STOPPING: u8 = 1;
const CANCELLING: u8 = 2;

impl Shared {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        limits: Limits,
        on_disconnect: Disconnect,
        group: &TaskGroup,
    ) -> Self {
        let clock = anyrt::current_handle();
        Shared {
            host,
            on_disconnect,
            http1: http1::builder(&limits),
            http2: http2::builder(&limits, group, clock.clone()),
            group: group.clone(),
            deadlines: Deadlines::new(clock, &limits),
            counters: Counters::default(),
            room: Semaphore::new(limits.connections.max(1)),
            #[cfg(feature = "tls")]
            handshakes: Semaphore::new(limits.handshakes.max(1)),
            stage: AtomicU8::new(SERVING),
            limits,
        }
    }

    /// From now on connections end after the request they have begun.
    pub(crate) fn stop(&self) {
        self.stage.store(STOPPING, Ordering::SeqCst);
        self.deadlines.wake_all();
    }

    /// From now on what is dropped is cancelled by the server.
    pub(crate) fn cancel(&self) {
        self.stage.store(CANCELLING, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= STOPPING
    }

    pub(crate) fn is_cancelling(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == CANCELLING
    }
}
