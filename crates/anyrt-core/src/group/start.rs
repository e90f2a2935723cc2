//! `start`: a child that says when it is ready, and belongs to its starter until then.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::error::{BoxError, ChildError};
use super::handle::TaskGroup;
use super::state::GroupState;
use crate::base::payload::Payload;
use crate::base::sync::{Arc, Mutex};
use crate::current::context::{self, TaskRef};
use crate::scope::poll_cut_short;
use crate::scope::scoped::settle as settle_node;
use crate::task::{self, TaskEnded, TaskHandle, TaskStatus};
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Cancelled, Cause, Label, Node, NodeRef, ScopeKind, TaskInfo, default_name, site};

/// What a child of [`TaskGroup::start`] says that it is ready with.
///
/// Dropping it says nothing: the starter goes on waiting, until the child has ended.
pub struct Ready<V>(Option<Arc<Starting<V>>>);

impl<V> Ready<V> {
    /// One that nobody listens to, so that a function written for `start` can be called without it.
    ///
    /// ```
    /// # use anyrt_core::Ready;
    /// async fn serve(ready: Ready<u16>) {
    ///     ready.started(8080);
    /// }
    /// # async fn demo() {
    /// serve(Ready::ignored()).await;
    /// # }
    /// ```
    pub fn ignored() -> Ready<V> {
        Ready(None)
    }

    /// The child is ready: `start` returns `value`, and from here on the child belongs to the group.
    ///
    /// Where the starter has been cancelled it changes nothing: the child stays with it, and ends with it.
    pub fn started(self, value: V) {
        if let Some(starting) = self.0 {
            starting.started(value);
        }
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("ignored", &self.0.is_none()).finish_non_exhaustive()
    }
}

/// The child ended, or was never started, and had not said that it was ready.
#[derive(Debug)]
pub struct NotReady {
    task: Label,
    /// None when it ended with a value.
    ended: Option<TaskEnded>,
}

impl NotReady {
    /// The group was closed, or the runtime did not take the child.
    pub fn is_not_started(&self) -> bool {
        self.ended.as_ref().is_some_and(TaskEnded::is_not_started)
    }

    /// The child was cancelled by itself.
    pub fn is_cancelled(&self) -> bool {
        self.ended.as_ref().is_some_and(TaskEnded::is_cancelled)
    }

    /// The name of the task.
    pub fn task_name(&self) -> &str {
        self.task.name()
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ended {
            Some(ended) => write!(f, "{ended}, and had not said that it was ready"),
            None => write!(f, "task {} ended and had not said that it was ready", self.task),
        }
    }
}

impl std::error::Error for NotReady {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.ended.as_ref().and_then(std::error::Error::source)
    }
}

/// Why `start` has no value.
pub(super) enum Unready {
    /// The child's own error.
    Failed(BoxError),
    NotReady(NotReady),
}

/// Starts a child and waits until it is ready. Acts at its first poll, and checks nothing before.
pub(super) async fn start<F, Fut, V, T>(
    group: TaskGroup,
    child: F,
    settle: fn(Fut::Output) -> Result<T, BoxError>,
    called: &'static Location<'static>,
) -> Result<(V, TaskHandle<T>), Unready>
where
    F: FnOnce(Ready<V>) -> Fut,
    Fut: Future + Send + 'static,
    V: Send + 'static,
    T: Send + 'static,
{
    let node: NodeRef = Arc::new(ScopeNode(Node::new(ScopeKind::Start, called)));
    settle_node(&node);
    // Told before the child can run: it holds until it is ready or has ended.
    tree::hold_parent(node.clone(), || true);
    let state = Mutex::new(State {
        phase: Phase::Waiting,
        value: None,
        failure: None,
        child: None,
        ended: false,
        starter: None,
    });
    let starting = Arc::new(Starting { node, group: group.state.clone(), state });
    let mut starter = Starter { starting: starting.clone(), task: None, done: false };
    let inner = child(Ready(Some(starting.clone())));
    let parent = context::task_id();
    let info = TaskInfo::new(group.options.name.clone(), default_name::<Fut>, parent);
    let locals = group.options.locals.clone().unwrap_or_else(context::locals);
    let candidate = Candidate { inner: Some(inner), settle, starting: starting.clone() };
    starter.task = Some(task::launch(
        info,
        group.home(),
        candidate,
        |output| output,
        locals,
        move |task, _| {
            tree::link_new(&(task.clone() as NodeRef), &starting.node);
            starting.state.lock().child = Some(task.clone());
        },
    ));
    starter.await
}

