//! Plays the steps of a plan.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use anyrt::blocking::CapacityLimiter;
use anyrt::group::Ready;
use anyrt::sync::{Mutex, Semaphore};
use anyrt::{
    CancelScope, LocalGroup, ScopeHandle, checkpoint, finally, from_thread, join, move_on_after, race,
    run_blocking, shield, sleep, task_group,
};
use futures::channel::oneshot;
use futures::future::select;

use super::books::{Alive, Books, Members};
use super::meddlers::{Desk, Meddled};
use super::plan::{Child, Kind, Step, Steps};

pub(crate) type Played = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all of a round share.
pub(crate) struct Round {
    pub(crate) books: Arc<Books>,
    pub(crate) desk: Desk,
    pub(crate) limiter: CapacityLimiter,
    pub(crate) lock: Mutex<()>,
    pub(crate) semaphore: Semaphore,
}

/// Where steps are played.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) round: Arc<Round>,
    /// The group that is waited for around; none at the root.
    pub(crate) inside: Option<Arc<Members>>,
    /// Foreign code may drop this, in the middle of it.
    pub(crate) foreign: bool,
    /// The nearest scope around.
    pub(crate) scope: Option<ScopeHandle>,
}

impl Here {
    fn alive(&self) -> Alive {
        Alive::new(&self.round.books, self.inside.as_ref())
    }

    /// A task of its own: foreign code that drops what is around cancels it.
    fn in_a_task(&self) -> Here {
        Here { foreign: false, ..self.clone() }
    }

    /// What goes on at the root of the run when it is dropped.
    fn owned(&self) -> Here {
        Here { foreign: false, inside: None, ..self.clone() }
    }

    fn in_foreign_code(&self) -> Here {
        Here { foreign: true, ..self.clone() }
    }
}

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

pub(crate) fn play(here: Here, steps: Steps) -> Played {
    Box::pin(async move {
        let _alive = Alive::new(&here.round.books, None);
        for step in steps.iter() {
            here.round.books.step();
            play_step(&here, step).await;
        }
    })
}

async fn play_step(here: &Here, step: &Step) {
    let round = &here.round;
    match step {
        Step::Nap(time) => sleep(micros(*time)).await,
        Step::Checkpoint => checkpoint().await,
        Step::ForeignYield => foreign_yield().await,
        Step::Never(limit) => _ = move_on_after(micros(*limit), pending::<()>()).await,
        Step::Locked(time) => {
            let _guard = round.lock.lock().await;
            sleep(micros(*time)).await;
        }
        Step::Permitted(time) => {
            let _permit = round.semaphore.acquire().await;
            sleep(micros(*time)).await;
        }
        Step::Limit(limit, steps) => {
            _ = move_on_after(micros(*limit), play(here.clone(), steps.clone())).await
        }
        Step::Scope { deadline, shield, on_exit, body } => {
            play_scope(here, *deadline, *shield, on_exit.clone(), body.clone()).await;
        }
        Step::Shield(steps) => shield(play(here.clone(), steps.clone())).await,
        Step::ShieldOwned(steps) => shield(play(here.owned(), steps.clone())).owned().await,
        Step::Finally { work, clean } => {
            let cleanup = round.books.clean_up("finally", here.foreign);
            let (promise, work) = (cleanup.clone(), play(here.clone(), work.clone()));
            let promised = async move {
                promise.promise();
                work.await;
            };
            let cleans = async |_| {
                cleanup.begins();
                play(here.clone(), clean.clone()).await;
                cleanup.ends();
            };
            finally(promised, cleans).await;
        }
        Step::FinallyOwned { work, clean } => {
            let cleanup = round.books.clean_up("finally_owned", false);
            let (promise, work) = (cleanup.clone(), play(here.owned(), work.clone()));
            let clean = play(here.owned(), clean.clone());
            let promised = async move {
                promise.promise();
                work.await;
            };
            let cleans = move |_| async move {
                cleanup.begins();
                clean.await;
                cleanup.ends();
            };
            finally(promised, cleans).owned().await;
        }
        Step::Group { children, body } => play_group(here, children, body.clone()).await,
        Step::Borrowing { children, body } => play_borrowing(here, children, body.clone()).await,
        Step::Blocking { works, abandon, calls_back } => {
            play_blocking(here, *works, *abandon, calls_back.clone()).await;
        }
        Step::Race(a, b) => _ = race(play(here.clone(), a.clone()), play(here.clone(), b.clone())).await,
        Step::Join(a, b) => _ = join(play(here.clone(), a.clone()), play(here.clone(), b.clone())).await,
        Step::Select(a, b) => {
            let here = here.in_foreign_code();
            let (a, b) = (play(here.clone(), a.clone()), play(here, b.clone()));
            drop(select(a, b).await);
        }
        Step::Timeout(limit, steps) => {
            let steps = play(here.in_foreign_code(), steps.clone());
            drop(select(steps, async_io::Timer::after(micros(*limit))).await);
        }
        Step::Cut(steps) => {
            let (cuts, cut) = oneshot::channel();
            round.desk.lay(Meddled::Cut(cuts));
            drop(select(play(here.in_foreign_code(), steps.clone()), cut).await);
        }
        Step::CancelAround => {
            if let Some(scope) = &here.scope {
                scope.cancel_with("by its own code");
            }
        }
    }
}

