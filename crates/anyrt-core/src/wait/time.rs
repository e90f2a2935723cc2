//! Sleeping, on the runtime's clock.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::current::context;
use crate::current::gate::leaf;
use crate::current::handle::Handle;
use crate::current::runtime::Timer;
use crate::tree::NEVER;

/// Waits for `duration`, counted from the first poll. Zero is a [`checkpoint`](crate::checkpoint()).
///
/// # Panics
///
/// When polled outside of any runtime.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::after(duration)
}

/// Waits until `deadline` on the runtime's clock; one that has passed is a checkpoint.
///
/// # Panics, cancel safety
///
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(When::At(deadline))
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    when: When,
    called: &'static Location<'static>,
    handle: Option<Handle>,
}

enum When {
    After(Duration),
    At(Instant),
    /// The time has come: it lets other tasks run once, then it is ready.
    Yielding,
    Running(Pin<Box<dyn Timer>>),
    Never,
}

impl Sleep {
    #[track_caller]
    pub(crate) fn after(duration: Duration) -> Sleep {
        Sleep::new(When::After(duration))
    }

    pub(crate) fn called_at(duration: Duration, called: &'static Location<'static>) -> Sleep {
        Sleep { when: When::After(duration), called, handle: None }
    }

    #[track_caller]
    fn new(when: When) -> Sleep {
        Sleep { when, called: Location::caller(), handle: None }
    }

    pub(crate) fn on(mut self, handle: Handle) -> Sleep {
        self.handle = Some(handle);
        self
    }

    fn start(&mut self) {
        let handle = self.handle.take().unwrap_or_else(|| Handle::current_for(self.called));
        let now = handle.now();
        let deadline = match self.when {
            When::After(duration) => clock::add(now, duration),
            When::At(instant) => clock::to_u64(instant),
            _ => return,
        };
        self.when = if deadline == NEVER {
            When::Never
        } else if deadline <= clock::to_u64(now) {
            When::Yielding
        } else {
            clock::to_instant(deadline).map_or(When::Never, |at| When::Running(handle.runtime().timer(at)))
        };
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let takes = matches!(self.when, When::Yielding | When::After(Duration::ZERO));
        leaf(takes, self.called, cx, |cx| match &mut self.when {
            When::Running(timer) => timer.as_mut().poll_elapsed(cx),
            When::Never => Poll::Pending,
            When::Yielding => Poll::Ready(()),
            When::After(_) | When::At(_) => {
                self.start();
                match &mut self.when {
                    When::Running(timer) => timer.as_mut().poll_elapsed(cx),
                    When::Yielding => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    _ => Poll::Pending,
                }
            }
        })
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("called", &format_args!("{}", self.called)).finish_non_exhaustive()
    }
}

/// Ticks every `period`: the first time at once, on every backend.
///
/// A tick that comes late does not move the later ones; those that were missed altogether are
/// skipped.
///
/// # Panics
///
/// When `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { period, next: None, called: Location::caller() }
}

/// See [`interval`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: Option<Instant>,
    called: &'static Location<'static>,
}

impl Interval {
    /// Waits for the next tick; the instant that it was due.
    ///
    /// # Panics
    ///
    /// When polled outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no tick is lost.
    #[track_caller]
    pub fn tick(&mut self) -> impl Future<Output = Instant> {
        let called = Location::caller();
        async move {
            let due = *self.next.get_or_insert_with(|| context::now_for(self.called));
            Sleep { when: When::At(due), called, handle: None }.await;
            let now = context::now_for(self.called);
            let late = now.saturating_duration_since(due).as_nanos() / self.period.as_nanos();
            let periods = u32::try_from(late).unwrap_or(u32::MAX - 1) + 1;
            self.next = self.period.checked_mul(periods).and_then(|ahead| due.checked_add(ahead));
            due
        }
    }
}

/// The current instant of the runtime's clock.
///
/// # Panics
///
/// Outside of any runtime, naming the cure.
#[track_caller]
pub fn now() -> Instant {
    context::now_for(Location::caller())
}

impl Handle {
    /// Waits for `duration`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::after(duration).on(self.clone())
    }
}
