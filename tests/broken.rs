//! The suite catches broken runtimes: a runtime that breaks one obligation fails exactly the cases that
//! name it, and passes all others.
//!
//! That is a minute of cases that hang: `tests/broken/run`. A plain `cargo test` runs a sample of them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use anyrt_conformance::{Case, Obligation, Outcome, PATIENCE};
use anyrt_core::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{NotOwned, Runtime, Task, Timer};
use async_trait::async_trait;

use self::own_runtime::ThreadPerTask;

mod own_runtime;

#[test]
#[ignore = "long: tests/broken/run"]
fn a_runtime_that_drops_a_task_fails_the_cases_that_need_tasks_to_run() {
    fails_exactly_the_cases_that_name(Obligation::TasksRun, Fault::DropsTheFirstTask);
}

#[test]
#[ignore = "long: tests/broken/run"]
fn a_runtime_whose_timers_are_early_fails_the_cases_that_need_them_not_to_be() {
    fails_exactly_the_cases_that_name(Obligation::TimerNotEarly, Fault::FiresTimersEarly);
}

#[test]
#[ignore = "long: tests/broken/run"]
fn a_runtime_that_loses_a_wake_up_fails_the_cases_that_need_it() {
    fails_exactly_the_cases_that_name(Obligation::ForeignWake, Fault::LosesForeignWakeUps);
}

#[test]
#[ignore = "long: tests/broken/run"]
fn a_runtime_whose_timers_wake_nobody_fails_the_cases_that_wait_for_time() {
    fails_exactly_the_cases_that_name(Obligation::TimerWakes, Fault::TimersWakeNobody);
}

#[test]
#[ignore = "long: tests/broken/run"]
fn a_runtime_that_polls_inside_spawn_fails_the_cases_that_need_it_not_to() {
    fails_exactly_the_cases_that_name(Obligation::SpawnReturnsFirst, Fault::PollsInsideSpawn);
}

#[test]
fn sample_of_the_cases_that_name_tasks_run() {
    a_sample_notices(Obligation::TasksRun, Fault::DropsTheFirstTask);
}

#[test]
fn sample_of_the_cases_that_name_timer_not_early() {
    a_sample_notices(Obligation::TimerNotEarly, Fault::FiresTimersEarly);
}

#[test]
fn sample_of_the_cases_that_name_foreign_wake() {
    a_sample_notices(Obligation::ForeignWake, Fault::LosesForeignWakeUps);
}

#[test]
fn sample_of_the_cases_that_name_timer_wakes() {
    a_sample_notices(Obligation::TimerWakes, Fault::TimersWakeNobody);
}

#[test]
fn sample_of_the_cases_that_name_spawn_returns_first() {
    a_sample_notices(Obligation::SpawnReturnsFirst, Fault::PollsInsideSpawn);
}

/// What a [`Broken`] runtime does wrong. It does so every time, so that "exactly" means something.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The first task that it is given is dropped and never polled.
    DropsTheFirstTask,
    /// Timers are ready a second before their deadline.
    FiresTimersEarly,
    /// Wake-ups from threads that are not its own are lost.
    LosesForeignWakeUps,
    /// Timers are ready in time when they are polled, but nobody is told to poll them.
    TimersWakeNobody,
    /// A task is polled for the first time in the call of its spawner.
    PollsInsideSpawn,
}

const A_SECOND: Duration = Duration::from_secs(1);

/// Long enough to tell a case that hangs on a broken runtime from one that is slow.
const SHORT_PATIENCE: Duration = Duration::from_secs(4);

/// So many cases at once: those that are meant to hang only wait.
const AT_ONCE: usize = 12;

/// So many cases of each kind are a sample.
const SAMPLE: usize = 8;

