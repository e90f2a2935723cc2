//! The local group: children that borrow from their parent, polled inside its task.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::Waker;
use std::time::Duration;

mod child;
mod future;

pub use child::LocalHandle;
pub use future::LocalGroupFuture;

use self::child::{ChildState, LocalChild};
use super::error::BoxError;
use super::handle::NotAResultElseUseTry;
use super::state::{GroupState, Policy};
use crate::base::sync::{Arc, Mutex};
use crate::current::context;
use crate::scope::ScopeHandle;
use crate::tree::default_name;

/// A child of a local group, when it need not be `Send`.
#[doc(hidden)]
pub type AnyChild<'env> = dyn Future<Output = ()> + 'env;

/// A child of a local group that may move between threads, with its parent.
#[doc(hidden)]
pub type SendChild<'env> = dyn Future<Output = ()> + Send + 'env;

/// Runs `body` with a group whose children may borrow from outside of it, and need not be `Send`.
///
/// The children are polled inside the task of the parent: concurrent, not parallel. That is the
/// only sound way in Rust: a future can be leaked, so no destructor can be relied on to wait for
/// another thread. Otherwise the rules of [`task_group`](crate::task_group) hold. This future is
/// not `Send`; that of [`LocalGroup::sendable`] is, and so are its children.
///
/// ```
/// # async fn demo() {
/// let words = vec!["one".to_owned(), "two".to_owned()];
/// let letters = anyrt_core::local_group(async |g| {
///     let first = g.spawn(async { words[0].len() });
///     let second = g.spawn(async { words[1].len() });
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
/// anyrt_core::local_group(async |g| {
///     let local = String::new();
///     g.spawn(async { local.len() });
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
pub fn local_group<'env, F, B, T>(body: F) -> LocalGroupFuture<B, T, AnyChild<'env>>
where
    F: FnOnce(LocalGroup<'env, AnyChild<'env>>) -> B,
    B: Future<Output = T>,
{
    open(body, Ok)
}

/// As [`local_group`], with a body that ends in a `Result`.
///
/// # Errors, panics, cancel safety
///
/// As [`local_group`]; the body's own error is among the errors.
#[track_caller]
pub fn try_local_group<'env, F, B, T>(body: F) -> LocalGroupFuture<B, T, AnyChild<'env>>
where
    F: FnOnce(LocalGroup<'env, AnyChild<'env>>) -> B,
    B: Future<Output = Result<T, BoxError>>,
{
    open(body, |output| output)
}

