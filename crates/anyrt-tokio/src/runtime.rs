//! The runtime: tokio, of our own or adopted.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyrt_core::net::{self, Address, DatagramSocket, ListenerSocket, StreamSocket};
use anyrt_core::{Blocking, Finder, Job, NotOwned, Runtime, Task};
use async_trait::async_trait;
use tokio::runtime::{Builder, Handle, RuntimeFlavor};

use crate::clock::Clock;
use crate::context::within;
use crate::datagram::Datagram;
use crate::listener::Listener;
use crate::stream::Stream;
use crate::timer::Timer;

/// Starts a tokio runtime with worker threads: `threads` of them, by default as many as cores.
///
/// They are named `{name}-worker-{n}`, counted from 1, and end with [`Runtime::shutdown`], which waits
/// for them; that includes what the program gave to `tokio::task::spawn_blocking` by itself. If the
/// value is dropped without a shutdown, they end without being waited for.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) when `name` contains a NUL; what the operating system
/// answers when it has no poller or thread to give.
///
/// # Examples
///
/// ```
/// let runtime = anyrt_tokio::multi_thread(None, "app")?;
/// runtime.block_on(std::pin::pin!(async {
///     // on this thread, with `app-worker-1` and so on beside it
/// }))?;
/// runtime.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn multi_thread(threads: Option<NonZeroUsize>, name: &str) -> io::Result<Arc<dyn Runtime>> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads.get());
    }
    own(builder, name)
}

/// Starts a tokio runtime without threads: tasks make progress only while someone is in `block_on`.
///
/// `name` is for the threads of tokio's blocking pool, should the program use it by itself.
///
/// # Errors
///
/// As [`multi_thread`].
pub fn current_thread(name: &str) -> io::Result<Arc<dyn Runtime>> {
    own(Builder::new_current_thread(), name)
}

/// Adopts a tokio runtime that somebody else started and drives: `block_on` answers [`NotOwned`] and
/// `shutdown` does nothing.
///
/// # Panics
///
/// Not here; but creating timers and sockets panics, with tokio's own message, if the runtime was built
/// without `enable_time` and `enable_io`, as does polling a timer after its owner has ended the runtime.
pub fn from_handle(handle: Handle) -> Arc<dyn Runtime> {
    Arc::new(Tokio::new(handle, None))
}

/// Adopts the tokio runtime that is entered on this thread, if there is one.
///
/// Inside its tasks one is entered, also on its blocking threads, and wherever `Handle::enter` was called.
pub fn find() -> Option<Arc<dyn Runtime>> {
    Handle::try_current().ok().map(from_handle)
}

// So that `Handle::current` finds tokio in every program that this crate is linked into.
inventory::submit!(Finder::new(find));

fn own(mut builder: Builder, name: &str) -> io::Result<Arc<dyn Runtime>> {
    if name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name cannot contain a NUL"));
    }
    let (name, count) = (name.to_owned(), AtomicUsize::new(1));
    let runtime = builder
        .enable_all()
        .thread_name_fn(move || format!("{name}-worker-{}", count.fetch_add(1, Ordering::Relaxed)))
        .build()?;
    let handle = runtime.handle().clone();
    let owned = Owned { runtime: Mutex::new(Some(Arc::new(runtime))), ended: Arc::default() };
    Ok(Arc::new(Tokio::new(handle, Some(owned))))
}

#[derive(Debug)]
struct Tokio {
    handle: Handle,
    owned: Option<Owned>,
    // None where the clock cannot be paused: beside worker threads.
    clock: Option<Clock>,
}

impl Tokio {
    fn new(handle: Handle, owned: Option<Owned>) -> Tokio {
        let can_pause = handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
        Tokio { handle, owned, clock: can_pause.then(Clock::default) }
    }
}

/// What a runtime of our own has besides its handle.
#[derive(Debug)]
struct Owned {
    // Taken out by the shutdown, so that the threads end although clones of the value live on;
    // behind an Arc, so that `block_on` need not hold the lock.
    runtime: Mutex<Option<Arc<tokio::runtime::Runtime>>>,
    ended: Arc<AtomicBool>,
}

impl Owned {
    fn get(&self) -> Option<Arc<tokio::runtime::Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self) -> Option<Arc<tokio::runtime::Runtime>> {
        // First the flag: tokio wakes all timers when it ends.
        self.ended.store(true, Ordering::Release);
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // The last clone may be dropped inside a task, where tokio allows no waiting.
        if let Some(runtime) = self.end().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl Runtime for Tokio {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        let runtime = self.owned.as_ref().and_then(Owned::get).ok_or(NotOwned)?;
        runtime.block_on(root);
        Ok(())
    }

    fn spawn(&self, task: Task) {
        // Dropping tokio's handle detaches the task.
        drop(self.handle.spawn(task));
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        let _entered = self.handle.enter();
        run();
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn working(&self) -> Option<Box<dyn Send>> {
        self.clock.as_ref()?.hold_if_paused(&self.handle)
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn anyrt_core::Timer>> {
        let ended = self.owned.as_ref().map(|owned| owned.ended.clone());
        Box::pin(Timer::new(&self.handle, deadline, ended))
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn net::Stream>> {
        Ok(Box::new(within(&self.handle, Stream::connect(address)).await?))
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn net::Listener>> {
        Ok(Box::new(Listener::adopt(&self.handle, socket)?))
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn net::Stream>> {
        let _entered = self.handle.enter();
        Ok(Box::new(Stream::adopt(socket)?))
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn net::Datagram>> {
        let _entered = self.handle.enter();
        Ok(Box::new(Datagram::adopt(socket)?))
    }

    fn shutdown(&self) {
        drop(self.owned.as_ref().and_then(Owned::end));
    }
}

/// tokio's own pool.
impl Blocking for Tokio {
    fn submit(&self, job: Job) -> Result<(), (Job, io::Error)> {
        // Dropping tokio's handle detaches the job.
        drop(self.handle.spawn_blocking(|| job.run()));
        Ok(())
    }
}
