//! What the models run on: a runtime whose tasks are loom's threads.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::base::sync::{Arc, ORDER};
use crate::blocking::{IDLE, PATIENCE, Pool};
use crate::current::handle::Handle;
use crate::current::runtime::{NotOwned, Runtime, Timer};
use crate::current::sockets::{
    Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket,
};
use crate::run::Shared;
use crate::task::Task;
use crate::tree;

/// How many preemptions are explored, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 2;

/// Runs `model` in every order within the bound, and prints how many there were.
pub(super) fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check_whole(name, model);
}

/// As [`check`]. Returns whether the time was enough for all of them.
pub(super) fn check_whole(name: &str, model: impl Fn() + Send + Sync + 'static) -> bool {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.max_branches = builder.max_branches.max(20_000);
    builder.checkpoint_interval = 1_000;
    let (bound, limit) = (builder.preemption_bound, builder.max_duration);
    let explored = Arc::new(AtomicUsize::new(0));
    let counted = explored.clone();
    let (began, never) = (now(), Duration::MAX);
    builder.check(move || {
        let order = counted.fetch_add(1, Ordering::Relaxed);
        ORDER.set(ORDER.get().max(order) + 1);
        // Globals are made before there are threads.
        tree::touch_globals();
        model();
    });
    let took = now().saturating_duration_since(began);
    let whole = took < limit.unwrap_or(never);
    println!(
        "model {name} {} {} {:.1} {}",
        explored.load(Ordering::Relaxed),
        if whole { "all" } else { "cut off" },
        took.as_secs_f64(),
        bound.unwrap_or(usize::MAX)
    );
    whole
}

#[expect(clippy::disallowed_methods, reason = "how long a model takes is told, and nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Runs a future as the main future of a program would be, on this thread.
pub(super) fn on_stage<F: Future>(main: impl FnOnce(Handle) -> F) -> F::Output {
    on(Stage::default(), Shared::detached(), main)
}

/// As [`on_stage`], with a clock that stands still until it [passes](Clock::pass) all deadlines at once.
pub(super) fn with_a_clock<F: Future>(main: impl FnOnce(Arc<Clock>) -> F) -> F::Output {
    let clock = Arc::new(Clock::default());
    on(Stage { clock: clock.clone(), ..Stage::default() }, Shared::detached(), |_| main(clock))
}

/// As [`on_stage`], with a pool of its own, as a run has, which may have a notifier. Of the tasks that are
/// spawned only the first `keeps` stay; later ones are polled once and dropped.
pub(super) fn in_a_run<F: Future>(keeps: usize, main: impl FnOnce(Handle) -> F) -> F::Output {
    let mut shared = Shared::detached();
    shared.pool = Pool::new("stage", IDLE, PATIENCE, true);
    on(Stage { keeps, ..Stage::default() }, shared, main)
}

fn on<F: Future>(stage: Stage, shared: Shared, main: impl FnOnce(Handle) -> F) -> F::Output {
    let handle = Handle::new(Arc::new(stage), shared);
    let main = main(handle.clone());
    handle.enter(|| drive(main))
}

/// Polls a future to its end: once, and then once for each time that it was woken.
pub(super) fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        signal.wait();
    }
}

/// Polls a future once.
pub(super) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Counts what is dropped.
#[derive(Default, Clone)]
pub(super) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counted when it is dropped.
    pub(super) fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

pub(super) struct OnDrop(Count);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    change: Condvar,
}

impl Signal {
    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.change.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.change.notify_one();
    }
}

#[derive(Debug)]
struct Stage {
    keeps: usize,
    spawned: AtomicUsize,
    clock: Arc<Clock>,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage { keeps: usize::MAX, spawned: AtomicUsize::new(0), clock: Arc::default() }
    }
}

#[async_trait]
impl Runtime for Stage {
    fn name(&self) -> &'static str {
        "stage"
    }

    fn block_on(&self, _: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        Err(NotOwned)
    }

    fn spawn(&self, task: Task) {
        let stays = self.spawned.fetch_add(1, Ordering::Relaxed) < self.keeps;
        thread::spawn(move || {
            if stays {
                drive(task);
            } else {
                let waker = Waker::from(Arc::new(Signal::default()));
                let _ = pin!(task).poll(&mut Context::from_waker(&waker));
            }
        });
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    fn now(&self) -> Instant {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let began = *BEGAN.get_or_init(now);
        if self.clock.passed.load(Ordering::Acquire) { began + Clock::FAR } else { began }
    }

    fn timer(&self, _: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(ClockTimer(self.clock.clone()))
    }

    async fn connect(&self, _: &Address) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn listen(&self, _: ListenerSocket) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stream(&self, _: StreamSocket) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn datagram(&self, _: DatagramSocket) -> io::Result<Box<dyn Datagram>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What all timers wait for.
#[derive(Debug, Default)]
pub(super) struct Clock {
    passed: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Clock {
    const FAR: Duration = Duration::from_secs(3600);

    /// An hour has passed, and with it the time of all timers.
    pub(super) fn pass(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap();
            self.passed.store(true, Ordering::Release);
            waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

struct ClockTimer(Arc<Clock>);

impl Timer for ClockTimer {
    fn reset(self: Pin<&mut Self>, _: Instant) {}

    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.0.waiting.lock().unwrap();
        if self.0.passed.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}