fn fails_exactly_the_cases_that_name(obligation: Obligation, fault: Fault) {
    let names = |case: &Case| case.needs().contains(&obligation);
    let all: Vec<&Case> = Case::all().iter().collect();
    let failed = failed_cases(&all, fault, |case| if names(case) { SHORT_PATIENCE } else { PATIENCE });
    let naming: BTreeSet<&str> = all.iter().filter(|case| names(case)).map(|case| case.name()).collect();

    assert!(!naming.is_empty());
    let exact = |name: &str| is_exact(obligation, name);
    let passed: Vec<_> = naming.iter().filter(|name| exact(name) && !failed.contains_key(*name)).collect();
    let others: Vec<_> = failed.iter().filter(|(name, _)| exact(name) && !naming.contains(*name)).collect();
    assert!(passed.is_empty(), "name {obligation:?} and pass though it is broken: {passed:#?}");
    assert!(others.is_empty(), "fail though they do not name {obligation:?}: {others:#?}");
}

/// A few of the cases that name the obligation, of which at least one fails, and a few of the others, which pass.
fn a_sample_notices(obligation: Obligation, fault: Fault) {
    let names = |case: &Case| case.needs().contains(&obligation);
    let (naming, others): (Vec<&Case>, Vec<&Case>) =
        Case::all().iter().filter(|case| is_exact(obligation, case.name())).partition(|case| names(case));
    let few = |cases: Vec<&'static Case>| {
        let step = cases.len().div_ceil(SAMPLE).max(1);
        cases.into_iter().step_by(step)
    };
    let sample: Vec<&Case> = few(naming).chain(few(others)).collect();
    let failed = failed_cases(&sample, fault, |case| if names(case) { A_SECOND } else { PATIENCE });

    let (noticed, broken): (Vec<_>, Vec<_>) =
        sample.iter().filter(|case| failed.contains_key(case.name())).partition(|case| names(case));
    assert!(!noticed.is_empty(), "none of the sample notices that {obligation:?} is broken");
    let broken: Vec<_> = broken.iter().map(|case: &&&Case| case.name()).collect();
    assert!(broken.is_empty(), "fail though they do not name {obligation:?}: {broken:#?}");
}

/// Whether a case that names the obligation fails each time that it is broken, and one that does not never.
fn is_exact(obligation: Obligation, name: &str) -> bool {
    match obligation {
        Obligation::ForeignWake => !depends_on_a_job(name),
        // It counts polls: whether one too many comes depends on when the thread of the task begins.
        Obligation::SpawnReturnsFirst => name != "stop_wakes_who_waits_for_it_and_nobody_else",
        _ => true,
    }
}

/// Cases of blocking work, and of what another thread does: whether they notice that a wake-up from there is lost depends
/// on whether that has happened before the waiter looks.
fn depends_on_a_job(name: &str) -> bool {
    let families = [
        "tt_",
        "ft_",
        "wt_",
        "rule_49",
        "rule_50",
        "rule_53",
        "rule_54",
        "rule_55",
        "rule_57",
        "rule_58",
        "rule_67_an_item_that_a_thread",
        "rule_72_the_run_waits_for_what_an_abandoned",
        "rule_72_without_a_group",
        "rule_74_other_limits",
        "rule_75_",
        "rule_76_a_stream_whose_next_item",
        "rule_76_what_holds_in_the_loser",
        "rule_80",
        "rt_obligation_jobs",
    ];
    families.iter().any(|family| name.starts_with(family))
}

