//! [`TaskGroup`]: the handle that spawns.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use super::error::BoxError;
use super::service::Service;
use super::start::{NotReady, Ready, Unready, start};
use super::state::GroupState;
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::locals::TaskContext;
use crate::scope::ScopeHandle;
use crate::task::{self, Home, Options, TaskHandle};
use crate::tree::{self, NodeRef, TaskInfo, default_name};

/// The outputs that [`TaskGroup::spawn`] takes: every type but a `Result`.
///
/// So an error is never ignored in silence: it goes through [`TaskGroup::try_spawn`] and fails the
/// group, or it does not compile. The parameter is inferred and has no meaning.
#[diagnostic::on_unimplemented(message = "a child that returns a `Result` is spawned with `try_spawn`")]
pub trait NotAResultElseUseTry<Which> {}

/// Marks every type.
#[derive(Debug)]
pub enum AnyOutput {}

/// Marks a `Result`, so that for one the choice is ambiguous.
#[derive(Debug)]
pub enum AResult {}

impl<T> NotAResultElseUseTry<AnyOutput> for T {}
impl<T, E> NotAResultElseUseTry<AResult> for Result<T, E> {}

/// Spawns children into a group. Cheap to clone; may go into the children themselves.
///
/// [`named`](TaskGroup::named) and [`with_context`](TaskGroup::with_context) return another handle to the same group,
/// whose children get what it says; clones of that too.
#[derive(Clone)]
pub struct TaskGroup {
    pub(crate) state: Arc<GroupState>,
    pub(crate) options: Options,
}

impl TaskGroup {
    pub(super) fn new(state: Arc<GroupState>) -> TaskGroup {
        TaskGroup { state, options: Options::default() }
    }

    /// Spawns a child that ends in a value.
    ///
    /// Returns before the child runs. The child belongs to the group's scope, not to the one that
    /// calls this; its task-locals are a copy of the spawner's. In a group that is closed, because
    /// its body and its last child have ended, the future is dropped and the handle says so
    /// ([`is_not_started`](crate::TaskEnded::is_not_started)).
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: NotAResultElseUseTry<Which> + Send + 'static,
    {
        task::spawn(self.home(), future, Ok, self.options.clone())
    }

