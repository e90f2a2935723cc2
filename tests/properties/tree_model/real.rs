//! The same programs on the core.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyrt_core::{
    BoxError, CancelScope, ScopeHandle, TaskGroup, checkpoint_if_cancelled, finally, shield, stopping,
    try_task_group,
};
use futures::future::{BoxFuture, join_all};

use super::by_turns::lock;
use super::naive::{End, Seen};
use super::plan::{Kind, Part, survives_a_cut};

/// The error of a leaf, and of whatever it makes fail.
#[derive(Debug, thiserror::Error)]
#[error("told to fail")]
pub(crate) struct Told;

/// The payload of a leaf that was told to panic.
pub(crate) struct ToldToPanic;

/// A program on the core, and what was seen of its parts.
pub(crate) struct Real {
    parts: Vec<Part>,
    state: Mutex<State>,
}

struct State {
    seen: Vec<Seen>,
    scopes: Vec<Option<CancelScope>>,
    handles: Vec<Option<ScopeHandle>>,
    groups: Vec<Option<TaskGroup>>,
    signals: Vec<Option<End>>,
    wakers: Vec<Option<Waker>>,
}

/// Time stands still here.
const FOR_EVER: Duration = Duration::from_secs(1);

type Ended = Result<(), Told>;

impl Real {
    pub(crate) fn new(parts: &[Part]) -> Arc<Real> {
        let scope = |part: &Part| {
            matches!(part.kind, Kind::Scope | Kind::Lap).then(|| CancelScope::new().shield(part.shield))
        };
        let scopes: Vec<_> = parts.iter().map(scope).collect();
        let state = State {
            seen: vec![Seen::Nothing; parts.len()],
            handles: scopes.iter().map(|scope| scope.as_ref().map(CancelScope::handle)).collect(),
            scopes,
            groups: parts.iter().map(|_| None).collect(),
            signals: vec![None; parts.len()],
            wakers: vec![None; parts.len()],
        };
        Arc::new(Real { parts: parts.to_vec(), state: Mutex::new(state) })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }

    /// Forgets whom it could reach: the groups know the runtime, and the runtime knows this.
    pub(crate) fn let_go(&self) {
        let mut state = lock(&self.state);
        let gone = (
            std::mem::take(&mut state.groups),
            std::mem::take(&mut state.handles),
            std::mem::take(&mut state.scopes),
            std::mem::take(&mut state.wakers),
        );
        drop(state);
        drop(gone);
    }

    pub(crate) fn signal(&self, part: usize, end: End) {
        let mut state = lock(&self.state);
        state.signals[part] = Some(end);
        let waker = state.wakers[part].take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn cancel(&self, part: usize) {
        let state = lock(&self.state);
        let (scope, group) = (state.handles[part].clone(), state.groups[part].clone());
        drop(state);
        if let Some(scope) = scope {
            scope.cancel_with("from outside");
        }
        if let Some(group) = group {
            group.cancel_with("from outside");
        }
    }

    pub(crate) fn stop(&self, part: usize) {
        let state = lock(&self.state);
        let group = || state.groups[part].as_ref().map(TaskGroup::cancel_scope);
        let scope = state.handles[part].clone().or_else(group);
        drop(state);
        if let Some(scope) = scope {
            scope.cancel_after_with(FOR_EVER, "from outside");
        }
    }

    pub(crate) fn set_shield(&self, scope: usize, up: bool) {
        let handle = lock(&self.state).handles[scope].clone();
        handle.expect("only scopes are asked for").set_shield(up);
    }

    pub(crate) fn main(self: &Arc<Self>) -> BoxFuture<'static, Ended> {
        self.run(self.parts[0].inside[0])
    }

