//! A group with a limit on how many children run at once: to spawn one more is to wait.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::primitives::{AcquireFuture, Permit, Semaphore};
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::current::context;
use crate::group::{BoxError, ChildError, NotAResultElseUseTry, TaskGroup};
use crate::task::{self, TaskEnded, TaskHandle, Why};
use crate::tree::{TaskId, TaskInfo, default_name};

/// Spawns children into a group, at most a given number at once; what [`TaskGroup::limit`] returns.
///
/// Clones share the limit. Children that are spawned into the group itself do not count.
#[derive(Debug, Clone)]
pub struct LimitedGroup {
    group: TaskGroup,
    places: Semaphore,
    /// If there is only one place: the number of the task that had it last; 0 is none.
    last: Option<Arc<AtomicU64>>,
}

impl TaskGroup {
    /// Spawns with back-pressure: while `most` children are alive, spawning waits until one ends.
    ///
    /// The children have the name and the task-locals that this handle gives ([`named`](TaskGroup::named)).
    ///
    /// ```
    /// # async fn demo() {
    /// use std::num::NonZeroUsize;
    /// use anyrt_core::task_group;
    ///
    /// task_group(async |tg| {
    ///     let tg = tg.limit(NonZeroUsize::new(2).unwrap());
    ///     for _ in 0..100 {
    ///         tg.spawn(async { "one of two" }).await;
    ///     }
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    pub fn limit(&self, most: NonZeroUsize) -> LimitedGroup {
        let last = (most == NonZeroUsize::MIN).then(Arc::default);
        LimitedGroup { group: self.clone(), places: Semaphore::new(most.get()), last }
    }
}

impl LimitedGroup {
    /// Waits for a place, first come first served, then spawns; otherwise as [`TaskGroup::spawn`].
    ///
    /// A child that has the only place would wait for itself. What it spawns is therefore not started, as its
    /// handle tells ([`is_not_started`](TaskEnded::is_not_started)), and the group fails.
    ///
    /// # Cancel safety
    ///
    /// Dropped or cancelled while it waits, it spawns nothing.
    #[track_caller]
    pub fn spawn<F, Which>(&self, future: F) -> impl Future<Output = TaskHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: NotAResultElseUseTry<Which> + Send + 'static,
    {
        self.spawn_into(self.places.acquire(), future, Ok)
    }

    /// Waits for a place, first come first served, then spawns; otherwise as [`TaskGroup::try_spawn`].
    ///
    /// # Cancel safety
    ///
    /// As [`spawn`](LimitedGroup::spawn).
    #[track_caller]
    pub fn try_spawn<F, T, E>(&self, future: F) -> impl Future<Output = TaskHandle<T>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError>,
    {
        self.spawn_into(self.places.acquire(), future, |output| output.map_err(Into::into))
    }

    /// The group.
    pub fn group(&self) -> &TaskGroup {
        &self.group
    }

    async fn spawn_into<F, T>(
        &self,
        place: AcquireFuture,
        future: F,
        settle: fn(F::Output) -> Result<T, BoxError>,
    ) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        T: Send + 'static,
    {
        let info = TaskInfo::new(self.group.options.name.clone(), default_name::<F>, self.group.state.host());
        if self.would_wait_for_itself() {
            let ended = TaskEnded::new(info.label(), Why::WaitsForItself);
            self.group.state.fail(ChildError::of_task(info.label(), ended.into()));
            return task::refuse(info, self.group.home(), future, settle, Why::WaitsForItself);
        }
        let place = place.await;
        let locals = self.group.options.locals.clone().unwrap_or_else(context::locals);
        if let Some(last) = &self.last {
            last.store(info.id().number(), Ordering::Release);
        }
        let placed = Placed { inner: future, place };
        task::launch(info, self.group.home(), placed, settle, locals, |_, _| ())
    }

    /// Whether the current task has the only place.
    fn would_wait_for_itself(&self) -> bool {
        let here = || context::task_id().map(TaskId::number);
        self.last.as_ref().is_some_and(|last| here() == Some(last.load(Ordering::Acquire)))
    }
}

pin_project! {
    /// A child and its place, which becomes free when the child's future is gone.
    struct Placed<F> {
        #[pin]
        inner: F,
        place: Permit,
    }
}

impl<F: Future> Future for Placed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}
