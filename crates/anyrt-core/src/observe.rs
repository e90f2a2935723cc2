//! What is recorded while tasks are polled, if there is a reason to. Without one, a poll pays one relaxed load
//! for all of it: [`is_on`].

pub(crate) mod quiescence;
pub(crate) mod view;
pub(crate) mod watchdog;

use std::cell::Cell;
use std::sync::Weak;
// Not from `sync`: none of it is part of what is modelled.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use self::quiescence::Quiescence;
use self::watchdog::Guard;
use crate::base::sync::{Arc, Mutex};
use crate::current::handle::Handle;
use crate::task::span;
use crate::tree::site::Called;
use crate::tree::{Label, Node, TaskId, TaskInfo};

/// How many reasons there are in the process to record polls.
static REASONS: AtomicUsize = AtomicUsize::new(0);

std::thread_local! {
    /// The address of the track of the task that is polled on this thread.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// Whether polls are recorded.
#[inline]
pub(crate) fn is_on() -> bool {
    REASONS.load(Ordering::Relaxed) != 0
}

/// A reason to record polls, as long as it lives.
pub(crate) struct Reason(());

impl Reason {
    pub(crate) fn new() -> Reason {
        REASONS.fetch_add(1, Ordering::Relaxed);
        Reason(())
    }
}

impl Drop for Reason {
    fn drop(&mut self) {
        REASONS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is recorded of one run.
#[derive(Default)]
pub(crate) struct Observer {
    measuring: AtomicBool,
    /// Tasks that wait until no other task can go on.
    pub(crate) quiescence: Quiescence,
    /// Counted up when a task begins to wait for quiescence. A track with an older number is out of date,
    /// because in between polls may not have been recorded.
    pub(crate) epoch: AtomicUsize,
    /// Counts polls that begin, and wake-ups: code that looks at all tasks one after the other sees by it
    /// whether anything went on meanwhile.
    pub(crate) stirs: AtomicUsize,
    /// How many polls there were.
    pub(crate) polls: AtomicU64,
    pub(crate) guard: Option<Arc<Guard>>,
    /// There is one while the run is measured.
    reason: Mutex<Option<Reason>>,
}

impl Observer {
    pub(crate) fn new(measuring: bool, guard: Option<Arc<Guard>>) -> Observer {
        let reason = (measuring || guard.is_some()).then(Reason::new);
        Observer {
            measuring: AtomicBool::new(measuring),
            guard,
            reason: Mutex::new(reason),
            ..Observer::default()
        }
    }

    /// Begins to measure, or stops.
    pub(crate) fn measure(&self, measuring: bool) {
        self.measuring.store(measuring, Ordering::Relaxed);
        let new = (measuring || self.guard.is_some()).then(Reason::new);
        let old = std::mem::replace(&mut *self.reason.lock(), new);
        drop(old);
    }

    /// The run has ended.
    pub(crate) fn end(&self) {
        if let Some(guard) = &self.guard {
            guard.stop();
        }
        let reason = self.reason.lock().take();
        drop(reason);
    }

    pub(crate) fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }
}

/// The record of one task. It stands between the task and the runtime's waker.
pub(crate) struct Track {
    id: TaskId,
    label: Label,
    observer: Arc<Observer>,
    waker: Mutex<Option<Waker>>,
    /// It is being polled, or was woken.
    busy: AtomicBool,
    /// It was woken since its last poll began.
    woken: AtomicBool,
    ended: AtomicBool,
    /// The observer's `epoch` when its last poll began.
    epoch: AtomicUsize,
    /// It woke itself in this poll.
    by_itself: AtomicBool,
    /// In how many polls in a row.
    in_a_row: AtomicU32,
    polls: AtomicU64,
    busy_for: AtomicU64,
    /// When its last poll ended, on the runtime's clock.
    pending_since: AtomicU64,
}

/// What was measured of a task.
pub(crate) struct Measured {
    pub(crate) polls: u64,
    pub(crate) busy: Duration,
    pub(crate) pending_since: u64,
}

impl Track {
    pub(crate) fn new(info: &TaskInfo, observer: &Arc<Observer>) -> Arc<Track> {
        Arc::new(Track {
            id: info.id(),
            label: info.label(),
            observer: observer.clone(),
            waker: Mutex::new(None),
            busy: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            epoch: AtomicUsize::new(0),
            by_itself: AtomicBool::new(false),
            in_a_row: AtomicU32::new(0),
            polls: AtomicU64::new(0),
            busy_for: AtomicU64::new(0),
            pending_since: AtomicU64::new(0),
        })
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    /// Whether its last poll was recorded since the present waiters began to wait.
    pub(crate) fn is_known(&self) -> bool {
        self.epoch.load(Ordering::SeqCst) == self.observer.epoch.load(Ordering::SeqCst)
    }

    /// Whether it waits: it is not being polled, and was not woken.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::SeqCst)
    }

    pub(crate) fn measured(&self) -> Measured {
        Measured {
            polls: self.polls.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_for.load(Ordering::Relaxed)),
            pending_since: self.pending_since.load(Ordering::Relaxed),
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn begin(&self, waker: &Waker) {
        let new = Some(waker.clone());
        let old = std::mem::replace(&mut *self.waker.lock(), new);
        drop(old);
        self.observer.stirs.fetch_add(1, Ordering::SeqCst);
        self.busy.store(true, Ordering::SeqCst);
        self.epoch.store(self.observer.epoch.load(Ordering::SeqCst), Ordering::SeqCst);
        self.woken.store(false, Ordering::SeqCst);
        self.by_itself.store(false, Ordering::Relaxed);
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.observer.polls.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, ended: bool) {
        if ended {
            self.ended.store(true, Ordering::SeqCst);
            let old = self.waker.lock().take();
            drop(old);
            self.busy.store(false, Ordering::SeqCst);
        } else if !self.woken.load(Ordering::SeqCst) {
            self.busy.store(false, Ordering::SeqCst);
            // It was woken in between.
            if self.woken.load(Ordering::SeqCst) {
                self.busy.store(true, Ordering::SeqCst);
            }
        }
        self.observer.quiescence.look_again(self.id);
    }
}

impl Wake for Track {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if POLLED.get() == self.address() {
            self.by_itself.store(true, Ordering::Relaxed);
        }
        self.observer.stirs.fetch_add(1, Ordering::SeqCst);
        self.woken.store(true, Ordering::SeqCst);
        if !self.ended.load(Ordering::SeqCst) {
            self.busy.store(true, Ordering::SeqCst);
        }
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// One poll that is recorded, until this is dropped.
pub(crate) struct RecordedPoll {
    tracked: Option<Tracked>,
    _span: Option<tracing::span::EnteredSpan>,
}

struct Tracked {
    track: Arc<Track>,
    /// The waker that the task gets in place of the runtime's own.
    waker: Waker,
    outer: usize,
    handle: Handle,
    started: Option<Instant>,
    /// Where it waited before this poll.
    resumed: Option<Called>,
    ended: Cell<bool>,
}

/// A recorded poll begins.
#[cold]
pub(crate) fn begin(handle: &Handle, info: &TaskInfo, node: &Node, waker: &Waker) -> RecordedPoll {
    let span = span::enter();
    let observer = &handle.0.shared.observer;
    let wanted = observer.is_measuring() || observer.guard.is_some() || observer.quiescence.is_waited_for();
    let tracked = wanted.then(|| {
        let (track, resumed) = node.track(|| Track::new(info, observer));
        track.begin(waker);
        let timed = observer.is_measuring() || observer.guard.is_some();
        let started = timed.then(|| handle.now());
        if let Some(guard) = &observer.guard {
            guard.poll_begins(&track, resumed);
        }
        let outer = POLLED.replace(track.address());
        let waker = Waker::from(track.clone());
        Tracked { track, waker, outer, handle: handle.clone(), started, resumed, ended: Cell::new(false) }
    });
    RecordedPoll { tracked, _span: span }
}

impl RecordedPoll {
    /// The waker for the future.
    pub(crate) fn waker<'a>(&'a self, runtimes: &'a Waker) -> &'a Waker {
        self.tracked.as_ref().map_or(runtimes, |tracked| &tracked.waker)
    }

    /// The task has come to its end.
    pub(crate) fn task_ended(&self) {
        if let Some(tracked) = &self.tracked {
            tracked.ended.set(true);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        POLLED.set(self.outer);
        let (track, observer) = (&self.track, &self.track.observer);
        if let Some(started) = self.started {
            let now = self.handle.now();
            let took = now.saturating_duration_since(started);
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            track.busy_for.fetch_add(nanos, Ordering::Relaxed);
            track.pending_since.store(crate::base::clock::to_u64(now), Ordering::Relaxed);
            let again = if track.by_itself.load(Ordering::Relaxed) {
                track.in_a_row.fetch_add(1, Ordering::Relaxed) + 1
            } else {
                track.in_a_row.store(0, Ordering::Relaxed);
                0
            };
            if let Some(guard) = &observer.guard {
                guard.poll_ended(track, self.resumed, took, again);
            }
        }
        track.end(self.ended.get());
    }
}

/// For code that looks at a run from another thread, and must not keep it alive.
pub(crate) type WeakHandle = Weak<crate::current::handle::Inner>;

impl Handle {
    /// Begins to measure how often and how long each task is polled, for the [task view](Handle::tasks),
    /// or stops. A task is measured from its next poll on, and its polls read the clock twice.
    pub fn measure(&self, measure: bool) {
        self.0.shared.observer.measure(measure);
    }
}
