//! The runtime: async-std's only one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use anyrt_core::net::{self, Address, DatagramSocket, ListenerSocket, StreamSocket};
use anyrt_core::{Blocking, Job, NotOwned, Runtime, Task};
use async_trait::async_trait;

/// The async-std runtime of this process, on which `async_std::task::spawn` runs its tasks.
///
/// Nobody owns it, so `block_on` does not refuse: it polls the caller's future, as
/// `async_std::task::block_on` does, while async-std's threads poll the tasks.
///
/// # Examples
///
/// ```
/// let runtime = anyrt_async_std::runtime();
/// runtime.block_on(std::pin::pin!(async {
///     assert!(async_std::task::try_current().is_some());
/// }))?;
/// # Ok::<(), anyrt_core::NotOwned>(())
/// ```
pub fn runtime() -> Arc<dyn Runtime> {
    Arc::new(AsyncStd)
}

#[derive(Debug)]
struct AsyncStd;

#[async_trait]
impl Runtime for AsyncStd {
    fn name(&self) -> &'static str {
        "async-std"
    }

    fn block_on(&self, root: Pin<&mut dyn Future<Output = ()>>) -> Result<(), NotOwned> {
        async_std::task::block_on(root);
        Ok(())
    }

    fn spawn(&self, task: Task) {
        // Dropping async-std's handle detaches the task.
        drop(async_std::task::spawn(task));
    }

    // async-std's own things work on any thread: there is nothing to enter.
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
}

/// The pool of the crate `blocking`, one for the process.
impl Blocking for AsyncStd {
    fn submit(&self, job: Job) -> Result<(), (Job, io::Error)> {
        // Dropping async-std's handle detaches the job.
        drop(async_std::task::spawn_blocking(|| job.run()));
        Ok(())
    }
}
