//! The one allocation of a task: its future, its place in the tree, its result.
//!
//! The only unsafe code of the core: one line, in [`TaskCell::with_future`].
#![allow(unsafe_code)]

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ended::{TaskEnded, Why, panic_message};
use super::handle::Observed;
use super::info::TaskInfo;
use super::slot::Slot;
use super::status::TaskStatus;
use crate::context::{self, Tasked};
use crate::group::{BoxError, ChildError, GroupState, Lost};
use crate::observe;
use crate::scope::Cancelled;
use crate::scope::tree::{self, HasNode, Node, NodeRef, Verdict};
use crate::sync::{Arc, Mutex};
use crate::wake::attempt;

type Payload = Box<dyn Any + Send>;

/// A task whose types are forgotten. Its methods run with the task current.
pub(crate) trait AnyTask: Tasked {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// The runtime has dropped it. Nothing happens when it had ended.
    fn lost(&self);
}

pub(super) struct TaskCell<F: Future, T> {
    info: TaskInfo,
    node: Node,
    group: Arc<GroupState>,
    /// Pinned: see `with_future`. None when the task has ended.
    future: Mutex<Option<F>>,
    settle: fn(F::Output) -> Result<T, BoxError>,
    slot: Slot<T>,
}

/// How a task came to its end.
enum End<T> {
    Value(T),
    Failed(BoxError),
    Cancelled(Cancelled),
    Panicked(Payload),
    Lost,
}

impl<F: Future, T> TaskCell<F, T> {
    /// Without a future it is a task that was refused.
    pub(super) fn new(
        info: TaskInfo,
        group: Arc<GroupState>,
        future: Option<F>,
        settle: fn(F::Output) -> Result<T, BoxError>,
    ) -> Arc<Self> {
        let (future, slot) = (Mutex::new(future), Slot::new());
        Arc::new(TaskCell { info, node: Node::task_root(), group, future, settle, slot })
    }

    /// The group that it belongs to.
    pub(super) fn group(&self) -> &Arc<GroupState> {
        &self.group
    }

    /// Tells the handle that the group took no more children.
    pub(super) fn refuse(&self) {
        drop(self.slot.fill(Err(TaskEnded::new(self.info.label(), Why::NotStarted))));
    }

    /// The one way to the future. The lock is its owner's alone: a task is polled by one thread at
    /// a time, and nothing else asks.
    fn with_future<R>(&self, run: impl FnOnce(Pin<&mut Option<F>>) -> R) -> R {
        let mut future = self.future.lock();
        // SAFETY: the future is structurally pinned: a cell is made inside an `Arc` by `new` and
        // never taken out of it (no `try_unwrap`, `get_mut` or `into_inner` anywhere), the field is
        // private, and this is the only place that reaches it; so it stays where it is until it is
        // dropped in place, by `set(None)` or with the cell.
        run(unsafe { Pin::new_unchecked(&mut *future) })
    }

    /// Polls the future by the rule of cancellation; how it ended, when it did.
    fn advance(&self, mut future: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Option<End<T>> {
        let inner = future.as_mut().as_pin_mut()?;
        self.node.begin_poll();
        let polled = catch_unwind(AssertUnwindSafe(|| match inner.poll(cx) {
            Poll::Ready(output) => Some((self.settle)(output)),
            Poll::Pending => None,
        }));
        let end = match polled {
            Ok(Some(Ok(value))) => End::Value(value),
            Ok(Some(Err(error))) => End::Failed(error),
            Err(payload) => End::Panicked(payload),
            Ok(None) => match catch_unwind(AssertUnwindSafe(|| {
                context::link_task();
                self.node.attend(cx.waker());
                self.node.verdict(cx.waker(), true, false)
            })) {
                Ok(Verdict::Resolve) => match self.node.cause() {
                    Some(cause) => {
                        tree::mark_unwinding(&self.node);
                        End::Cancelled(cause)
                    }
                    None => End::Lost,
                },
                Ok(Verdict::Stay | Verdict::Drop) => return None,
                Err(payload) => End::Panicked(payload),
            },
        };
        match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
            Ok(()) => Some(end),
            // The first panic counts; of the second the hook has told.
            Err(payload) => Some(match end {
                End::Panicked(first) => End::Panicked(first),
                _ => End::Panicked(payload),
            }),
        }
    }
}

