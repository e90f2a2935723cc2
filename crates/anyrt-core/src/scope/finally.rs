//! Clean-up that awaits, and runs whatever happened to the work.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::exit::Exit;
use super::owned::FinallyOwned;
use super::poll_cut_short;
use super::scoped::{Ending, Outer, Scoped};
use super::shield::{Shield, ShieldWithin, shield_at};
use crate::tree::lazy::Lazy;
use crate::tree::{self, NodeRef, ScopeKind};

/// Runs `work`, then `cleanup`: also when the work was cancelled or panicked.
///
/// What happens when foreign code (`select!`, an abort) drops it half-way:
///
/// | written | dropped by foreign code |
/// |---|---|
/// | `finally(work, cleanup)` | work and clean-up are dropped with their owner: the clean-up **does not run**, a warning says so |
/// | `finally(work, cleanup).owned()` | both go on at the root of the run: the work is cancelled there, and the clean-up **runs** |
///
/// The branches of [`race`](crate::race()) and the children of a group are not dropped half-way: there both do the same.
///
/// The clean-up is told how the work ended ([`Exit`]), and runs shielded; [`within`](Finally::within) gives it a limit.
/// From the start of the work to the end of the clean-up the scopes around wait for it. Then the value of the work is
/// returned, its panic goes on, or the scope that was cancelled drops this.
///
/// ```
/// # async fn demo() {
/// # async fn serve() -> u32 { 7 }
/// # async fn say_goodbye() {}
/// use std::time::Duration;
/// use anyrt_core::{Exit, finally};
///
/// let served = finally(serve(), async |exit| {
///     if let Exit::Cancelled(why) = exit {
///         println!("cut short: {why}");
///     }
///     say_goodbye().await;
/// })
/// .within(Duration::from_secs(1))
/// .await;
/// # }
/// ```
///
/// Work that returned has [`Finished`](Exit::Finished), whatever it returned: a `Result` too, which only the caller can
/// judge. What hangs on it belongs into the work; what is left to the clean-up is what was not done:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use anyrt_core::{BoxError, finally, task_group};
///
/// # async fn transfer() -> Result<u32, BoxError> { Ok(7) }
/// # async fn commit() -> Result<(), BoxError> { Ok(()) }
/// # async fn roll_back() {}
/// # async fn demo() -> Result<(), anyrt_core::GroupError> {
/// task_group(async |tg| {
///     tg.try_spawn(async {
///         let committed = AtomicBool::new(false);
///         let work = async {
///             let sum = transfer().await?;
///             commit().await?;
///             committed.store(true, Ordering::Relaxed);
///             Ok::<_, BoxError>(sum)
///         };
///         // After an error, a cancellation and a panic.
///         let clean_up = async |_| if !committed.load(Ordering::Relaxed) { roll_back().await };
///         finally(work, clean_up).await
///     });
/// })
/// .await
/// # }
/// ```
///
/// # Panics
///
/// With the panic of the work, after the clean-up; with that of the clean-up at once.
///
/// # Cancel safety
///
/// As the table says. Polled again outside of the scope that cut its work short, it has no value and stays pending; a
/// warning says so.
#[track_caller]
pub fn finally<F, C, D>(work: F, cleanup: C) -> Finally<F, C, D>
where
    F: Future,
    C: FnOnce(Exit) -> D,
    D: Future<Output = ()>,
{
    let opened = Location::caller();
    Finally {
        work: Work::new(opened, work),
        ended: None,
        cleanup: Some(cleanup),
        cleaning: None,
        grace: None,
        opened,
    }
}

pin_project! {
    /// The future of [`finally`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Finally<F: Future, C, D> {
        #[pin]
        work: Work<F>,
        // How the work ended. None before that, and when the result was given to the caller.
        ended: Option<Ended<F::Output>>,
        // None once it has been called.
        cleanup: Option<C>,
        #[pin]
        cleaning: Option<CleanUp<D>>,
        grace: Option<Duration>,
        opened: &'static Location<'static>,
    }
}

