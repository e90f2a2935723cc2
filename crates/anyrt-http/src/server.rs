//! The server: accepts connections, serves each in a task of one group, and ends gracefully.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyrt::net::{TcpListener, TcpStream};
use anyrt::sync::Semaphore;
use anyrt::{BoxError, CancelScope, TaskGroup};
use axum_core::extract::Request;
use bytes::Bytes;
use futures_util::FutureExt;
use tower_service::Service;

use crate::attended::report;
use crate::connection::{self, Connection};
use crate::counters::Counters;
use crate::deadlines::Deadlines;
use crate::error::{Error, Result};
use crate::host::{Host, Hosted};
use crate::limits::Limits;
use crate::transport::Transport;
use crate::{http1, http2};

/// Serves any tower service, such as an axum `Router`, until Ctrl-C or SIGTERM, on whatever runtime
/// this runs. Limits, ends and failures are those of [`App::serve`](crate::App::serve).
///
/// # Errors
///
/// [`Error::Signal`] if the signals cannot be waited for.
///
/// # Panics
///
/// Outside of any runtime, naming the cure.
///
/// # Cancel safety
///
/// As [`App::serve`](crate::App::serve).
pub async fn serve<S, B>(listener: TcpListener, service: S) -> Result<()>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    run(listener, Arc::new(Hosted::new(service)), Limits::default(), told_to_stop()).await
}

/// Serves any tower service, until `stop` is ready.
///
/// # Errors
///
/// None at present.
///
/// # Panics
///
/// Outside of any runtime, naming the cure.
///
/// # Cancel safety
///
/// As [`App::serve`](crate::App::serve).
pub async fn serve_until<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()> + Send,
) -> Result<()>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    run(listener, Arc::new(Hosted::new(service)), Limits::default(), stop.map(Ok)).await
}

/// Ready on Ctrl-C or SIGTERM.
pub(crate) async fn told_to_stop() -> Result<()> {
    anyrt::signal::shutdown().await.map(drop).map_err(Error::Signal)
}

/// Accepts until told to stop, then waits for what was begun, and at the deadline cancels it.
pub(crate) async fn run(
    listener: TcpListener,
    host: Arc<dyn Host>,
    limits: Limits,
    stop: impl Future<Output = Result<()>> + Send,
) -> Result<()> {
    let clock = anyrt::current_handle();
    let served = CancelScope::new().reason("the deadline of the server's shutdown").run(async move |scope| {
        anyrt::task_group(async move |group| {
            let server = Arc::new(Shared::new(host, limits, &group));
            let shared = Arc::clone(&server);
            let watching = Arc::clone(&server);
            drop(group.named("deadlines").spawn_service(async move { watching.deadlines.run().await }));
            let accepting = CancelScope::new();
            let accept = accepting.handle();
            let accepting = accepting.run({
                let group = group.clone();
                async move |_| server.accept(listener, &group).await
            });
            // A task of its own, so that accepting does not wait for whoever called us.
            drop(group.named("accept").spawn(accepting.map(drop)));
            let stopped = stop.await;
            accept.cancel("the server is stopping");
            shared.stop();
            scope.set_deadline(Some(clock.now() + shared.limits.shutdown));
            stopped
        })
        .await
    });
    match served.await {
        Ok(Ok(stopped)) => stopped,
        Ok(Err(error)) => {
            tracing::error!(%error, "the server's tasks failed");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the shutdown's deadline passed: requests that were still running were cancelled");
            Ok(())
        }
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) limits: Limits,
    pub(crate) http1: hyper::server::conn::http1::Builder,
    pub(crate) http2: http2::Builder,
    pub(crate) group: TaskGroup,
    pub(crate) deadlines: Arc<Deadlines>,
    pub(crate) counters: Counters,
    /// A permit for each connection.
    room: Semaphore,
    /// Connections are to end after the request they have begun.
    stopping: AtomicBool,
}

impl Shared {
    fn new(host: Arc<dyn Host>, limits: Limits, group: &TaskGroup) -> Self {
        let clock = anyrt::current_handle();
        Shared {
            host,
            http1: http1::builder(&limits),
            http2: http2::builder(&limits, group, clock.clone()),
            group: group.clone(),
            deadlines: Deadlines::new(clock, &limits),
            counters: Counters::default(),
            room: Semaphore::new(limits.connections.max(1)),
            stopping: AtomicBool::new(false),
            limits,
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.deadlines.wake_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Accepts connections for ever. Nothing ends the loop but its cancellation: not a connection
    /// that was gone before it was accepted, and not a process that has no descriptors left.
    async fn accept(self: Arc<Self>, listener: TcpListener, group: &TaskGroup) {
        let mut pause = Pause::new();
        loop {
            // First room for it, then the connection: who has to wait waits in the system's queue.
            let room = self.room.acquire().await;
            match listener.accept().await {
                Ok(stream) => {
                    pause = Pause::new();
                    let server = Arc::clone(&self);
                    self.counters.accepted();
                    let serving = async move {
                        server.connection(stream).await;
                        drop(room);
                    };
                    drop(group.named("http connection").spawn(serving));
                }
                Err(error) if of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    self.counters.accept_failed();
                    tracing::error!(%error, "cannot accept connections, trying again");
                    anyrt::sleep(pause.next()).await;
                }
            }
        }
    }

    /// Serves one connection; whatever goes wrong ends this connection alone.
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        // Answers are written whole: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let connection = Connection::new(self);
        let serving = connection::serve(Transport::Tcp(stream), connection);
        match AssertUnwindSafe(serving).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended with an error"),
            Err(panic) => report(&*panic),
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The pause after an accept that failed: from 5 ms, doubled each time, to 1 s.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Pause(Duration::from_millis(5))
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(1));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::Pause;

    #[test]
    fn the_pause_after_a_failed_accept_grows_to_a_second() {
        let mut pause = Pause::new();
        let pauses: Vec<_> = (0..10).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