/// Opens a group, and calls `body` with it.
#[track_caller]
fn open<'env, C, F, B, T>(body: F, settle: fn(B::Output) -> Result<T, BoxError>) -> LocalGroupFuture<B, T, C>
where
    C: ?Sized,
    F: FnOnce(LocalGroup<'env, C>) -> B,
    B: Future,
{
    let group = LocalGroup::new();
    let body = body(group.clone());
    LocalGroupFuture::new(group.nursery, body, settle)
}

/// A [`local_group`] to be run whose children are `Send`; what [`LocalGroup::sendable`] returns.
#[derive(Debug)]
#[must_use = "nothing runs until `run` or `try_run` is called"]
pub struct LocalGroupBuilder(());

impl LocalGroupBuilder {
    /// Runs `body` with the group, as [`local_group`] does it.
    ///
    /// # Errors, panics, cancel safety
    ///
    /// As [`local_group`].
    #[track_caller]
    pub fn run<'env, F, B, T>(self, body: F) -> LocalGroupFuture<B, T, SendChild<'env>>
    where
        F: FnOnce(LocalGroup<'env, SendChild<'env>>) -> B,
        B: Future<Output = T>,
    {
        open(body, Ok)
    }

    /// As [`run`](LocalGroupBuilder::run), with a body that ends in a `Result`.
    ///
    /// # Errors, panics, cancel safety
    ///
    /// As [`local_group`]; the body's own error is among the errors.
    #[track_caller]
    pub fn try_run<'env, F, B, T>(self, body: F) -> LocalGroupFuture<B, T, SendChild<'env>>
    where
        F: FnOnce(LocalGroup<'env, SendChild<'env>>) -> B,
        B: Future<Output = Result<T, BoxError>>,
    {
        open(body, |output| output)
    }
}

/// Spawns children into a [`local_group`]. Cheap to clone; may go into the children themselves.
pub struct LocalGroup<'env, C: ?Sized> {
    nursery: Arc<Nursery<C>>,
    /// What children borrow lives as long as `'env`, neither longer nor shorter.
    env: PhantomData<fn(&'env ()) -> &'env ()>,
}

/// The children on their way into the group's own hands, and the group that they report to.
struct Nursery<C: ?Sized> {
    group: Arc<GroupState>,
    new: Mutex<Arrivals<C>>,
}

struct Arrivals<C: ?Sized> {
    children: Vec<Pin<Box<C>>>,
    /// The host, to be woken when a child is spawned while it is not polled.
    host: Option<Waker>,
}

impl<C: ?Sized> LocalGroup<'_, C> {
    #[track_caller]
    fn new() -> Self {
        let group = GroupState::new(Policy::InPlace, context::task_id(), None, Location::caller());
        let new = Mutex::new(Arrivals { children: Vec::new(), host: None });
        LocalGroup { nursery: Arc::new(Nursery { group, new }), env: PhantomData }
    }

    /// Cancels the body and all children. The first cancellation is kept.
    #[track_caller]
    pub fn cancel(&self) {
        self.cancel_scope().cancel();
    }

    /// As [`cancel`](LocalGroup::cancel), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_with(&self, reason: &str) {
        self.cancel_scope().cancel_with(reason);
    }

    /// Tells the body and all children to stop, and cancels them when `grace` is over; see
    /// [`ScopeHandle::cancel_after`].
    #[track_caller]
    pub fn cancel_after(&self, grace: Duration) {
        self.cancel_scope().cancel_after(grace);
    }

    /// As [`cancel_after`](LocalGroup::cancel_after), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_after_with(&self, grace: Duration, reason: &str) {
        self.cancel_scope().cancel_after_with(grace, reason);
    }

    /// The scope in which body and children run.
    pub fn cancel_scope(&self) -> ScopeHandle {
        ScopeHandle { node: self.nursery.group.as_node() }
    }

    #[track_caller]
    fn adopt<F: Future, T>(
        &self,
        future: F,
        settle: fn(F::Output) -> Result<T, BoxError>,
        erase: impl FnOnce(LocalChild<F, T>) -> Pin<Box<C>>,
    ) -> LocalHandle<T> {
        let state = Arc::new(ChildState::new(default_name::<F>, Location::caller()));
        let handle = LocalHandle { state: state.clone(), awaited: None, waiting: false };
        if !self.nursery.group.admit() {
            state.refuse();
            return handle;
        }
        let child = erase(LocalChild::new(future, state, settle, self.nursery.group.clone()));
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

impl<'env> LocalGroup<'env, AnyChild<'env>> {
    /// Spawns a child that ends in a value. It runs when the group is polled next.
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: NotAResultElseUseTry<Which> + 'env,
    {
        self.adopt(future, Ok, |child| Box::pin(child))
    }

    /// Spawns a child that may fail: its error fails the group.
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

impl<'env> LocalGroup<'env, SendChild<'env>> {
    /// A local group whose children are `Send`, so that its future is too, and may run in any task.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{LocalGroup, task_group};
    ///
    /// task_group(async |tg| {
    ///     tg.spawn(async {
    ///         let words = ["one", "two"];
    ///         let ended = LocalGroup::sendable().run(async |g| {
    ///             g.spawn(async { words[0].len() });
    ///         });
    ///         ended.await.unwrap();
    ///     });
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    pub fn sendable() -> LocalGroupBuilder {
        LocalGroupBuilder(())
    }

    /// Spawns a child that ends in a value. It runs when the group is polled next.
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + Send + 'env,
        F::Output: NotAResultElseUseTry<Which> + Send + 'env,
    {
        self.adopt(future, Ok, |child| Box::pin(child))
    }

    /// Spawns a child that may fail: its error fails the group.
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

impl<C: ?Sized> Clone for LocalGroup<'_, C> {
    fn clone(&self) -> Self {
        LocalGroup { nursery: self.nursery.clone(), env: PhantomData }
    }
}

impl<C: ?Sized> fmt::Debug for LocalGroup<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalGroup").field("group", &self.nursery.group).finish()
    }
}
