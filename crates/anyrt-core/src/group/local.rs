//! The borrowing scope: children that borrow from their parent, polled inside its task.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, Stream};
use pin_project_lite::pin_project;

use super::conclude::Host;
use super::error::{BoxError, ChildError, GroupError};
use super::handle::NotAResultElseUseTry;
use super::state::{GroupState, Policy};
use crate::context::{self, Gate, Lazy, Place, ScopeNode};
use crate::scope::scoped::{Ending, Outer, Scoped, Seat};
use crate::scope::tree::{self, Node, NodeRef};
use crate::scope::{Cancelled, Cause, ScopeHandle};
use crate::sync::{Arc, Mutex};
use crate::task::{Label, NotFinished, Slot, TaskEnded, TaskStatus, Why, default_name, panic_message};

/// A child of a borrowing scope, when it need not be `Send`.
pub type AnyChild<'env> = dyn Future<Output = ()> + 'env;

/// A child of a borrowing scope that may move between threads, with its parent.
pub type SendChild<'env> = dyn Future<Output = ()> + Send + 'env;

/// Runs `body` with a scope whose children may borrow from outside of it, and need not be `Send`.
///
/// The children are polled inside the task of the parent: concurrent, not parallel. That is the
/// only sound way in Rust: a future can be leaked, so no destructor can be relied on to wait for
/// another thread. Otherwise the rules of [`task_group`](crate::task_group) hold. This future is
/// not `Send`; [`send_scope`] is, and so are its children.
///
/// ```
/// # async fn demo() {
/// let words = vec!["one".to_owned(), "two".to_owned()];
/// let letters = anyrt_core::scope(async |s| {
///     let first = s.spawn(async { words[0].len() });
///     let second = s.spawn(async { words[1].len() });
///     first.await.unwrap() + second.await.unwrap()
/// })
/// .await
/// .unwrap();
/// assert_eq!((letters, words.len()), (6, 2));
/// # }
/// ```
///
/// A child cannot borrow what the body owns, because the body may end before it:
///
/// ```compile_fail
/// # async fn demo() {
/// anyrt_core::scope(async |s| {
///     let local = String::new();
///     s.spawn(async { local.len() });
/// })
/// .await;
/// # }
/// ```
///
/// # Errors, panics
///
/// As [`task_group`](crate::task_group).
///
/// # Cancel safety
///
/// Polled in place: dropped by foreign code, body and children are dropped with it, synchronously.
#[track_caller]
pub fn scope<'env, F, B, T>(body: F) -> LocalGroup<B, T, AnyChild<'env>>
where
    F: FnOnce(LocalScope<'env, AnyChild<'env>>) -> B,
    B: Future<Output = T>,
{
    let scope = LocalScope::new();
    let body = body(scope.clone());
    LocalGroup::new(scope.nursery, body, Ok)
}

/// As [`scope`], with a body that ends in a `Result`.
///
/// # Errors, panics, cancel safety
///
/// As [`scope`]; the body's own error is among the errors.
#[track_caller]
pub fn try_scope<'env, F, B, T>(body: F) -> LocalGroup<B, T, AnyChild<'env>>
where
    F: FnOnce(LocalScope<'env, AnyChild<'env>>) -> B,
    B: Future<Output = Result<T, BoxError>>,
{
    let scope = LocalScope::new();
    let body = body(scope.clone());
    LocalGroup::new(scope.nursery, body, |output| output)
}

/// As [`scope`], with children that are `Send`, so that this is too and may be used in any task.
///
/// # Errors, panics, cancel safety
///
/// As [`scope`].
#[track_caller]
pub fn send_scope<'env, F, B, T>(body: F) -> LocalGroup<B, T, SendChild<'env>>
where
    F: FnOnce(LocalScope<'env, SendChild<'env>>) -> B,
    B: Future<Output = T>,
{
    let scope = LocalScope::new();
    let body = body(scope.clone());
    LocalGroup::new(scope.nursery, body, Ok)
}

