//! A runtime of one thread, that polls what can go on in an order which a seed decides.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use anyrt::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt::runtime::{NotOwned, Runtime, Task, Timer};
use async_trait::async_trait;

use crate::time::Clock;

/// The runtime. Where nothing can go on, its clock jumps; where there is nothing to wait for either, it gives up.
#[derive(Debug)]
pub(crate) struct Seeded {
    clock: Arc<Clock>,
    ready: Arc<Ready>,
}

impl Seeded {
    pub(crate) fn new(clock: Arc<Clock>, seed: u64) -> Seeded {
        Seeded { clock, ready: Arc::new(Ready { state: Mutex::new((Vec::new(), seed)) }) }
    }
}

/// Those who can go on, and where the chance stands.
struct Ready {
    state: Mutex<(Vec<Arc<Job>>, u64)>,
}

impl Ready {
    /// Takes one of them.
    fn draw(&self) -> Option<Arc<Job>> {
        let mut state = lock(&self.state);
        let (jobs, chance) = &mut *state;
        // xorshift64*, whose state is never zero.
        *chance = (*chance).max(1);
        *chance ^= *chance >> 12;
        *chance ^= *chance << 25;
        *chance ^= *chance >> 27;
        let drawn = chance.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        if jobs.is_empty() { None } else { Some(jobs.swap_remove(drawn as usize % jobs.len())) }
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("number", &lock(&self.state).0.len()).finish()
    }
}

/// A task, or the root, which has none.
struct Job {
    task: Mutex<Option<Task>>,
    is_root: bool,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Job {
    fn begin(ready: &Arc<Ready>, task: Option<Task>) {
        let is_root = task.is_none();
        let (task, is_ready) = (Mutex::new(task), AtomicBool::new(false));
        Arc::new(Job { task, is_root, is_ready, ready: ready.clone() }).wake();
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::AcqRel) {
            lock(&self.ready.state).0.push(self.clone());
        }
    }
}

#[async_trait]
impl Runtime for Seeded {
    fn name(&self) -> &'static str {
        "seeded"
    }

    fn block_on(&self, mut root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        Job::begin(&self.ready, None);
        loop {
            let Some(job) = self.ready.draw() else {
                if !self.clock.jump() {
                    self.clock.give_up();
                }
                continue;
            };
            job.is_ready.store(false, Ordering::Release);
            let waker = Waker::from(job.clone());
            let cx = &mut Context::from_waker(&waker);
            if job.is_root {
                if root.as_mut().poll(cx).is_ready() {
                    return Ok(());
                }
            } else {
                let mut place = lock(&job.task);
                let ended = place.as_mut().is_none_or(|task| pin!(task).poll(cx) == Poll::Ready(()));
                let over = if ended { place.take() } else { None };
                drop(place);
                drop(over);
            }
        }
    }

    fn spawn(&self, task: Task) {
        Job::begin(&self.ready, Some(task));
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>> {
        self.clock.timer(deadline)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