/// What starter and child share.
struct Starting<V> {
    /// The starter's place in the tree; the child's parent until it is ready.
    node: NodeRef,
    group: Arc<GroupState>,
    state: Mutex<State<V>>,
}

struct State<V> {
    phase: Phase,
    /// What the child is ready with. Before `Moved`: it was ready too late, the starter is cancelled.
    value: Option<V>,
    failure: Option<Failure>,
    /// None before it is linked, and when it has ended.
    child: Option<TaskRef>,
    ended: bool,
    starter: Option<Waker>,
}

/// Whose the child is. Each change is made once, under the lock.
#[derive(PartialEq, Eq)]
enum Phase {
    /// The starter's.
    Waiting,
    /// The group's, because it is ready.
    Moved,
    /// The group's, because the starter was dropped by its owner.
    Abandoned,
}

enum Failure {
    Error(BoxError),
    Panic(Payload),
}

impl<V> Starting<V> {
    fn started(&self, value: V) {
        let mut state = self.state.lock();
        if state.phase == Phase::Abandoned {
            drop(state);
            drop(value);
            return;
        }
        state.value = Some(value);
        if self.node.node().is_cancelled() {
            return;
        }
        state.phase = Phase::Moved;
        let child = state.child.clone();
        drop(state);
        if let Some(child) = child {
            self.move_to_group(child);
        }
        let starter = self.state.lock().starter.take();
        if let Some(starter) = starter {
            starter.wake();
        }
    }

    /// Gives the child its place in the group. Called once, by who has changed the phase.
    fn move_to_group(&self, child: TaskRef) {
        child.info().set_parent(self.group.host());
        let node = child as NodeRef;
        tree::unlink(&node);
        tree::link(&node, self.group.as_node());
        // It may have ended meanwhile: then nobody would take it out of its new place.
        if self.state.lock().ended {
            tree::unlink(&node);
        }
    }

    /// The child's future is gone. What it failed with is the starter's while the child is; else it
    /// is given back.
    fn child_ended(&self, failure: Option<Failure>) -> Option<Failure> {
        let mut state = self.state.lock();
        state.ended = true;
        let child = state.child.take();
        let left = if state.phase == Phase::Waiting {
            state.failure = failure;
            None
        } else {
            failure
        };
        drop(state);
        drop(child);
        left
    }
}

/// The starter's side: waits for the value, or for the end of the child.
struct Starter<V, T> {
    starting: Arc<Starting<V>>,
    /// None until the child is launched.
    task: Option<TaskHandle<T>>,
    done: bool,
}

impl<V, T> Unpin for Starter<V, T> {}

impl<V, T> Future for Starter<V, T> {
    type Output = Result<(V, TaskHandle<T>), Unready>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &self.task else { return poll_cut_short("start", cx) };
        let node = &self.starting.node;
        settle_node(node);
        let new = cx.waker().clone();
        let mut state = self.starting.state.lock();
        let moved = state.phase == Phase::Moved;
        let old = state.starter.replace(new);
        let value = if moved { state.value.take() } else { None };
        drop(state);
        drop(old);
        if !moved && task.poll_ended(cx).is_pending() {
            site::note_opt(node.node().opened());
            return Poll::Pending;
        }
        // By the scope around; what was cut short inside the child was the child's own affair, if that ended.
        let cut = node.node().is_inherited() && task.status() == TaskStatus::Cancelled;
        self.end();
        let Some(mut task) = self.task.take() else { return Poll::Pending };
        if let Some(value) = value {
            return Poll::Ready(Ok((value, task)));
        }
        let (failure, value) = {
            let mut state = self.starting.state.lock();
            (state.failure.take(), state.value.take())
        };
        match (failure, value) {
            (Some(Failure::Panic(payload)), _) => resume_unwind(payload),
            (Some(Failure::Error(error)), _) => Poll::Ready(Err(Unready::Failed(error))),
            _ if cut => poll_cut_short("start", cx),
            (None, Some(value)) => Poll::Ready(Ok((value, task))),
            (None, None) => {
                let label = task.label();
                let ended = task.try_value().ok().and_then(Result::err);
                Poll::Ready(Err(Unready::NotReady(NotReady { task: label, ended })))
            }
        }
    }
}