/// As [`send_scope`], with a body that ends in a `Result`.
///
/// # Errors, panics, cancel safety
///
/// As [`scope`]; the body's own error is among the errors.
#[track_caller]
pub fn try_send_scope<'env, F, B, T>(body: F) -> LocalGroup<B, T, SendChild<'env>>
where
    F: FnOnce(LocalScope<'env, SendChild<'env>>) -> B,
    B: Future<Output = Result<T, BoxError>>,
{
    let scope = LocalScope::new();
    let body = body(scope.clone());
    LocalGroup::new(scope.nursery, body, |output| output)
}

/// Spawns children into a borrowing scope. Cheap to clone; may go into the children themselves.
pub struct LocalScope<'env, C: ?Sized> {
    nursery: Arc<Nursery<C>>,
    /// What children borrow lives as long as `'env`, neither longer nor shorter.
    env: PhantomData<fn(&'env ()) -> &'env ()>,
}

/// The children on their way into the scope's own hands, and the group that they report to.
struct Nursery<C: ?Sized> {
    group: Arc<GroupState>,
    new: Mutex<Arrivals<C>>,
}

struct Arrivals<C: ?Sized> {
    children: Vec<Pin<Box<C>>>,
    /// The host, to be woken when a child is spawned while it is not polled.
    host: Option<Waker>,
}

impl<C: ?Sized> LocalScope<'_, C> {
    #[track_caller]
    fn new() -> Self {
        let host = context::current_task().map(|task| task.info().id());
        let group = GroupState::new(Policy::InPlace, host, Location::caller());
        let new = Mutex::new(Arrivals { children: Vec::new(), host: None });
        LocalScope { nursery: Arc::new(Nursery { group, new }), env: PhantomData }
    }

    /// Cancels the body and all children. The first reason is kept.
    #[track_caller]
    pub fn cancel(&self, reason: &str) {
        self.scope().cancel(reason);
    }

    /// The scope in which body and children run.
    pub fn scope(&self) -> ScopeHandle {
        ScopeHandle { node: self.nursery.group.as_node() }
    }

    #[track_caller]
    fn adopt<F: Future, T>(
        &self,
        future: F,
        settle: fn(F::Output) -> Result<T, BoxError>,
        erase: impl FnOnce(LocalChild<F, T>) -> Pin<Box<C>>,
    ) -> LocalHandle<T> {
        let name = default_name::<F>();
        let slot = Arc::new(Slot::new());
        let node: NodeRef = Arc::new(ScopeNode(Node::new(Location::caller())));
        let handle = LocalHandle { slot: slot.clone(), node: node.clone(), name, polled: false };
        if !self.nursery.group.admit() {
            drop(slot.fill(Err(TaskEnded::new(Label::of_child(name), Why::NotStarted))));
            return handle;
        }
        let group = self.nursery.group.clone();
        let scoped = Scoped::at(node, future);
        let child = erase(LocalChild { scoped, name, slot, settle, group, ended: false });
        let host = {
            let mut new = self.nursery.new.lock();
            new.children.push(child);
            new.host.take()
        };
        if let Some(host) = host {
            host.wake();
        }
        handle
    }
}

impl<'env> LocalScope<'env, AnyChild<'env>> {
    /// Spawns a child that ends in a value. It runs when the scope is polled next.
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: NotAResultElseUseTry<Which> + 'env,
    {
        self.adopt(future, Ok, |child| Box::pin(child))
    }

    /// Spawns a child that may fail: its error fails the scope.
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, future: F) -> LocalHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
        E: Into<BoxError>,
    {
        self.adopt(future, |output| output.map_err(Into::into), |child| Box::pin(child))
    }
}

impl<'env> LocalScope<'env, SendChild<'env>> {
    /// Spawns a child that ends in a value. It runs when the scope is polled next.
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + Send + 'env,
        F::Output: NotAResultElseUseTry<Which> + Send + 'env,
    {
        self.adopt(future, Ok, |child| Box::pin(child))
    }

    /// Spawns a child that may fail: its error fails the scope.
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, future: F) -> LocalHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'env,
        T: Send + 'env,
        E: Into<BoxError>,
    {
        self.adopt(future, |output| output.map_err(Into::into), |child| Box::pin(child))
    }
}

