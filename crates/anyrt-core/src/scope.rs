//! Cancel scopes. `tree/README.md` explains the tree behind them.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) mod checkpoint;
pub(crate) mod exit;
mod finally;
mod owned;
mod running;
pub(crate) mod scoped;
mod shield;
mod stopping;
mod timeout;

pub use exit::Exit;
pub(crate) use finally::{Ended, work};
pub use finally::{Finally, finally};
pub use owned::{FinallyOwned, ShieldOwned};
pub use shield::{Shield, ShieldWithin, shield};
pub use stopping::{Stopping, is_stopping, stopping};
pub use timeout::{FailAfter, MoveOnAfter, TimedOut, fail_after, fail_at, move_on_after, move_on_at};

use self::running::Running;
use self::stopping::News;
use crate::base::clock;
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::handle::Handle;
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Cancelled, Cause, NEVER, Node, NodeRef, Park, Path, ScopeKind};

/// A region of code that can be cancelled as a whole: by hand, by a deadline, by a scope around it.
///
/// Built, then run once ([`run`](CancelScope::run) consumes it, so it cannot be entered twice).
/// Cancelling it drops what runs inside the first time that is pending and nothing inside holds.
///
/// ```
/// # async fn demo() {
/// use std::time::Duration;
/// use anyrt_core::CancelScope;
///
/// let done = CancelScope::new()
///     .timeout(Duration::from_secs(2))
///     .run(async |scope| {
///         scope.cancel_with("changed my mind");
///         anyrt_core::checkpoint().await;
///         unreachable!("the scope drops this here")
///     })
///     .await;
/// assert_eq!(done.unwrap_err().reason(), Some("changed my mind"));
/// # }
/// ```
#[must_use = "a scope does nothing until it is run"]
pub struct CancelScope {
    node: NodeRef,
    timeout: Option<Duration>,
}

impl CancelScope {
    /// A scope that is not cancelled, has no deadline and no shield.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "a scope is built to be run, never by default")]
    pub fn new() -> CancelScope {
        CancelScope {
            node: Arc::new(ScopeNode(Node::new(ScopeKind::Scope, Location::caller()))),
            timeout: None,
        }
    }

    /// Cancels it when `timeout` has passed since it was first polled.
    pub fn timeout(mut self, timeout: Duration) -> CancelScope {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels it at `deadline`. One that has passed already cancels at the first checkpoint.
    #[track_caller]
    pub fn deadline(self, deadline: Instant) -> CancelScope {
        tree::set_deadline(&self.node, clock::to_u64(deadline), None, Some(Location::caller()));
        self
    }

    /// The reason that is told when the deadline cancels it.
    pub fn reason(self, reason: &str) -> CancelScope {
        self.node.node().set_reason(reason);
        self
    }

    /// Shields what runs inside from cancellations around this scope, not from its own.
    pub fn shield(self, shield: bool) -> CancelScope {
        tree::set_shield(&self.node, shield);
        self
    }

    /// A handle for others, good before, during and after the run.
    pub fn handle(&self) -> ScopeHandle {
        ScopeHandle { node: self.node.clone() }
    }

    /// Runs `body` inside the scope.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when this scope's own cancellation cut the body short. A body that ended all
    /// the same gives its value. A scope that is cancelled only because one around it is never
    /// resolves: the outer one drops it.
    ///
    /// # Panics
    ///
    /// With a timeout, when polled outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped by foreign code, the body is dropped with it, synchronously.
    #[track_caller]
    pub fn run<F, T>(self, body: F) -> impl Future<Output = Result<T, Cancelled>>
    where
        F: AsyncFnOnce(ScopeHandle) -> T,
    {
        let called = Location::caller();
        async move {
            if let Some(after) = self.timeout {
                let deadline = clock::add(context::now_for(called), after);
                if deadline < self.node.node().own_deadline() {
                    tree::set_deadline(&self.node, deadline, Some(after), None);
                }
            }
            let body = body(self.handle());
            Running::new(self.node, body).await
        }
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope").field("node", self.node.node()).finish_non_exhaustive()
    }
}

/// A handle to a scope: cancels it, moves its deadline, asks for its state. From any thread.
#[derive(Clone)]
pub struct ScopeHandle {
    pub(crate) node: NodeRef,
}

impl ScopeHandle {
    /// Cancels the scope. The first cancellation is kept; on a scope that has ended it changes nothing.
    ///
    /// Returns at once. Code that runs goes on to its next checkpoint.
    #[track_caller]
    pub fn cancel(&self) {
        tree::cancel_by_call(&self.node, None);
    }

    /// As [`cancel`](ScopeHandle::cancel), with a reason that errors and logs repeat ([`Cancelled::reason`]).
    #[track_caller]
    pub fn cancel_with(&self, reason: &str) {
        tree::cancel_by_call(&self.node, Some(reason));
    }

    /// Tells what runs inside to stop, and cancels it when `grace` is over: the two phases of a shutdown.
    ///
    /// From now on [`stopping`](crate::stopping()) is ready inside, at any depth and in scopes that are
    /// opened later, but not behind a shield; code that looks stops to take on new work, finishes what it has begun, and
    /// ends. What has not ended by then is cancelled, with [`Cause::GraceOver`]. Called again, the grace that ends
    /// sooner stands; [`cancel`](ScopeHandle::cancel) ends it at once, and a deadline of the scope still counts. A scope
    /// that was not entered yet has the grace from its first poll if this is called outside of any runtime. On a scope that is cancelled or has
    /// ended it changes nothing.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{Cause, CancelScope, is_stopping, sleep, stopping};
    /// use std::time::Duration;
    ///
    /// let ended = CancelScope::new()
    ///     .run(async |scope| {
    ///         scope.cancel_after(Duration::from_millis(10));
    ///         stopping().await;
    ///         assert!(is_stopping() && !scope.is_cancelled());
    ///         sleep(Duration::from_secs(3600)).await // is cut short when the grace is over
    ///     })
    ///     .await;
    /// assert_eq!(ended.unwrap_err().cause(), Cause::GraceOver);
    /// # }
    /// ```
    #[track_caller]
    pub fn cancel_after(&self, grace: Duration) {
        self.stop(grace, None);
    }