impl<F, T> TaskCell<F, T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    /// Reports the end: the group first, then the handle, then the place among the living.
    fn report(&self, end: End<T>) {
        struct Release<'a>(&'a Arc<GroupState>);
        impl Drop for Release<'_> {
            fn drop(&mut self) {
                self.0.release();
            }
        }
        let _release = Release(&self.group);
        let result = match end {
            End::Value(value) => Ok(value),
            End::Failed(error) => {
                let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                let text = text.unwrap_or_else(|_| "an error whose text panicked".to_owned());
                attempt(|| self.group.fail(ChildError::of_task(self.info.label(), error)));
                Err(Why::Failed(text.into()))
            }
            End::Cancelled(cancelled) => Err(Why::Cancelled(cancelled)),
            End::Panicked(payload) => {
                let message = panic_message(&*payload);
                let mut kept = None;
                attempt(|| kept = self.group.panicked(payload));
                Err(Why::Panicked(message, Mutex::new(kept)))
            }
            End::Lost => {
                if !self.group.is_root() {
                    self.fail_lost();
                }
                Err(Why::NotStarted)
            }
        };
        let result = result.map_err(|why| TaskEnded::new(self.info.label(), why));
        let told = catch_unwind(AssertUnwindSafe(|| match self.slot.fill(result) {
            Ok(Some(waker)) => waker.wake(),
            Ok(None) => (),
            Err(unwanted) => self.unwanted(unwanted),
        }));
        if let Err(payload) = told {
            attempt(|| self.group.panicked_unheard(payload));
        }
        attempt(|| tree::end(&self.node));
    }

    /// A result that nobody will ask for. What no group has must not be lost: at the root a panic,
    /// and that the runtime has dropped the task.
    fn unwanted(&self, result: Result<T, TaskEnded>) {
        if !self.group.is_root() {
            return;
        }
        match result {
            Err(ended) if ended.is_not_started() => self.fail_lost(),
            Err(ended) => {
                if let Some(payload) = ended.into_panic() {
                    self.group.panicked_unheard(payload);
                }
            }
            Ok(_) => (),
        }
    }

    fn fail_lost(&self) {
        let label = self.info.label();
        let lost = Lost::new(label.to_string());
        attempt(|| self.group.fail(ChildError::of_task(label, lost.into())));
    }
}

impl<F: Future + Send, T: Send> HasNode for TaskCell<F, T> {
    fn node(&self) -> &Node {
        &self.node
    }

    fn as_task(&self) -> Option<&TaskInfo> {
        Some(&self.info)
    }

    fn is_polled(&self) -> bool {
        self.future.is_locked()
    }

    fn counted_in(&self) -> usize {
        self.group.node().address()
    }
}

impl<F: Future + Send, T: Send> Tasked for TaskCell<F, T> {
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn home(&self) -> Option<&Arc<GroupState>> {
        Some(&self.group)
    }
}

impl<F, T> AnyTask for TaskCell<F, T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let look =
            observe::is_on().then(|| observe::begin(self.info.handle(), &self.info, &self.node, cx.waker()));
        let waker = look.as_ref().map_or(cx.waker(), |look| look.waker(cx.waker()));
        let cx = &mut Context::from_waker(waker);
        match self.with_future(|future| self.advance(future, cx)) {
            Some(end) => {
                if let Some(look) = &look {
                    look.task_ended();
                }
                self.report(end);
                Poll::Ready(())
            }
            None => Poll::Pending,
        }
    }

    fn lost(&self) {
        let end = self.with_future(|mut future| {
            future.is_some().then(|| match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
                Ok(()) => End::Lost,
                Err(payload) => End::Panicked(payload),
            })
        });
        if let Some(end) = end {
            self.report(end);
        }
    }
}

impl<F, T> Observed<T> for TaskCell<F, T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn poll_result(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>> {
        self.slot.poll(cx)
    }

    fn take_result(&self) -> Option<Result<T, TaskEnded>> {
        self.slot.take()
    }

    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus> {
        self.slot.poll_ended(cx)
    }

    fn ended(&self) -> Option<TaskStatus> {
        self.slot.status()
    }

    fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    fn place(self: Arc<Self>) -> NodeRef {
        self
    }

    fn abandon(&self) {
        if let Some(result) = self.slot.abandon() {
            self.unwanted(result);
        }
    }
}