impl<V, T> Starter<V, T> {
    /// Releases the hold.
    fn end(&mut self) {
        self.done = true;
        tree::end(self.starting.node.node());
    }
}

impl<V, T> Drop for Starter<V, T> {
    /// Dropped by foreign code: the child is cancelled, and the group's from now on.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let starting = &self.starting;
        let (child, failure) = {
            let mut state = starting.state.lock();
            let child = if state.phase == Phase::Waiting {
                state.phase = Phase::Abandoned;
                state.child.clone()
            } else {
                None
            };
            (child, state.failure.take())
        };
        if let Some(child) = child {
            let node: NodeRef = child.clone();
            tree::cancel(&node, || Cancelled::of(starting.group.as_node().node(), Cause::Dropped));
            starting.move_to_group(child);
        }
        if let Some(failure) = failure {
            // Nobody has heard of it, and the child has ended: the group may be closed.
            let admitted = starting.group.admit();
            match failure {
                Failure::Error(error) if admitted => starting.group.fail(ChildError::of_body(error)),
                Failure::Error(error) => {
                    tracing::error!(%error, "the error of a child whose starter was dropped");
                }
                Failure::Panic(payload) => starting.group.panicked_unheard(payload),
            }
            if admitted {
                starting.group.release();
            }
        }
        tree::end(starting.node.node());
    }
}

pin_project! {
    /// The child: what it fails with before it is ready is its starter's.
    struct Candidate<F: Future, T, V> {
        #[pin]
        inner: Option<F>,
        settle: fn(F::Output) -> Result<T, BoxError>,
        starting: Arc<Starting<V>>,
    }

    impl<F: Future, T, V> PinnedDrop for Candidate<F, T, V> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_none() {
                return;
            }
            let dropped = catch_unwind(AssertUnwindSafe(|| this.inner.set(None)));
            let left = this.starting.child_ended(dropped.err().map(Failure::Panic));
            if let Some(Failure::Panic(payload)) = left && !std::thread::panicking() {
                resume_unwind(payload);
            }
        }
    }
}

impl<F: Future, T, V> Future for Candidate<F, T, V> {
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let settle = *this.settle;
        let polled = match catch_unwind(AssertUnwindSafe(|| inner.poll(cx).map(settle))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(payload) => Err(payload),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| this.inner.set(None)));
        // The first panic goes on; the hook has told of the second.
        let (value, failure) = match polled.and_then(|result| dropped.map(|()| result)) {
            Ok(Ok(value)) => (Some(value), None),
            Ok(Err(error)) => (None, Some(Failure::Error(error))),
            Err(payload) => (None, Some(Failure::Panic(payload))),
        };
        Poll::Ready(match (value, this.starting.child_ended(failure)) {
            (Some(value), _) => Ok(value),
            (None, Some(Failure::Error(error))) => Err(error),
            (None, Some(Failure::Panic(payload))) => resume_unwind(payload),
            (None, None) => Err(ToldTheStarter.into()),
        })
    }
}

/// The error of a child whose real one its starter has: no news to the group.
#[derive(Debug, thiserror::Error)]
#[error("what it failed with went to its starter")]
pub(super) struct ToldTheStarter;