    /// As [`cancel_after`](ScopeHandle::cancel_after), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_after_with(&self, grace: Duration, reason: &str) {
        self.stop(grace, Some(reason.into()));
    }

    #[track_caller]
    fn stop(&self, grace: Duration, reason: Option<Box<str>>) {
        let story = Cancelled::when_over(Cause::GraceOver, grace, reason, Location::caller());
        let now =
            Path::handle_around(&self.node).or_else(|| Handle::try_current().ok()).map(|handle| handle.now());
        tree::stop(&self.node, grace, now, story);
        if now.is_some() && grace.is_zero() {
            tree::time_out(&self.node);
        }
    }

    /// Whether what runs in it was told to stop: by [`cancel_after`](ScopeHandle::cancel_after) here or on
    /// a scope around it in sight, or by a cancellation.
    pub fn is_stopping(&self) -> bool {
        self.node.node().is_stopping() || self.cancel_called()
    }

    /// Ready when [`is_stopping`](ScopeHandle::is_stopping) is true, wherever it is awaited.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        News::new(self.node.clone(), tree::Node::is_stopping, Location::caller())
    }

    /// Whether this very scope was cancelled: by hand, or by its deadline.
    ///
    /// A deadline that passed while nothing looked is seen at the next checkpoint; of a scope that
    /// was not entered yet it is seen here.
    pub fn cancel_called(&self) -> bool {
        let node = self.node.node();
        node.is_own_cancelled() || !node.is_ended() && node.parent().is_none() && self.is_late()
    }

    /// Whether what runs in it is cancelled, by this scope or by one around it in sight.
    pub fn is_cancelled(&self) -> bool {
        self.node.node().is_cancelled() || self.cancel_called()
    }

    /// Ready when [`is_cancelled`](ScopeHandle::is_cancelled) is true.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        News::new(self.node.clone(), tree::Node::is_cancelled, Location::caller())
    }

    /// Its own deadline.
    pub fn deadline(&self) -> Option<Instant> {
        clock::to_instant(self.node.node().own_deadline())
    }

    /// Moves the deadline, in either direction, also while it runs; `None` takes it away.
    ///
    /// One that has passed cancels at once. It never takes back a cancellation.
    #[track_caller]
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        let moved = Some(Location::caller());
        tree::set_deadline(&self.node, deadline.map_or(NEVER, clock::to_u64), None, moved);
        if !self.node.node().is_ended() && self.is_late() {
            tree::time_out(&self.node);
        }
    }

    /// Whether its shield is up.
    pub fn is_shielded(&self) -> bool {
        self.node.node().is_shielded()
    }

    /// Puts the shield up or takes it down, also while it runs.
    ///
    /// Taken down, a cancellation around it arrives at the next checkpoint. Put up after such a cancellation, it is
    /// in time for code that is running and has not waited since; if something inside waited already when the
    /// cancellation came, and nothing held it there, that is being unwound, and the shield comes too late: it goes on
    /// to the scope that was cancelled. (Trio: the same.)
    pub fn set_shield(&self, shield: bool) {
        tree::set_shield(&self.node, shield);
    }

    /// Why it is cancelled: its own cause, or that of the outermost scope that cancelled it.
    pub fn cause(&self) -> Option<Cancelled> {
        self.node.node().cause()
    }

    fn is_late(&self) -> bool {
        let deadline = self.node.node().own_deadline();
        deadline != NEVER && Handle::try_current().is_ok_and(|handle| clock::to_u64(handle.now()) >= deadline)
    }
}

impl fmt::Debug for ScopeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeHandle").field("node", self.node.node()).finish_non_exhaustive()
    }
}

/// The earliest deadline in sight of the code that runs, through all scopes up to a shield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EffectiveDeadline {
    /// There is none.
    None,
    /// The instant, on the runtime's clock.
    At(Instant),
    /// The code is in a cancelled scope: its time is over (Trio: minus infinity).
    Cancelled,
}

/// The effective deadline of the code that runs.
pub fn current_deadline() -> EffectiveDeadline {
    match context::view() {
        (true, _) => EffectiveDeadline::Cancelled,
        (false, deadline) => {
            clock::to_instant(deadline).map_or(EffectiveDeadline::None, EffectiveDeadline::At)
        }
    }
}

/// Whether a cancellation is pending here: the next checkpoint would not return.
pub fn is_cancelled() -> bool {
    context::view().0
}

/// Stays pending until the scope drops it: for a construct that has no value because a
/// cancellation cut it short.
///
/// Moved out of the scope that cut it short it stays pending all the same, because there is no value
/// that it could give; a warning says so.
pub(crate) fn poll_cut_short<T>(what: &str, cx: &mut Context<'_>) -> Poll<T> {
    match context::top().map_or(Park::Free, |top| top.node().park(cx.waker())) {
        Park::Parked | Park::Held => (),
        Park::Free => tracing::warn!(
            target: "anyrt::held",
            "this {what} was cut short by a cancelled scope and is polled outside of it: it has no value and \
             stays pending; do not poll a future again that a cancelled scope was polling"
        ),
    }
    Poll::Pending
}
