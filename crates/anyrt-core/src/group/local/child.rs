//! A child of a local group, and the handle that observes it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::base::sync::{Arc, Mutex, OnceLock};
use crate::base::wake_list::attempt;
use crate::current::context::{self, Place};
use crate::current::gate::{Gate, handed};
use crate::group::error::{BoxError, ChildError};
use crate::group::state::GroupState;
use crate::scope::scoped::{Ending, Outer, Scoped};
use crate::task::{NotFinished, Slot, TaskEnded, TaskStatus, Why, panic_message};
use crate::tree::lazy::{Lazy, ScopeNode};
use crate::tree::site::{Called, awaited_at};
use crate::tree::{Cancelled, Cause, Label, Node, NodeRef, ScopeKind, cancel_by_call};

/// What a child and its handle share.
pub(super) struct ChildState<T> {
    slot: Slot<T>,
    /// Made when the handle is there at the child's first poll, or cancels it before. A child without a
    /// handle has the place that any scope has: none until it is pending.
    node: OnceLock<NodeRef>,
    name: fn() -> &'static str,
    spawned: Called,
}

impl<T> ChildState<T> {
    pub(super) fn new(name: fn() -> &'static str, spawned: Called) -> Self {
        ChildState { slot: Slot::new(), node: OnceLock::new(), name, spawned }
    }

    fn node(&self) -> &NodeRef {
        self.node.get_or_init(|| Arc::new(ScopeNode(Node::new(ScopeKind::Child, self.spawned))))
    }

    fn is_cancelled(&self) -> bool {
        self.node.get().is_some_and(|node| node.node().is_cancelled())
    }

    fn label(&self) -> Label {
        Label::of_child(self.name)
    }

    /// Tells the handle why there is no value.
    fn tell(&self, why: Why) {
        if let Ok(Some(waker)) = self.slot.fill(Err(TaskEnded::new(self.label(), why))) {
            attempt(|| waker.wake());
        }
    }

    /// Tells the handle that the group took no more children.
    pub(super) fn refuse(&self) {
        drop(self.slot.fill(Err(TaskEnded::new(self.label(), Why::NotStarted))));
    }
}

/// Observes a child of a local group. Dropping it changes nothing.
///
/// # Cancel safety
///
/// As [`TaskHandle`](crate::TaskHandle).
pub struct LocalHandle<T> {
    pub(super) state: Arc<ChildState<T>>,
    /// Where it waits, once it was polled.
    pub(super) awaited: Option<Called>,
    /// It was polled at an open gate: from then on the end of the task is handed to it.
    pub(super) waiting: bool,
}

impl<T> LocalHandle<T> {
    /// Cancels this child alone. The first cancellation is kept.
    #[track_caller]
    pub fn cancel(&self) {
        cancel_by_call(self.state.node(), None);
    }

    /// As [`cancel`](LocalHandle::cancel), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_with(&self, reason: &str) {
        cancel_by_call(self.state.node(), Some(reason));
    }

    /// Whether the child has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.state.slot.is_ended()
    }

    /// How it is with the child.
    pub fn status(&self) -> TaskStatus {
        let cancelled = self.state.is_cancelled();
        self.state.slot.status().unwrap_or(TaskStatus::alive(cancelled))
    }

    /// Takes the value, or why there is none, without waiting.
    ///
    /// # Errors
    ///
    /// [`NotFinished`] while the child is alive.
    ///
    /// # Panics
    ///
    /// When the value was taken before, here or by awaiting.
    pub fn try_value(&mut self) -> Result<Result<T, TaskEnded>, NotFinished> {
        self.state.slot.take().ok_or_else(|| NotFinished::new(self.state.label()))
    }

    /// Waits for the end of the child, however it ends, and leaves the value where it is.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = TaskStatus> {
        let called = Location::caller();
        let mut waiting = false;
        let slot = &self.state.slot;
        poll_fn(move |cx| {
            handed(false, called, cx, |cx, gate| match gate {
                Gate::Open => {
                    waiting = true;
                    slot.poll_ended(cx)
                }
                Gate::Shut if waiting && context::is_in_time(slot.ended_at()) => {
                    slot.status().map_or(Poll::Pending, Poll::Ready)
                }
                Gate::Shut => Poll::Pending,
            })
        })
    }
}

