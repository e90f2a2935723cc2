//! The borrowing scope: children that borrow from their parent, polled inside its task.

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
pub use future::LocalGroup;

use self::child::{ChildState, LocalChild};
use super::error::BoxError;
use super::handle::NotAResultElseUseTry;
use super::state::{GroupState, Policy};
use crate::base::sync::{Arc, Mutex};
use crate::current::context;
use crate::scope::ScopeHandle;
use crate::tree::default_name;

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
        let group = GroupState::new(Policy::InPlace, context::task_id(), None, Location::caller());
        let new = Mutex::new(Arrivals { children: Vec::new(), host: None });
        LocalScope { nursery: Arc::new(Nursery { group, new }), env: PhantomData }
    }

    /// Cancels the body and all children. The first cancellation is kept.
    #[track_caller]
    pub fn cancel(&self) {
        self.cancel_scope().cancel();
    }

    /// As [`cancel`](LocalScope::cancel), with a reason that errors and logs repeat.
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

    /// As [`cancel_after`](LocalScope::cancel_after), with a reason that errors and logs repeat.
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