async fn play_scope(here: &Here, deadline: Option<u64>, shield: bool, on_exit: Option<Steps>, body: Steps) {
    let mut scope = CancelScope::new().shield(shield);
    if let Some(deadline) = deadline {
        scope = scope.timeout(micros(deadline));
    }
    let handle = scope.handle();
    here.round.desk.lay(Meddled::Scope(handle.clone()));
    let inner = Here { scope: Some(handle), ..here.clone() };
    let ended = scope.run(async move |scope| {
        if let Some(clean) = on_exit {
            let cleanup = inner.round.books.clean_up("on_exit", false);
            cleanup.promise();
            let clean = play(inner.owned(), clean);
            scope.on_exit(async move |_| {
                cleanup.begins();
                clean.await;
                cleanup.ends();
            });
        }
        play(inner, body).await;
    });
    let _ = ended.await;
}

async fn play_group(here: &Here, children: &[Child], body: Steps) {
    let members = Members::inside(here.inside.clone());
    let inner = Here { inside: Some(members.clone()), ..here.clone() };
    let task = |steps: &Steps| {
        let (inner, steps) = (inner.in_a_task(), steps.clone());
        async move {
            let _alive = inner.alive();
            play(inner, steps).await;
        }
    };
    let desk = &here.round.desk;
    let group = task_group(async |group| {
        desk.lay(Meddled::Group(group.clone(), inner.in_a_task()));
        for child in children {
            match child.kind {
                Kind::Spawned => drop(group.spawn(task(&child.steps))),
                Kind::Awaited => {
                    let handle = group.spawn(task(&child.steps));
                    let _ = handle.await;
                }
                Kind::Service => drop(group.spawn_service(task(&child.steps))),
                Kind::Started => {
                    let (before, after) = (task(&child.steps), task(&child.steps));
                    let started = group.start(|ready: Ready<()>| async move {
                        before.await;
                        ready.started(());
                        after.await;
                    });
                    let _ = started.await;
                }
            }
        }
        play(inner.clone(), body).await;
    });
    if let Err(error) = group.await
        && !error.is_cancelled()
    {
        here.round.books.fault(format!("a group failed: {error}"));
    }
    if members.alive() != 0 {
        here.round.books.fault(format!("{} in a group that was left", members.alive()));
    }
}

async fn play_borrowing(here: &Here, children: &[Steps], body: Steps) {
    let members = Members::inside(here.inside.clone());
    let inner = Here { inside: Some(members.clone()), ..here.clone() };
    let scope = LocalGroup::sendable().run(async |scope| {
        here.round.desk.lay(Meddled::Scope(scope.cancel_scope()));
        for steps in children {
            let inner = &inner;
            scope.spawn(async move {
                let _alive = inner.alive();
                play(inner.clone(), steps.clone()).await;
            });
        }
        play(inner.clone(), body).await;
    });
    let _ = scope.await;
    if members.alive() != 0 {
        here.round.books.fault(format!("{} in a local group that was left", members.alive()));
    }
}

async fn play_blocking(here: &Here, works: u64, abandon: bool, calls_back: Option<Steps>) {
    let inside = here.owned();
    let call = run_blocking(move || {
        let _alive = inside.alive();
        thread::sleep(micros(works));
        if let Some(steps) = calls_back {
            let _ = from_thread::run(play(inside, steps));
        }
    });
    let call = call.limiter(&here.round.limiter);
    let call = if abandon { call.abandon_on_cancel() } else { call };
    call.into_future().await;
}

fn foreign_yield() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