impl<T> Future for LocalHandle<T> {
    type Output = Result<T, TaskEnded>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Location::caller();
        let spawned = self.state.spawned;
        let called = *self.awaited.get_or_insert_with(|| awaited_at(polled, spawned));
        handed(false, called, cx, |cx, gate| match gate {
            Gate::Open => {
                self.waiting = true;
                self.state.slot.poll(cx)
            }
            Gate::Shut if self.waiting && context::is_in_time(self.state.slot.ended_at()) => {
                self.state.slot.take().map_or(Poll::Pending, Poll::Ready)
            }
            Gate::Shut => Poll::Pending,
        })
    }
}

impl<T> Drop for LocalHandle<T> {
    fn drop(&mut self) {
        drop(self.state.slot.abandon());
    }
}

impl<T> fmt::Debug for LocalHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("name", &(self.state.name)())
            .field("finished", &self.is_finished())
            .finish()
    }
}

pin_project! {
    /// A child: a drop point that reports its end to the group.
    pub(super) struct LocalChild<F: Future, T> {
        #[pin]
        scoped: Scoped<F>,
        state: Arc<ChildState<T>>,
        settle: fn(F::Output) -> Result<T, BoxError>,
        group: Arc<GroupState>,
        // Whether it was settled which place it has.
        seated: bool,
        ended: bool,
    }

    impl<F: Future, T> PinnedDrop for LocalChild<F, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if *this.ended {
                return;
            }
            sit(this.scoped.as_mut(), this.state, this.seated);
            let why = this.state.slot.is_observed().then(|| {
                let node = this.state.node().node();
                node.cause().unwrap_or_else(|| Cancelled::of(node, Cause::Dropped))
            });
            let dropped = catch_unwind(AssertUnwindSafe(|| this.scoped.as_mut().cut_off()));
            if let Some(why) = why {
                // Whoever waits for it may be elsewhere, outside of what is dropped.
                this.state.tell(Why::Cancelled(why));
            }
            this.group.release();
            if let Err(payload) = dropped
                && !std::thread::panicking()
            {
                resume_unwind(payload);
            }
        }
    }
}

/// Gives a child the node that its handle knows, if there is a handle, before its scope needs one.
fn sit<F, T>(scoped: Pin<&mut Scoped<F>>, state: &ChildState<T>, seated: &mut bool) {
    if !std::mem::replace(seated, true) && (state.slot.is_observed() || state.node.get().is_some()) {
        scoped.seat().place = Place::Linked(state.node().clone());
    }
}

impl<F: Future, T> LocalChild<F, T> {
    pub(super) fn new(
        future: F,
        state: Arc<ChildState<T>>,
        settle: fn(F::Output) -> Result<T, BoxError>,
        group: Arc<GroupState>,
    ) -> Self {
        let scoped = Scoped::new(Lazy::at(ScopeKind::Child, state.spawned), future);
        LocalChild { scoped, state, settle, group, seated: false, ended: false }
    }
}

impl<F: Future, T> Future for LocalChild<F, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let settle = *this.settle;
        sit(this.scoped.as_mut(), this.state, this.seated);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            this.scoped.as_mut().poll_to_end(cx, Outer::EndsHere).map(|ending| match ending {
                Ending::Value(output) => Ending::Value(settle(output)),
                Ending::Cancelled(cancelled) => Ending::Cancelled(cancelled),
            })
        }));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ending::Value(Ok(value)))) => Ok(value),
            Ok(Poll::Ready(Ending::Value(Err(error)))) => {
                let text = error.to_string();
                this.group.fail(ChildError::of_task(this.state.label(), error));
                Err(Why::Failed(text.into()))
            }
            Ok(Poll::Ready(Ending::Cancelled(cancelled))) => {
                if let Place::Linked(node) = &this.scoped.as_mut().seat().place
                    && node.node().is_inherited()
                {
                    this.group.child_cut(node.node());
                }
                Err(Why::Cancelled(cancelled))
            }
            Err(payload) => {
                // What is left of it may panic too; of that the hook tells.
                let _ = catch_unwind(AssertUnwindSafe(|| this.scoped.as_mut().drop_inner()));
                this.scoped.as_mut().seat().end();
                let message = panic_message(&*payload);
                this.group.panicked_unheard(payload);
                Err(Why::Panicked(message, Mutex::new(None)))
            }
        };
        let result = result.map_err(|why| TaskEnded::new(this.state.label(), why));
        *this.ended = true;
        let told = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(Some(waker)) = this.state.slot.fill(result) {
                waker.wake();
            }
        }));
        if let Err(payload) = told {
            this.group.panicked_unheard(payload);
        }
        this.group.release();
        Poll::Ready(())
    }
}