impl<C: ?Sized> Clone for LocalScope<'_, C> {
    fn clone(&self) -> Self {
        LocalScope { nursery: self.nursery.clone(), env: PhantomData }
    }
}

impl<C: ?Sized> fmt::Debug for LocalScope<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope").field("group", &self.nursery.group).finish()
    }
}

/// Observes a child of a borrowing scope. Dropping it changes nothing.
///
/// # Cancel safety
///
/// As [`TaskHandle`](crate::TaskHandle).
pub struct LocalHandle<T> {
    slot: Arc<Slot<T>>,
    node: NodeRef,
    name: &'static str,
    polled: bool,
}

impl<T> LocalHandle<T> {
    /// Cancels this child alone. The first reason is kept.
    #[track_caller]
    pub fn cancel(&self, reason: &str) {
        let location = Location::caller();
        tree::cancel(&self.node, || Cancelled::new(Cause::Explicit, Some(reason.into()), location));
    }

    /// Whether the child has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.slot.is_ended()
    }

    /// How it is with the child.
    pub fn status(&self) -> TaskStatus {
        let cancelled = self.node.node().is_cancelled();
        self.slot.status().unwrap_or(TaskStatus::alive(cancelled))
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
        self.slot.take().ok_or_else(|| NotFinished::new(Label::of_child(self.name)))
    }

    /// Waits for the end of the child, however it ends, and leaves the value where it is.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn wait(&mut self) -> impl Future<Output = TaskStatus> {
        let mut polled = false;
        poll_fn(move |cx| {
            if std::mem::replace(&mut polled, true)
                && let Some(status) = self.slot.status()
            {
                return Poll::Ready(status);
            }
            match context::gate(false, cx.waker()) {
                Gate::Open => self.slot.poll_ended(cx),
                Gate::Shut => Poll::Pending,
            }
        })
    }
}

impl<T> Future for LocalHandle<T> {
    type Output = Result<T, TaskEnded>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polled
            && let Some(result) = self.slot.take()
        {
            return Poll::Ready(result);
        }
        self.polled = true;
        match context::gate(false, cx.waker()) {
            Gate::Open => self.slot.poll(cx),
            Gate::Shut => Poll::Pending,
        }
    }
}

impl<T> Drop for LocalHandle<T> {
    fn drop(&mut self) {
        drop(self.slot.abandon());
    }
}

impl<T> fmt::Debug for LocalHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("name", &self.name)
            .field("finished", &self.is_finished())
            .finish()
    }
}

pin_project! {
    /// A child: a drop point that reports its end to the group.
    struct LocalChild<F: Future, T> {
        #[pin]
        scoped: Scoped<F>,
        name: &'static str,
        slot: Arc<Slot<T>>,
        settle: fn(F::Output) -> Result<T, BoxError>,
        group: Arc<GroupState>,
        ended: bool,
    }

    impl<F: Future, T> PinnedDrop for LocalChild<F, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.ended {
                this.group.release();
            }
        }
    }
}

