//! The one allocation of a task: its future, its place in the tree, its result.
//!
//! The only unsafe code of the core: the future needs no lock, because only the task's [`Owner`] reaches it
//! ([`Alone`]).
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ended::{TaskEnded, Why, panic_message};
use super::handle::Observed;
use super::home::Home;
use super::slot::{Slot, Unobserved};
use super::status::TaskStatus;
use crate::base::payload::Payload;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::attempt;
use crate::current::context::{self, TaskRef, Tasked};
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::group::{BoxError, ChildError, GroupState, Lost};
use crate::observe;
use crate::tree::moment::Moment;
use crate::tree::{self, Cancelled, Cut, HasNode, Node, NodeRef, TaskInfo, Verdict};

/// The right to poll a task, or to report that it is lost. A task has one owner, which lets go of it when it
/// has ended.
///
/// Runtimes store it in their own tasks, so it is small: tokio's are aligned to 128 bytes.
pub(super) struct Owner {
    task: Option<TaskRef>,
    locals: Locals,
}

/// Proof that the caller is the task's only owner: exclusive access to its future. Only this module makes one.
pub(crate) struct Exclusive(());

impl Owner {
    /// The owner of a task that is in no group.
    pub(super) fn of(task: TaskRef) -> Owner {
        Owner { task: Some(task), locals: Locals::default() }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.current(|task, exclusive| task.poll(exclusive, cx)).unwrap_or(Poll::Pending);
        if polled.is_ready() {
            self.task = None;
        }
        polled
    }

    /// None when it has ended.
    pub(super) fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// Runs with the task current. None if it has ended.
    #[inline]
    fn current<R>(&mut self, run: impl FnOnce(&dyn Tasked, Exclusive) -> R) -> Option<R> {
        let task: *const dyn Tasked = Arc::as_ptr(self.task.as_ref()?);
        Some(context::within_task(&mut self.task, &mut self.locals, || {
            // SAFETY: the reference has moved to the current context of this thread, and comes back from there
            // when `within_task` returns or unwinds: nothing else takes it out for good. So the task lives. And
            // this is its owner, borrowed exclusively.
            run(unsafe { &*task }, Exclusive(()))
        }))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.current(|task, exclusive| task.lost(exclusive));
    }
}

/// A future that is pinned in place and reached by the owner of its task only: no lock.
struct Alone<F> {
    future: UnsafeCell<Option<F>>,
    /// For the task view.
    taken: AtomicBool,
}

// SAFETY: a shared reference reaches the future by `get` alone, by one thread at a time.
unsafe impl<F: Send> Sync for Alone<F> {}

impl<F> Alone<F> {
    /// # Safety
    ///
    /// Only if the value that contains it never moves again.
    unsafe fn get<R>(&self, _exclusive: Exclusive, run: impl FnOnce(Pin<&mut Option<F>>) -> R) -> R {
        // SAFETY: there is no other reference, because there is only one `Exclusive` at a time; and the future stays
        // where it is until it is dropped in place: the caller's promise.
        let future = unsafe { Pin::new_unchecked(&mut *self.future.get()) };
        self.taken.store(true, Ordering::Relaxed);
        let result = run(future);
        self.taken.store(false, Ordering::Relaxed);
        result
    }

    fn new(future: Option<F>) -> Alone<F> {
        Alone { future: UnsafeCell::new(future), taken: AtomicBool::new(false) }
    }

    /// Whether its owner is using it now.
    fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }
}

pub(super) struct TaskCell<F: Future, T> {
    info: TaskInfo,
    node: Node,
    home: Home,
    /// None when the task has ended.
    future: Alone<F>,
    settle: fn(F::Output) -> Result<T, BoxError>,
    slot: Slot<T>,
}

/// How a task came to its end.
enum End<T> {
    Value(T),
    Failed(BoxError),
    Cancelled(Cancelled),
    /// Cancelled, and there is no handle that could ask for the cause.
    Unobserved(Unobserved),
    Panicked(Payload),
    Lost,
}

impl<F: Future, T> TaskCell<F, T> {
    /// The task and its owner. Without a future, it is a task that was refused.
    pub(super) fn new(
        info: TaskInfo,
        home: Home,
        future: Option<F>,
        settle: fn(F::Output) -> Result<T, BoxError>,
        locals: Locals,
    ) -> (Arc<Self>, Owner)
    where
        F: Send + 'static,
        T: Send + 'static,
    {
        let (future, slot) = (Alone::new(future), Slot::new());
        let task = Arc::new(TaskCell { info, node: Node::task_root(), home, future, settle, slot });
        (task.clone(), Owner { task: Some(task), locals })
    }

    /// The group that it belongs to.
    pub(super) fn group(&self) -> &Arc<GroupState> {
        self.home.group()
    }

    /// Reports to the handle why the task was not started.
    pub(super) fn refuse(&self, why: Why) {
        drop(self.slot.fill(Err(TaskEnded::new(self.info.label(), why))));
    }

    /// Reports to the group that a child was cut short.
    fn tell_cut(&self, cut: &Cut) {
        if cut.is_from_outside() && self.node.parent_address() == self.group().node().address() {
            self.group().child_cut(&self.node);
        }
    }