/// Runs the cases on runtimes with that fault; those that did not pass, and how.
fn failed_cases(
    cases: &[&'static Case],
    fault: Fault,
    patience: impl Fn(&Case) -> Duration + Sync,
) -> BTreeMap<&'static str, Outcome> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(BTreeMap::new());
    thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = case.check(patience(case), move || Broken::start(fault));
                    if outcome != Outcome::Passed {
                        failed.lock().expect("not poisoned").insert(case.name(), outcome);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("not poisoned")
}

/// The third-party runtime with one fault.
#[derive(Debug)]
struct Broken {
    sound: Arc<ThreadPerTask>,
    fault: Fault,
    has_dropped: AtomicBool,
    ended: AtomicBool,
}

impl Broken {
    fn start(fault: Fault) -> Arc<dyn Runtime> {
        let sound = ThreadPerTask::start().expect("its thread");
        Arc::new(Broken { sound, fault, has_dropped: AtomicBool::new(false), ended: AtomicBool::new(false) })
    }

    /// A thread per task, as the sound one does it, for a task with something around it.
    fn poll_on_a_thread(&self, task: impl Future<Output = ()> + Send + Unpin + 'static) {
        let poll = move || futures::executor::block_on(task);
        thread::Builder::new()
            .name(ThreadPerTask::TASK_THREAD.into())
            .spawn(poll)
            .map(drop)
            .expect("a thread");
    }
}

#[async_trait]
impl Runtime for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        match self.fault {
            Fault::LosesForeignWakeUps => self.sound.block_on(pin!(LosesForeignWakeUps(root))),
            _ => self.sound.block_on(root),
        }
    }

    fn spawn(&self, task: Task) {
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        match self.fault {
            Fault::DropsTheFirstTask if !self.has_dropped.swap(true, Ordering::SeqCst) => drop(task),
            Fault::LosesForeignWakeUps => self.poll_on_a_thread(LosesForeignWakeUps(task)),
            Fault::PollsInsideSpawn => self.poll_on_a_thread(Begun::of(task)),
            _ => self.sound.spawn(task),
        }
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        self.sound.enter(run);
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>> {
        match self.fault {
            Fault::FiresTimersEarly => Box::pin(Early(self.sound.timer(early(deadline)))),
            Fault::TimersWakeNobody => Box::pin(Silent(self.sound.timer(deadline))),
            _ => self.sound.timer(deadline),
        }
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        self.sound.connect(address).await
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn Listener>> {
        self.sound.listen(socket)
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn Stream>> {
        self.sound.stream(socket)
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn Datagram>> {
        self.sound.datagram(socket)
    }

    fn shutdown(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.sound.shutdown();
    }
}

/// A timer that is ready a second early.
struct Early(Pin<Box<dyn Timer>>);

impl Timer for Early {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.as_mut().reset(early(deadline));
    }

    fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll_elapsed(cx)
    }
}

/// A timer that wakes nobody.
struct Silent(Pin<Box<dyn Timer>>);

impl Timer for Silent {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.as_mut().reset(deadline);
    }

    fn poll_elapsed(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll_elapsed(&mut Context::from_waker(Waker::noop()))
    }
}

fn early(deadline: Instant) -> Instant {
    deadline.checked_sub(A_SECOND).unwrap_or(deadline)
}

/// A task that was polled before it got its thread.
struct Begun {
    task: Option<Task>,
    // The waker of that poll: it wakes whoever polls the task now.
    waker: Arc<Forwards>,
}

impl Begun {
    fn of(mut task: Task) -> Begun {
        let waker = Arc::new(Forwards::default());
        let begun = Waker::from(Arc::clone(&waker));
        let ended = Pin::new(&mut task).poll(&mut Context::from_waker(&begun)).is_ready();
        Begun { task: (!ended).then_some(task), waker }
    }
}

impl Future for Begun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Before the poll, which makes up for the wake-ups until now.
        *self.waker.to.lock().expect("not poisoned") = Some(cx.waker().clone());
        self.task.as_mut().map_or(Poll::Ready(()), |task| Pin::new(task).poll(cx))
    }
}

#[derive(Default)]
struct Forwards {
    to: Mutex<Option<Waker>>,
}

impl Wake for Forwards {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.to.lock().expect("not poisoned").as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// A task or root whose waker works on the threads of the runtime only: those of tasks, of the clock,
/// of the reactor, and the one that drives the root.
struct LosesForeignWakeUps<F>(F);

impl<F: Future + Unpin> Future for LosesForeignWakeUps<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        POLLING.set(true);
        let waker = Waker::from(Arc::new(NativeWaker(cx.waker().clone())));
        let poll = Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker));
        POLLING.set(false);
        poll
    }
}

thread_local!(static POLLING: Cell<bool> = const { Cell::new(false) });

struct NativeWaker(Waker);

impl Wake for NativeWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let thread = thread::current();
        let own = [ThreadPerTask::TASK_THREAD, ThreadPerTask::CLOCK_THREAD, "async-io"];
        if POLLING.get() || thread.name().is_some_and(|name| own.contains(&name)) {
            self.0.wake_by_ref();
        }
    }
}
