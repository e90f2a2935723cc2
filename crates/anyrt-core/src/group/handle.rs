//! [`TaskGroup`]: the handle that spawns.

use std::future::Future;
use std::panic::Location;

use super::error::BoxError;
use super::state::GroupState;
use crate::handle::Handle;
use crate::locals::TaskContext;
use crate::scope::tree;
use crate::scope::{Cancelled, Cause, ScopeHandle};
use crate::sync::Arc;
use crate::task::{self, Options, TaskHandle};

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
#[derive(Debug, Clone)]
pub struct TaskGroup {
    pub(super) state: Arc<GroupState>,
    pub(super) handle: Handle,
}

impl TaskGroup {
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
        self.spawner().spawn(future)
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
        self.spawner().try_spawn(future)
    }

    /// Gives the next child a name, for errors and the task view.
    pub fn named(&self, name: &str) -> Spawner<'_> {
        self.spawner().named(name)
    }

    /// Gives the next child these task-locals in place of a copy of the spawner's.
    pub fn with_context(&self, context: TaskContext) -> Spawner<'_> {
        self.spawner().with_context(context)
    }

    /// Cancels the body and all children. The first reason is kept.
    #[track_caller]
    pub fn cancel(&self, reason: &str) {
        let location = Location::caller();
        tree::cancel(&self.state.as_node(), || {
            Cancelled::new(Cause::Explicit, Some(reason.into()), location)
        });
    }

    /// The group's own scope, in which its body and children run.
    pub fn scope(&self) -> ScopeHandle {
        ScopeHandle { node: self.state.as_node() }
    }

    /// Whether it takes no more children: the body has ended and no child is left.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    fn spawner(&self) -> Spawner<'_> {
        Spawner { group: self, options: Options::default() }
    }
}

/// A [`TaskGroup`] with something to say about the next child.
#[must_use = "it spawns nothing until `spawn` or `try_spawn` is called"]
pub struct Spawner<'a> {
    group: &'a TaskGroup,
    options: Options,
}

impl Spawner<'_> {
    /// As [`TaskGroup::named`].
    pub fn named(mut self, name: &str) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// As [`TaskGroup::with_context`].
    pub fn with_context(mut self, context: TaskContext) -> Self {
        self.options.locals = Some(context.0);
        self
    }

    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<F, Which>(self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: NotAResultElseUseTry<Which> + Send + 'static,
    {
        task::spawn(&self.group.handle, self.group.state.clone(), future, Ok, self.options)
    }

    /// As [`TaskGroup::try_spawn`].
    #[track_caller]
    pub fn try_spawn<F, T, E>(self, future: F) -> TaskHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError>,
    {
        let settle = |output: Result<T, E>| output.map_err(Into::into);
        task::spawn(&self.group.handle, self.group.state.clone(), future, settle, self.options)
    }
}

impl std::fmt::Debug for Spawner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spawner").field("name", &self.options.name).finish_non_exhaustive()
    }
}
