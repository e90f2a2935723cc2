//! [`Runtime`]: what a backend supplies. Mechanism only, each method an obligation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use std::{fmt, io};

use async_trait::async_trait;

use super::sockets::{Address, Datagram, DatagramSocket, Listener, ListenerSocket, Stream, StreamSocket};
use crate::blocking::Job;
use crate::task::Task;

/// An async runtime, as the core sees it: it polls tasks, tells the time, moves bytes.
///
/// Join results, panics, cancellation and deadlines are not here: the core owns them, so that they
/// are the same everywhere. The core keeps its promises only if the runtime keeps these; the suite
/// in `anyrt-conformance` checks each of them.
///
/// A runtime is a value: a program may hold two of them, adopt one it did not start, or be tested
/// on a fake one.
#[async_trait]
pub trait Runtime: Send + Sync + fmt::Debug + 'static {
    /// The name users see in errors and in the task view, such as `"tokio"`.
    fn name(&self) -> &'static str;

    /// Polls `root` on the calling thread until it is ready, and drives the runtime meanwhile.
    ///
    /// Obligations: `root` is polled again after each wake-up of its waker, from whichever thread;
    /// never after it was ready. A panic of `root` may go through. Tasks given to [`spawn`] before
    /// and during the call make progress while it runs.
    ///
    /// # Errors
    ///
    /// [`NotOwned`], without polling `root`, when this value adopted a runtime that its owner drives.
    ///
    /// [`spawn`]: Runtime::spawn
    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned>;

    /// Takes over a task and polls it to its end, whether or not anything waits for it.
    ///
    /// Obligations: returns before the task was polled (so a task never runs inside its spawner's
    /// call); polls it at least once; polls it again after each wake-up, one thread at a time;
    /// drops it when it was ready. Callable from any thread. A task never panics and needs no
    /// handle back. A runtime that has ended drops the task at once: the core notices.
    fn spawn(&self, task: Task);

    /// Calls `run` once, on this thread, with the runtime's own context entered, so that code which
    /// belongs to that runtime (such as `tokio::runtime::Handle::current()`) works inside.
    fn enter(&self, run: &mut dyn FnMut());

    /// The runtime's own pool for blocking jobs, if it has one; `None` by default.
    ///
    /// Jobs go there if the run has chosen it ([`BlockingPool::Native`](crate::BlockingPool::Native)), or if
    /// the runtime [takes all](Blocking::takes_all) itself; else to the core's own threads.
    fn blocking(&self) -> Option<&dyn Blocking> {
        None
    }

    /// A thread of the core is about to work: called when a job is handed to it; the returned value is dropped
    /// when the job has ended and its caller was woken. A thread that waits for async code does not count as
    /// working: it drops the value, and asks for a new one before it goes on.
    ///
    /// For a runtime whose clock moves by itself when there is nothing to do, such as a paused one in a test:
    /// while a value that it returned here is alive, there is work that it does not see, and such a clock must
    /// stand still. `None` by default. Callable from any thread.
    fn working(&self) -> Option<Box<dyn Send>> {
        None
    }

    /// The runtime's clock. Never goes back; a simulator answers with virtual time.
    fn now(&self) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that all other code asks")]
        Instant::now()
    }

    /// A timer for `deadline` on the clock of [`now`](Runtime::now).
    ///
    /// Callable from any thread, also outside the runtime's own context.
    fn timer(&self, deadline: Instant) -> Pin<Box<dyn Timer>>;

    /// Opens a stream to `address`.
    ///
    /// Obligations: errors are those of the system, as they are. A Unix socket is connected as by
    /// [`connect_unix`](crate::net::connect_unix), whose `WouldBlock` is passed on: the core waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    async fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>>;

    /// Adopts a listening socket. It need not be in non-blocking mode: this sets it.
    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn Listener>>;

    /// Adopts a connected stream socket. It need not be in non-blocking mode: this sets it.
    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn Stream>>;

    /// Adopts a datagram socket. It need not be in non-blocking mode: this sets it.
    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn Datagram>>;

    /// Ends the runtime's threads. Called once, by the run that owns this value, outside of any
    /// task, after all its tasks have ended. The default, for adopted runtimes, does nothing.
    fn shutdown(&self) {}
}

/// A timer of a runtime, which can be moved to another deadline without a new allocation.
pub trait Timer: Send {
    /// Moves the deadline, also after it has passed.
    fn reset(self: Pin<&mut Self>, deadline: Instant);

    /// Ready once the deadline has passed on the runtime's clock, never before, and then again and
    /// again until [`reset`](Timer::reset). While pending it wakes the waker of the latest call, once.
    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A runtime's own way to run blocking jobs.
pub trait Blocking: Send + Sync {
    /// Takes over a job and runs it to its end, whether or not anything waits for it.
    ///
    /// Obligations: the job does not run inside this call. It runs once, with the runtime's own context entered
    /// as by [`Runtime::enter`], on a thread that may block; if the runtime has no means to run it, it is given
    /// back with the error. A job never panics. A runtime that has ended drops the job: the core notices.
    fn submit(&self, job: Job) -> Result<(), (Job, io::Error)>;

    /// Whether all jobs must go this way, whatever the run has chosen: for a runtime that cannot work with
    /// threads beside it, such as a simulator. `false` by default.
    fn takes_all(&self) -> bool {
        false
    }
}

/// The error of [`Runtime::block_on`] on an adopted runtime: its owner drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this runtime was adopted, not started, by anyrt: whoever started it drives it; use `anyrt::embed(..).await` inside it"
)]
pub struct NotOwned;