impl<F, C, D> Finally<F, C, D>
where
    F: Future,
    C: FnOnce(Exit) -> D,
    D: Future<Output = ()>,
{
    /// Limits the clean-up: one that has not ended when `grace` is over is cancelled, and a tracing warning of target
    /// `anyrt::grace` names it. Then all goes on as after any clean-up.
    ///
    /// The grace counts from the start of the clean-up. Said before [`owned`](Finally::owned): `.within(grace).owned()`.
    pub fn within(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Survives its owner, for futures that own what they use. Costs one allocation.
    ///
    /// ```
    /// # async fn demo() {
    /// # async fn serve() {}
    /// # async fn goodbye() {}
    /// anyrt_core::finally(serve(), async |_| goodbye().await).owned().await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When it was polled before. The future that it returns: as [`finally`]; a panic that comes after that was dropped
    /// is resumed at the end of the run.
    ///
    /// # Cancel safety
    ///
    /// Dropped by foreign code after it was first polled, work and clean-up are moved to the root of the run, which
    /// waits for them: there the work is cancelled, and the clean-up runs. Never polled, both are dropped with it.
    pub fn owned(mut self) -> FinallyOwned<F::Output>
    where
        F: Send + 'static,
        F::Output: Send + 'static,
        C: Send + 'static,
        D: Send + 'static,
    {
        let (_, work) = self.work.scoped.take_unpolled();
        let Some(cleanup) = self.cleanup else { panic!("a future was polled again after it was ready") };
        FinallyOwned::new(self.opened, work, move |exit| CleanUp::new(self.opened, self.grace, cleanup(exit)))
    }
}

impl<F, C, D> Future for Finally<F, C, D>
where
    F: Future,
    C: FnOnce(Exit) -> D,
    D: Future<Output = ()>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        /// Drops the clean-up when it has ended or panicked, and not later, in its owner's drop.
        struct Ends<'a, D>(Pin<&'a mut Option<CleanUp<D>>>);
        impl<D> Drop for Ends<'_, D> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }

        let mut this = self.project();
        if this.cleanup.is_some() {
            let ended = ready!(this.work.poll(cx));
            if let Some(cleanup) = this.cleanup.take() {
                let cleanup = cleanup(exit_of(&ended));
                this.cleaning.set(Some(CleanUp::new(this.opened, *this.grace, cleanup)));
            }
            *this.ended = Some(ended);
        }
        let mut ends = Ends(this.cleaning);
        if let Some(cleaning) = ends.0.as_mut().as_pin_mut()
            && cleaning.poll(cx).is_pending()
        {
            mem::forget(ends);
            return Poll::Pending;
        }
        drop(ends);
        match this.ended.take() {
            Some(Ok(Ending::Value(value))) => Poll::Ready(value),
            Some(Err(panic)) => resume_unwind(panic),
            cut @ Some(Ok(Ending::Cancelled(_))) => {
                *this.ended = cut;
                poll_cut_short("finally", cx)
            }
            None => panic!("a future was polled again after it was ready"),
        }
    }
}

impl<F: Future, C, D> fmt::Debug for Finally<F, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finally").field("grace", &self.grace).finish_non_exhaustive()
    }
}

pin_project! {
    /// A clean-up: shielded, and perhaps limited.
    #[project = CleanUpProj]
    pub(super) enum CleanUp<D> {
        Unlimited { #[pin] shield: Shield<D> },
        Within { #[pin] shield: ShieldWithin<D> },
    }
}

impl<D: Future<Output = ()>> CleanUp<D> {
    pub(super) fn new(opened: &'static Location<'static>, grace: Option<Duration>, cleanup: D) -> CleanUp<D> {
        let shield = shield_at(ScopeKind::CleanUp, opened, cleanup);
        match grace {
            Some(grace) => CleanUp::Within { shield: shield.within(grace) },
            None => CleanUp::Unlimited { shield },
        }
    }
}

impl<D: Future<Output = ()>> Future for CleanUp<D> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            CleanUpProj::Unlimited { shield } => shield.poll(cx),
            CleanUpProj::Within { shield } => shield.poll(cx).map(Option::unwrap_or_default),
        }
    }
}

pub(crate) type Ended<T> = Result<Ending<T>, Box<dyn Any + Send>>;

/// What the clean-up is told of it.
pub(super) fn exit_of<T>(ended: &Ended<T>) -> Exit {
    match ended {
        Ok(Ending::Value(_)) => Exit::Finished,
        Ok(Ending::Cancelled(cancelled)) => Exit::Cancelled(cancelled.clone()),
        Err(_) => Exit::Panicked,
    }
}

/// What a clean-up follows: it holds from its first poll on, and tells how it ended.
pub(crate) fn work<F: Future>(
    opened: &'static Location<'static>,
    work: F,
) -> impl Future<Output = Ended<F::Output>> {
    Work::new(opened, work)
}

/// The work, with a node that exists already.
pub(super) fn work_at<F: Future>(node: NodeRef, work: F) -> impl Future<Output = Ended<F::Output>> {
    Work { scoped: Scoped::at(node, work) }
}

pin_project! {
    /// The work: a drop point, and a hold from its first poll on.
    struct Work<F> {
        #[pin]
        scoped: Scoped<F>,
    }

    impl<F> PinnedDrop for Work<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.scoped.is_linked_and_running() && !std::thread::panicking() {
                tracing::warn!("a finally was dropped by its owner before its work had ended: its clean-up does not run");
            }
        }
    }
}

impl<F: Future> Work<F> {
    fn new(opened: &'static Location<'static>, work: F) -> Work<F> {
        Work { scoped: Scoped::new(Lazy::at(ScopeKind::Work, opened), work) }
    }
}

impl<F: Future> Future for Work<F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut scoped = self.project().scoped;
        let polled = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().poll_scoped(cx, Outer::EndsHere)));
        let ended = match polled {
            Ok(Poll::Pending) => {
                tree::hold_parent(scoped.seat().link().clone(), || true);
                return Poll::Pending;
            }
            Ok(Poll::Ready(ending)) => Ok(ending),
            Err(panic) => Err(panic),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().drop_inner()));
        scoped.seat().end();
        // The first panic goes on; the hook has told of the second.
        Poll::Ready(ended.and_then(|ending| dropped.map(|()| ending)))
    }
}