    /// Spawns a child that may fail: its error fails the group.
    ///
    /// Otherwise as [`spawn`](TaskGroup::spawn).
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, future: F) -> TaskHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError>,
    {
        let settle = |output: Result<T, E>| output.map_err(Into::into);
        task::spawn(self.home(), future, settle, self.options.clone())
    }

    /// Spawns a service: a child that is cancelled when the body and all other children have ended.
    ///
    /// The group waits for its end. One that ends earlier is a child like any other. Otherwise as
    /// [`spawn`](TaskGroup::spawn).
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{checkpoint, task_group};
    ///
    /// task_group(async |tg| {
    ///     tg.spawn_service(async {
    ///         loop {
    ///             checkpoint().await; // until nobody needs it any more
    ///         }
    ///     });
    ///     tg.spawn(async { "work" });
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_service<F, Which>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: NotAResultElseUseTry<Which> + Send + 'static,
    {
        self.serve(future, Ok)
    }

    /// Spawns a service that may fail: its error fails the group.
    ///
    /// Otherwise as [`spawn_service`](TaskGroup::spawn_service).
    #[track_caller]
    pub fn try_spawn_service<F, T, E>(&self, future: F) -> TaskHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError>,
    {
        self.serve(future, |output| output.map_err(Into::into))
    }

    #[track_caller]
    fn serve<F, T>(&self, future: F, settle: fn(F::Output) -> Result<T, BoxError>) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        T: Send + 'static,
    {
        let info = TaskInfo::new(self.options.name.clone(), default_name::<F>, self.state.host());
        let locals = self.options.locals.clone().unwrap_or_else(context::locals);
        let (service, enlist) = Service::new(&self.state, future);
        task::launch(info, self.home(), service, settle, locals, |task, group| {
            let node: NodeRef = task.clone();
            tree::link_new(&node, &group.as_node());
            enlist(node);
        })
    }

    /// Starts a child and waits until it says that it is ready; returns what it says, and the handle of the child.
    ///
    /// Until then the child belongs to the caller: it runs in the scope of the caller, whose
    /// cancellation it hears, and not that of the group. From then on it belongs to the group (Trio:
    /// `Nursery.start`). The group stays open all the while.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::task_group;
    ///
    /// task_group(async |tg| {
    ///     let (port, server) = tg
    ///         .start(async |ready| {
    ///             ready.started(8080);
    ///             "served"
    ///         })
    ///         .await
    ///         .unwrap();
    ///     assert_eq!(port, 8080);
    ///     assert_eq!(server.await.unwrap(), "served");
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotReady`] when the child ended before it was ready, or the group was closed.
    ///
    /// # Panics
    ///
    /// With the panic of the child before it was ready, when it has ended.
    ///
    /// # Cancel safety
    ///
    /// It acts at its first poll, also in a cancelled scope. Cancelled, it cancels the child alone,
    /// and waits for its end. Dropped by foreign code before the child was ready, the child is
    /// cancelled, and the group waits for it and gets its error or panic.
    #[track_caller]
    pub fn start<F, Fut, V, Which>(
        &self,
        child: F,
    ) -> impl Future<Output = Result<(V, TaskHandle<Fut::Output>), NotReady>> + use<F, Fut, V, Which>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: NotAResultElseUseTry<Which> + Send + 'static,
        V: Send + 'static,
    {
        let started = start(self.clone(), child, Ok, Location::caller());
        async move {
            started.await.map_err(|unready| match unready {
                Unready::NotReady(not_ready) => not_ready,
                Unready::Failed(error) => unreachable!("a child that ends in a value failed: {error}"),
            })
        }
    }

    /// Starts a child that may fail, and waits until it says that it is ready.
    ///
    /// Otherwise as [`start`](TaskGroup::start).
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{Ready, task_group};
    ///
    /// async fn serve(ready: Ready<u16>) -> Result<(), std::num::ParseIntError> {
    ///     let port = "no port".parse()?;
    ///     ready.started(port);
    ///     Ok(())
    /// }
    ///
    /// let started = task_group(async |tg| tg.try_start(serve).await).await.unwrap();
    /// assert!(started.unwrap_err().is::<std::num::ParseIntError>());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the child before it was ready, as it is: the group does not hear of it. One that
    /// comes later fails the group. [`NotReady`] as with `start`. Where the caller was cancelled and
    /// the child fails on its way out, that error is returned all the same.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`start`](TaskGroup::start).
    #[track_caller]
    pub fn try_start<F, Fut, V, T, E>(
        &self,
        child: F,
    ) -> impl Future<Output = Result<(V, TaskHandle<T>), BoxError>> + use<F, Fut, V, T, E>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
        E: Into<BoxError>,
    {
        let settle = |output: Result<T, E>| output.map_err(Into::into);
        let started = start(self.clone(), child, settle, Location::caller());
        async move {
            started.await.map_err(|unready| match unready {
                Unready::NotReady(not_ready) => not_ready.into(),
                Unready::Failed(error) => error,
            })
        }
    }

    /// The same group, whose children are called `name`, in errors and the task view.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::task_group;
    ///
    /// task_group(async |tg| {
    ///     let worker = tg.named("worker").spawn(async { 7 });
    ///     assert_eq!(worker.name(), "worker");
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    #[must_use = "the name is that of the children of what it returns"]
    pub fn named(&self, name: &str) -> TaskGroup {
        let options = Options { name: Some(name.into()), locals: self.options.locals.clone() };
        TaskGroup { state: self.state.clone(), options }
    }

    /// The same group, whose children each get a copy of these task-locals in place of the spawner's.
    #[must_use = "the context is that of the children of what it returns"]
    pub fn with_context(&self, context: TaskContext) -> TaskGroup {
        let options = Options { name: self.options.name.clone(), locals: Some(context.0) };
        TaskGroup { state: self.state.clone(), options }
    }

    /// Cancels the body and all children. The first cancellation is kept.
    #[track_caller]
    pub fn cancel(&self) {
        self.cancel_scope().cancel();
    }

    /// As [`cancel`](TaskGroup::cancel), with a reason that errors and logs repeat.
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

    /// As [`cancel_after`](TaskGroup::cancel_after), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_after_with(&self, grace: Duration, reason: &str) {
        self.cancel_scope().cancel_after_with(grace, reason);
    }

    /// The group's own scope, in which its body and children run.
    pub fn cancel_scope(&self) -> ScopeHandle {
        ScopeHandle { node: self.state.as_node() }
    }

    /// Whether it takes no more children: the body has ended and no child is left.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// For those who spawn into it from a thread.
    pub(crate) fn home(&self) -> Home {
        Home::Group(self.state.clone())
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TaskGroup");
        if let Some(name) = &self.options.name {
            shown.field("name", name);
        }
        shown.field("state", &self.state).finish_non_exhaustive()
    }
}