impl<F: Future, T> Future for LocalChild<F, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let settle = *this.settle;
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
                this.group.fail(ChildError::of_task(Label::of_child(this.name), error));
                Err(Why::Failed(text.into()))
            }
            Ok(Poll::Ready(Ending::Cancelled(cancelled))) => Err(Why::Cancelled(cancelled)),
            Err(payload) => {
                // What is left of it may panic too; of that the hook tells.
                let _ = catch_unwind(AssertUnwindSafe(|| this.scoped.as_mut().drop_inner()));
                this.scoped.as_mut().seat().end();
                let message = panic_message(&*payload);
                this.group.panicked_unheard(payload);
                Err(Why::Panicked(message, Mutex::new(None)))
            }
        };
        let result = result.map_err(|why| TaskEnded::new(Label::of_child(this.name), why));
        *this.ended = true;
        let told = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(Some(waker)) = this.slot.fill(result) {
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

pin_project! {
    /// The future of a borrowing scope.
    // Its node is nobody's drop point: body and children are.
    #[must_use = "futures do nothing unless polled"]
    pub struct LocalGroup<B: Future, T, C: ?Sized> {
        #[pin]
        body: Scoped<B>,
        settle: fn(B::Output) -> Result<T, BoxError>,
        #[pin]
        children: FuturesUnordered<Pin<Box<C>>>,
        nursery: Arc<Nursery<C>>,
        seat: Seat,
        host: Host<T>,
    }

    impl<B: Future, T, C: ?Sized> PinnedDrop for LocalGroup<B, T, C> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.host.is_done() {
                return;
            }
            this.nursery.group.cancel_for(Cause::Dropped);
            let arrivals = std::mem::take(&mut this.nursery.new.lock().children);
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                context::inside(&mut this.seat.place, || {
                    this.body.as_mut().drop_inner();
                    drop(arrivals);
                    this.children.set(FuturesUnordered::new());
                });
            }));
            this.seat.end();
            if let Err(payload) = dropped && !std::thread::panicking() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

impl<B: Future, T, C: ?Sized> LocalGroup<B, T, C> {
    fn new(nursery: Arc<Nursery<C>>, body: B, settle: fn(B::Output) -> Result<T, BoxError>) -> Self {
        let seat = Seat::new(Place::Linked(nursery.group.as_node()));
        let body = Scoped::new(Lazy::NOWHERE, body);
        LocalGroup { body, settle, children: FuturesUnordered::new(), nursery, seat, host: Host::new() }
    }
}

impl<B: Future, T, C: ?Sized> fmt::Debug for LocalGroup<B, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalGroup").field("group", &self.nursery.group).finish_non_exhaustive()
    }
}

type Ended<T> = Result<Ending<Result<T, BoxError>>, Box<dyn Any + Send>>;

impl<B, T, C> Future for LocalGroup<B, T, C>
where
    B: Future,
    C: ?Sized + Future<Output = ()>,
{
    type Output = Result<T, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.seat.settle();
        let (body, mut children, host) = (&mut this.body, this.children, this.host);
        let (nursery, settle) = (&*this.nursery, *this.settle);
        context::inside(&mut this.seat.place, || {
            loop {
                if !host.body_ended()
                    && let Some(ended) = poll_body(body.as_mut(), settle, cx)
                {
                    host.end_body(&nursery.group, ended);
                }
                let arrivals = {
                    let mut new = nursery.new.lock();
                    if new.children.is_empty() {
                        new.host = Some(cx.waker().clone());
                    }
                    std::mem::take(&mut new.children)
                };
                let nobody_new = arrivals.is_empty();
                children.extend(arrivals);
                let mut progress = false;
                while let Poll::Ready(Some(())) = children.as_mut().poll_next(cx) {
                    progress = true;
                }
                if nobody_new && !progress {
                    break;
                }
            }
        });
        if host.body_ended()
            && let Poll::Ready(result) = host.poll_end(&nursery.group, cx)
        {
            return Poll::Ready(result);
        }
        this.seat.attend(cx.waker());
        Poll::Pending
    }
}

fn poll_body<B: Future, T>(
    mut body: Pin<&mut Scoped<B>>,
    settle: fn(B::Output) -> Result<T, BoxError>,
    cx: &mut Context<'_>,
) -> Option<Ended<T>> {
    let polled = catch_unwind(AssertUnwindSafe(|| match body.as_mut().poll_to_end(cx, Outer::EndsHere) {
        Poll::Ready(Ending::Value(output)) => Some(Ending::Value(settle(output))),
        Poll::Ready(Ending::Cancelled(cancelled)) => Some(Ending::Cancelled(cancelled)),
        Poll::Pending => None,
    }));
    match polled {
        Ok(None) => None,
        Ok(Some(ending)) => Some(Ok(ending)),
        Err(payload) => {
            // What is left of the body may panic too; of that the hook tells.
            let _ = catch_unwind(AssertUnwindSafe(|| body.as_mut().drop_inner()));
            body.seat().end();
            Some(Err(payload))
        }
    }
}