    /// Polls the future by the rule of cancellation. Returns how it ended, if it did.
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
                let new = context::link_task(cx.waker());
                if !self.node.is_cancelled() {
                    context::expire_task(&self.node);
                }
                if let Some(cut) = self.node.resolves_at_once() {
                    return Verdict::Resolve(cut);
                }
                if !new {
                    self.node.attend(cx.waker(), true);
                }
                self.node.verdict(cx.waker(), true, false)
            })) {
                Ok(Verdict::Resolve(cut)) => {
                    self.tell_cut(&cut);
                    match self.slot.unobserved() {
                        Some(nobody) => End::Unobserved(nobody),
                        None => End::Cancelled(cut.story(&self.node)),
                    }
                }
                Ok(Verdict::Stay | Verdict::Drop) => return None,
                Err(payload) => End::Panicked(payload),
            },
        };
        match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
            Ok(()) => Some(end),
            // The first panic counts; the second was shown by the panic hook.
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
    /// Reports the end: to the group first, then to the handle; last, the group counts the child out. In this
    /// order, because an error that the handle shows first would be reported twice.
    fn report(&self, end: End<T>) {
        struct Release<'a>(&'a Arc<GroupState>);
        impl Drop for Release<'_> {
            fn drop(&mut self) {
                self.0.release();
            }
        }
        let _release = Release(self.group());
        let result = match end {
            End::Value(value) => Ok(value),
            End::Failed(error) => {
                let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                let text = text.unwrap_or_else(|_| "an error whose text panicked".to_owned());
                attempt(|| self.group().fail(ChildError::of_task(self.info.label(), error)));
                Err(Why::Failed(text.into()))
            }
            End::Unobserved(_) => return self.leave(),
            End::Cancelled(cancelled) => Err(Why::Cancelled(cancelled)),
            End::Panicked(payload) => {
                let message = panic_message(&*payload);
                attempt(
                    || tracing::warn!(target: "anyrt::task", task = %self.info.label(), panic = message, "a task panicked"),
                );
                let mut kept = None;
                attempt(|| kept = self.group().panicked(payload));
                Err(Why::Panicked(message, Mutex::new(kept)))
            }
            End::Lost => {
                if !self.group().is_root() {
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
            attempt(|| self.group().panicked_unheard(payload));
        }
        self.leave();
    }

    /// Takes the node out of the tree. One that was never there has no other owner.
    fn leave(&self) {
        if self.node.was_linked() {
            attempt(|| tree::end(&self.node));
        }
    }

    /// A result without a handle. What is not a group's must not be lost: at the root, a panic, and that the
    /// runtime has dropped the task.
    fn unwanted(&self, result: Result<T, TaskEnded>) {
        if !self.group().is_root() {
            return;
        }
        match result {
            Err(ended) if ended.is_not_started() => self.fail_lost(),
            Err(ended) => {
                if let Some(payload) = ended.into_panic() {
                    self.group().panicked_unheard(payload);
                }
            }
            Ok(_) => (),
        }
    }

    fn fail_lost(&self) {
        let label = self.info.label();
        let lost = Lost::new(label.to_string());
        attempt(|| self.group().fail(ChildError::of_task(label, lost.into())));
    }
}

impl<F, T> HasNode for TaskCell<F, T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    fn node(&self) -> &Node {
        &self.node
    }

    fn as_task(&self) -> Option<&TaskInfo> {
        Some(&self.info)
    }

    fn runs_on(&self) -> Option<&Handle> {
        Some(self.home.handle())
    }

    fn is_polled(&self) -> bool {
        self.future.is_taken()
    }

    fn counted_in(&self) -> usize {
        self.group().node().address()
    }
}

impl<F, T> Tasked for TaskCell<F, T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn home(&self) -> Option<&Arc<GroupState>> {
        Some(self.home.group())
    }

    fn handle(&self) -> &Handle {
        self.home.handle()
    }

    fn poll(&self, exclusive: Exclusive, cx: &mut Context<'_>) -> Poll<()> {
        let look =
            observe::is_on().then(|| observe::begin(self.home.handle(), &self.info, &self.node, cx.waker()));
        let waker = look.as_ref().map_or(cx.waker(), |look| look.waker(cx.waker()));
        let cx = &mut Context::from_waker(waker);
        // SAFETY: a cell is made inside an `Arc` by `new` and never taken out of it (no `try_unwrap`,
        // `get_mut` or `into_inner` anywhere).
        match unsafe { self.future.get(exclusive, |future| self.advance(future, cx)) } {
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

    fn lost(&self, exclusive: Exclusive) {
        let drop_it = |mut future: Pin<&mut Option<F>>| {
            future.is_some().then(|| match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
                Ok(()) => End::Lost,
                Err(payload) => End::Panicked(payload),
            })
        };
        // SAFETY: as in `poll`.
        let end = unsafe { self.future.get(exclusive, drop_it) };
        if let Some(end) = end {
            let shared = &self.home.handle().0.shared;
            if shared.root.is_closed() {
                attempt(|| shared.lost.note(vec![self.info.label().to_string()]));
            }
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

    fn ended_at(&self) -> Option<Moment> {
        self.slot.ended_at()
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
