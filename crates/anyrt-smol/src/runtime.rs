//! The runtimes: an executor of our own, and the global one.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use anyrt_core::net::{self, Address, DatagramSocket, ListenerSocket, StreamSocket};
use anyrt_core::{Blocking, Job, NotOwned, Runtime, Task};
use async_trait::async_trait;

use crate::executor::Executor;

/// Starts an executor with threads of its own: `threads` of them, by default as many as cores.
///
/// They are named `{name}-worker-{n}`, counted from 1, and end with [`Runtime::shutdown`], which waits
/// for them and drops the tasks that are left. If the value is dropped without a shutdown, they end
/// without being waited for. After the shutdown `block_on` answers [`NotOwned`].
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) when `name` contains a NUL; what the operating system
/// answers when it has no thread to give: those that were started end then.
///
/// # Examples
///
/// ```
/// let runtime = anyrt_smol::executor(None, "app")?;
/// runtime.block_on(std::pin::pin!(async {
///     // on this thread, with `app-worker-1` and so on beside it
/// }))?;
/// runtime.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn executor(threads: Option<NonZeroUsize>, name: &str) -> io::Result<Arc<dyn Runtime>> {
    let threads = threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    Ok(Arc::new(Smol { owned: Some(Executor::start(threads, name)?) }))
}

/// Adopts smol's global executor, on which `smol::spawn` runs its tasks.
///
/// Its threads are smol's: the environment variable `SMOL_THREADS` says how many, one by default; the
/// first task starts them and nothing ends them. Nobody owns it, so `block_on` does not refuse: it polls
/// the caller's future, as `smol::block_on` does, while those threads poll the tasks.
pub fn global() -> Arc<dyn Runtime> {
    Arc::new(Smol { owned: None })
}

#[derive(Debug)]
struct Smol {
    // None: the global executor.
    owned: Option<Executor>,
}

#[async_trait]
impl Runtime for Smol {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        if self.owned.as_ref().is_some_and(|executor| !executor.is_running()) {
            return Err(NotOwned);
        }
        smol::block_on(root);
        Ok(())
    }

    fn spawn(&self, task: Task) {
        match &self.owned {
            Some(executor) => executor.spawn(task),
            None => smol::spawn(task).detach(),
        }
    }

    // smol's own things work on any thread: there is nothing to enter.
    fn enter(&self, run: &mut dyn FnMut()) {
        run();
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn timer(&self, deadline: Instant) -> Pin<Box<dyn anyrt_core::Timer>> {
        anyrt_async_io::timer(deadline)
    }

    async fn connect(&self, address: &Address) -> io::Result<Box<dyn net::Stream>> {
        anyrt_async_io::connect(address).await
    }

    fn listen(&self, socket: ListenerSocket) -> io::Result<Box<dyn net::Listener>> {
        anyrt_async_io::listen(socket)
    }

    fn stream(&self, socket: StreamSocket) -> io::Result<Box<dyn net::Stream>> {
        anyrt_async_io::stream(socket)
    }

    fn datagram(&self, socket: DatagramSocket) -> io::Result<Box<dyn net::Datagram>> {
        anyrt_async_io::datagram(socket)
    }

    fn shutdown(&self) {
        if let Some(executor) = &self.owned {
            executor.end();
        }
    }
}

/// The pool of the crate `blocking`, one for the process.
impl Blocking for Smol {
    fn submit(&self, job: Job) -> Result<(), (Job, io::Error)> {
        smol::unblock(|| job.run()).detach();
        Ok(())
    }
}
