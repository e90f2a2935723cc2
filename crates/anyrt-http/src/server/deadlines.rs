//! One coarse clock for all that may take too long on a server's connections.
//!
//! A timer for each request would be a wake-up of the reactor for each request. Here a deadline is a
//! number in an atomic: moving it is one store, and one task looks at all of them a few times a second.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use anyrt::runtime::Handle;
use futures_util::task::AtomicWaker;
use slab::Slab;

use crate::base::limits::Limits;

/// The coarsest that anything is measured.
const COARSEST: Duration = Duration::from_millis(250);

/// A limit is kept with this many ticks, or more exactly: [`COARSEST`].
const TICKS: u32 = 16;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The clock, and everything that it watches.
pub(crate) struct Deadlines {
    handle: Handle,
    start: Instant,
    tick: Duration,
    /// Microseconds from the start to the last look.
    now: AtomicU64,
    watched: Mutex<Slab<Arc<Watch>>>,
    /// The ticker, while nothing is watched.
    ticker: AtomicWaker,
}

impl Deadlines {
    pub(crate) fn new(handle: Handle, limits: &Limits) -> Arc<Self> {
        let tick = (limits.shortest() / TICKS).clamp(Duration::from_millis(1), COARSEST);
        Arc::new(Deadlines {
            start: handle.now(),
            handle,
            tick,
            now: AtomicU64::new(0),
            watched: Mutex::default(),
            ticker: AtomicWaker::new(),
        })
    }

    /// Watches one thing more, until the result is dropped. Reads the clock.
    pub(crate) fn watch(self: &Arc<Self>) -> Watched {
        let watch = Arc::new(Watch::default());
        let (key, first) = {
            let mut watched = self.lock();
            let first = watched.is_empty();
            (watched.insert(Arc::clone(&watch)), first)
        };
        self.look_at_clock();
        if first {
            self.ticker.wake();
        }
        Watched { deadlines: Arc::clone(self), watch, key }
    }

    /// Looks at all deadlines again and again; waits while there are none.
    pub(crate) async fn run(&self) {
        loop {
            poll_fn(|cx| {
                self.ticker.register(cx.waker());
                if self.lock().is_empty() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            self.handle.sleep(self.tick).await;
            self.look();
        }
    }

    fn look(&self) {
        let now = self.look_at_clock();
        let mut passed = Vec::new();
        for (_, watch) in self.lock().iter() {
            for slot in [&watch.connection, &watch.body] {
                if slot.earliest() <= now {
                    passed.extend(slot.waker().clone());
                }
            }
        }
        passed.into_iter().for_each(Waker::wake);
    }

    /// Wakes all connections, for a change that concerns all of them.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<_> =
            self.lock().iter().filter_map(|(_, watch)| watch.connection.waker().clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn look_at_clock(&self) -> u64 {
        let now = micros(self.handle.now().saturating_duration_since(self.start));
        self.now.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// The moment that is `limit` away; looked at in time, so that it is no later, but up to two ticks
    /// earlier.
    fn at(&self, limit: Duration) -> u64 {
        let whole = self.now.load(Ordering::Relaxed).saturating_add(micros(limit));
        whole.saturating_sub(micros(self.tick)).min(NEVER - 1)
    }

    fn passed(&self, at: u64) -> bool {
        at <= self.now.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<Watch>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NEVER)
}

/// The deadlines of one connection, or of one body.
#[derive(Debug, Default)]
struct Watch {
    connection: Slot,
    body: Slot,
}

/// Two deadlines of the same task.
#[derive(Debug)]
struct Slot {
    reading: AtomicU64,
    writing: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Default for Slot {
    fn default() -> Self {
        Slot { reading: AtomicU64::new(NEVER), writing: AtomicU64::new(NEVER), waker: Mutex::default() }
    }
}

impl Slot {
    fn earliest(&self) -> u64 {
        self.reading.load(Ordering::Relaxed).min(self.writing.load(Ordering::Relaxed))
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is watched as long as this lives.
pub(crate) struct Watched {
    deadlines: Arc<Deadlines>,
    watch: Arc<Watch>,
    key: usize,
}

/// Which of the deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The connection waits for bytes of its client.
    Reading,
    /// The connection waits until its client takes bytes.
    Writing,
    /// A handler waits for the body of its request.
    Body,
}

impl Watched {
    /// From now on it may take so long.
    pub(crate) fn set(&self, which: Which, limit: Duration) {
        self.cell(which).store(self.deadlines.at(limit), Ordering::Relaxed);
    }

    /// As [`set`](Watched::set), unless it is set.
    pub(crate) fn start(&self, which: Which, limit: Duration) {
        if self.cell(which).load(Ordering::Relaxed) == NEVER {
            self.set(which, limit);
        }
    }

    /// It may take so much longer than it was told.
    pub(crate) fn extend(&self, which: Which, more: Duration) {
        let cell = self.cell(which);
        cell.store(cell.load(Ordering::Relaxed).saturating_add(micros(more)), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self, which: Which) {
        self.cell(which).store(NEVER, Ordering::Relaxed);
    }

    pub(crate) fn has_passed(&self, which: Which) -> bool {
        self.deadlines.passed(self.cell(which).load(Ordering::Relaxed))
    }

    /// Sets the waker. `known` is the caller's copy of the one it has set before: the same again takes no lock.
    pub(crate) fn wake(&self, which: Which, waker: &Waker, known: &mut Option<Waker>) {
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        let replaced = self.slot(which).waker().replace(waker.clone());
        drop(replaced);
        *known = Some(waker.clone());
    }

    pub(crate) fn is_set(&self, which: Which) -> bool {
        self.cell(which).load(Ordering::Relaxed) != NEVER
    }

    /// Has the connection polled.
    pub(crate) fn wake_connection(&self) {
        let waker = self.watch.connection.waker().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The coarse time since the server's start.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_micros(self.deadlines.now.load(Ordering::Relaxed))
    }

    fn slot(&self, which: Which) -> &Slot {
        match which {
            Which::Reading | Which::Writing => &self.watch.connection,
            Which::Body => &self.watch.body,
        }
    }

    fn cell(&self, which: Which) -> &AtomicU64 {
        match which {
            Which::Reading => &self.watch.connection.reading,
            Which::Writing => &self.watch.connection.writing,
            Which::Body => &self.watch.body.reading,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let watch = self.deadlines.lock().try_remove(self.key);
        drop(watch);
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").field("tick", &self.tick).finish_non_exhaustive()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("watch", &self.watch).finish_non_exhaustive()
    }
}