    fn saw(&self, part: usize, seen: Seen) {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut state.seen[part], seen);
        drop(state);
        let once = matches!(before, Seen::Nothing | Seen::Begun);
        assert!(once || std::thread::panicking(), "{part} was {before:?} and is {seen:?}");
    }

    fn run(self: &Arc<Self>, part: usize) -> BoxFuture<'static, Ended> {
        let this = Arc::clone(self);
        let inside = self.parts[part].inside.clone();
        match self.parts[part].kind {
            Kind::Leaf => Box::pin(Leaf { real: this, part, begun: false, done: false }),
            Kind::Checkpoint => Box::pin(async {
                checkpoint_if_cancelled().await;
                Ok(())
            }),
            Kind::Stopping => Box::pin(async move {
                let mut told = stopping();
                poll_fn(move |cx| {
                    let mut state = lock(&this.state);
                    state.wakers[part] = Some(cx.waker().clone());
                    let done = state.signals[part].is_some();
                    drop(state);
                    if done { Poll::Ready(()) } else { Pin::new(&mut told).poll(cx) }
                })
                .await;
                Ok(())
            }),
            Kind::Sequence => Box::pin(async move {
                for part in inside {
                    this.run(part).await?;
                }
                Ok(())
            }),
            Kind::Join => Box::pin(async move {
                join_all(inside.into_iter().map(|part| this.run(part))).await.into_iter().collect()
            }),
            Kind::Scope => Box::pin(async move {
                let scope = lock(&this.state).scopes[part].take().expect("a part runs once");
                let result = scope.run(async |_| this.run(inside[0]).await).await;
                match result {
                    Ok(Ok(())) => this.saw(part, Seen::Done),
                    Ok(Err(Told)) => {
                        this.saw(part, Seen::Failed(1));
                        return Err(Told);
                    }
                    Err(_) => this.saw(part, Seen::Cancelled),
                }
                Ok(())
            }),
            Kind::Shield => Box::pin(async move { shield(this.run(inside[0])).await }),
            Kind::Finally => Box::pin(async move {
                let work = this.run(this.parts[inside[0]].inside[0]);
                let after = Arc::clone(&this);
                finally(work, async move |_| {
                    let _ =
                        Watched { inner: after.run(inside[1]), real: after, part: inside[1], done: false }
                            .await;
                })
                .await
            }),
            Kind::Group => Box::pin(async move {
                let body = Arc::clone(&this);
                let result = try_task_group(async move |group| {
                    lock(&body.state).groups[part] = Some(group.clone());
                    for &child in &inside[1..] {
                        group.try_spawn(body.run(child));
                    }
                    body.run(inside[0]).await.map_err(BoxError::from)
                })
                .await;
                lock(&this.state).groups[part] = None;
                match result {
                    Ok(()) => this.saw(part, Seen::Done),
                    Err(error) if error.is_cancelled() => this.saw(part, Seen::Cancelled),
                    Err(error) => {
                        this.saw(part, Seen::Failed(error.iter().count()));
                        return Err(Told);
                    }
                }
                Ok(())
            }),
            Kind::Start => Box::pin(async move {
                let around = this.parts[part].group.expect("it stands in a group");
                let group = lock(&this.state).groups[around].clone().expect("the group is open");
                let parts = this.parts[inside[0]].inside.clone();
                let child = Arc::clone(&this);
                let started = group.try_start(async move |ready| {
                    child.run(parts[0]).await?;
                    ready.started(());
                    child.run(parts[1]).await
                });
                started.await.map(drop).map_err(|_| Told)
            }),
            Kind::Abandon => Box::pin(async move {
                let mut inner = Some(this.run(inside[0]));
                poll_fn(move |cx| {
                    let mut state = lock(&this.state);
                    if state.signals[part].is_some() {
                        drop(state);
                        inner = None;
                        return Poll::Ready(Ok(()));
                    }
                    state.wakers[part] = Some(cx.waker().clone());
                    drop(state);
                    inner.as_mut().map_or(Poll::Pending, |inner| inner.as_mut().poll(cx))
                })
                .await
            }),
            Kind::Relay => Box::pin(async move {
                let mut body = this.run(inside[2]);
                for &lap in &inside[..2] {
                    let scope = lock(&this.state).scopes[lap].take().expect("a lap runs once");
                    let result = scope.run(async |_| this.lap(lap, &mut body).await).await;
                    match result {
                        Ok(None) => this.saw(lap, Seen::Done),
                        Ok(Some(Ok(()))) => {
                            this.saw(lap, Seen::Done);
                            return Ok(());
                        }
                        Ok(Some(Err(Told))) => {
                            this.saw(lap, Seen::Failed(1));
                            return Err(Told);
                        }
                        Err(_) => {
                            this.saw(lap, Seen::Cancelled);
                            if !survives_a_cut(&this.parts, part) {
                                return Ok(());
                            }
                        }
                    }
                }
                Ok(())
            }),
            Kind::Lap => unreachable!("it is run by its relay"),
            Kind::Root | Kind::Work | Kind::Cleanup | Kind::Child | Kind::Started => self.run(inside[0]),
        }
    }
}

impl Real {
    /// Polls what is handed on; its end, or none when it is the turn of the next.
    async fn lap(&self, lap: usize, body: &mut BoxFuture<'static, Ended>) -> Option<Ended> {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.signals[lap].is_some() {
                return Poll::Ready(None);
            }
            state.wakers[lap] = Some(cx.waker().clone());
            drop(state);
            body.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// Waits until it is told how to end, and notes when it is dropped before.
struct Leaf {
    real: Arc<Real>,
    part: usize,
    begun: bool,
    done: bool,
}

impl Future for Leaf {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        if !std::mem::replace(&mut self.begun, true) {
            self.real.saw(self.part, Seen::Begun);
        }
        let mut state = lock(&self.real.state);
        let Some(end) = state.signals[self.part] else {
            state.wakers[self.part] = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        self.done = true;
        self.real.saw(self.part, seen_as(end));
        match end {
            End::Done => Poll::Ready(Ok(())),
            End::Failed => Poll::Ready(Err(Told)),
            End::Panicked | End::Cancelled => resume_unwind(Box::new(ToldToPanic)),
        }
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if self.begun && !self.done {
            self.real.saw(self.part, Seen::Dropped);
        }
    }
}

/// A clean-up: notes that it has begun, and how it ended.
struct Watched {
    inner: BoxFuture<'static, Ended>,
    real: Arc<Real>,
    part: usize,
    done: bool,
}

impl Future for Watched {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        if lock(&self.real.state).seen[self.part] == Seen::Nothing {
            self.real.saw(self.part, Seen::Begun);
        }
        // Its own panic is told by the leaf that panicked.
        self.done = true;
        let polled = self.inner.as_mut().poll(cx);
        match &polled {
            Poll::Pending => self.done = false,
            Poll::Ready(ended) => {
                self.real.saw(self.part, if ended.is_ok() { Seen::Done } else { Seen::Failed(1) });
            }
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.done {
            self.real.saw(self.part, Seen::Dropped);
        }
    }
}

fn seen_as(end: End) -> Seen {
    match end {
        End::Done => Seen::Done,
        End::Failed => Seen::Failed(1),
        End::Cancelled | End::Panicked => Seen::Panicked,
    }
}
