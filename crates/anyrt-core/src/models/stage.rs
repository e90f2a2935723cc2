//! What the models run on: a runtime whose tasks are loom's threads.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::blocking::{IDLE, PATIENCE, Pool};
use crate::handle::Handle;
use crate::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use crate::run::Shared;
use crate::runtime::{NotOwned, Runtime, Timer};
use crate::sync::Arc;
use crate::task::Task;

/// So many preemptions are explored, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 2;

/// Runs `model` in every order within the bound, and prints how many there were.
pub(super) fn check(name: &str, model: impl Fn() + Send + Sync + 'static) {
    check_whole(name, model);
}

/// The same; whether the time was enough for all of them.
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
        counted.fetch_add(1, Ordering::Relaxed);
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
    on(Stage { keeps: usize::MAX, spawned: AtomicUsize::new(0) }, Shared::detached(), main)
}

/// The same with a pool of its own, as a run has it, which may have a notifier; of the tasks that are spawned
/// only the first `keeps` stay, those that come later are polled once and dropped.
pub(super) fn in_a_run<F: Future>(keeps: usize, main: impl FnOnce(Handle) -> F) -> F::Output {
    let mut shared = Shared::detached();
    shared.pool = Pool::new("stage", IDLE, PATIENCE, true);
    on(Stage { keeps, spawned: AtomicUsize::new(0) }, shared, main)
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

    fn timer(&self, _: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(NeverTimer)
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

/// Time stands still.
struct NeverTimer;

impl Timer for NeverTimer {
    fn reset(self: Pin<&mut Self>, _: Instant) {}

    fn poll_elapsed(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
