//! A runtime on one thread, which asks somebody else what to do next when there is nothing to poll.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use anyrt_core::net::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use anyrt_core::{NotOwned, Runtime, Task, Timer};
use async_trait::async_trait;

/// Polls what was woken, in the order of the wake-ups; when there is nothing, it is `idle`'s turn.
pub(crate) struct ByTurns {
    ready: Arc<Mutex<VecDeque<Arc<Seat>>>>,
    /// Whether it has done something; if not, nothing will ever happen again.
    idle: Box<dyn Fn() -> bool + Send + Sync>,
    epoch: Instant,
}

/// A task and its place in the queue.
struct Seat {
    task: Mutex<Option<Pin<Box<Task>>>>,
    queued: AtomicBool,
    ready: Arc<Mutex<VecDeque<Arc<Seat>>>>,
}

impl ByTurns {
    pub(crate) fn new(idle: impl Fn() -> bool + Send + Sync + 'static) -> Arc<ByTurns> {
        #[expect(clippy::disallowed_methods, reason = "this is the clock of a runtime, and it stands still")]
        let epoch = Instant::now();
        Arc::new(ByTurns { ready: Arc::default(), idle: Box::new(idle), epoch })
    }

    fn poll_next(&self) -> bool {
        let Some(seat) = lock(&self.ready).pop_front() else { return false };
        seat.queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&seat));
        let mut task = lock(&seat.task);
        if let Some(polled) = &mut *task
            && polled.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            let ended = task.take();
            drop(task);
            drop(ended);
        }
        true
    }
}

/// Seats that were woken at the end refer to the queue that they stand in.
impl Drop for ByTurns {
    fn drop(&mut self) {
        let left = std::mem::take(&mut *lock(&self.ready));
        drop(left);
    }
}

impl Wake for Seat {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            let ready = Arc::clone(&self.ready);
            lock(&ready).push_back(self);
        }
    }
}

/// The waker of the root.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Runtime for ByTurns {
    fn name(&self) -> &'static str {
        "by-turns"
    }

    fn block_on(&self, mut root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        // Whoever wakes itself in each poll would never let it be idle.
        const TOO_MANY: usize = 100_000;
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&bell));
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls < TOO_MANY, "something spins");
            if bell.0.swap(false, Ordering::SeqCst) {
                if root.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    return Ok(());
                }
            } else if !self.poll_next() {
                assert!((self.idle)(), "it hangs: nothing will wake it any more");
                polls = 0;
            }
        }
    }

    fn spawn(&self, task: Task) {
        let ready = Arc::clone(&self.ready);
        let seat = Seat { task: Mutex::new(Some(Box::pin(task))), queued: AtomicBool::new(false), ready };
        Arc::new(seat).wake();
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    fn now(&self) -> Instant {
        self.epoch
    }

    fn timer(&self, _: Instant) -> Pin<Box<dyn Timer>> {
        Box::pin(NoTimer)
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

impl fmt::Debug for ByTurns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByTurns").finish_non_exhaustive()
    }
}

/// Time stands still here.
struct NoTimer;

impl Timer for NoTimer {
    fn reset(self: Pin<&mut Self>, _: Instant) {}

    fn poll_elapsed(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
