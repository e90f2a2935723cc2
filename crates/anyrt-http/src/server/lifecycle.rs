//! A server's life: it accepts, stops, waits, cancels, and tells what it did.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyrt::time::Sleep;
use anyrt::{CancelScope, ScopeHandle};
use futures_util::FutureExt;

use super::listening::Listening;
use super::shared::Shared;
use super::stats::Served;
use crate::base::error::Result;
use crate::base::limits::Limits;
use crate::request::endpoint::Host;
use crate::request::on_disconnect::Disconnect;

/// Accepts until told to stop, then waits for what was begun; at the first deadline it is cancelled, at
/// the second no longer waited for.
pub(crate) async fn run(
    places: Vec<Listening>,
    host: Arc<dyn Host>,
    limits: Limits,
    on_disconnect: Disconnect,
    stop: impl Future<Output = Result<()>> + Send,
) -> Result<Served> {
    let shared = Arc::new(OnceLock::<Arc<Shared>>::new());
    let scope = CancelScope::new().reason("the deadline of the server's shutdown");
    let all = scope.handle();
    let mut shutdown = Shutdown { shared: Arc::clone(&shared), scope: scope.handle(), waiting: None };
    let mut serving = pin!(scope.run(async move |_| {
        anyrt::task_group(async move |group| {
            let server = Arc::new(Shared::new(host, limits, on_disconnect, &group));
            let watching = Arc::clone(&server);
            drop(group.named("http deadlines").spawn_service(async move { watching.deadlines.run().await }));
            let accepting = CancelScope::new();
            let accept = accepting.handle();
            let loops = Arc::clone(&server);
            // A task of its own, so that accepting does not wait for other futures in the caller's task.
            let accepting = accepting.run(async move |_| {
                let loops = places.into_iter().map(|place| {
                    tracing::info!(address = place.address(), "listening");
                    place.accept_all(Arc::clone(&loops))
                });
                futures_util::future::join_all(loops).await
            });
            drop(group.named("http accept").spawn(accepting.map(drop)));
            // From here on the outer loop looks at it.
            let server = shared.get_or_init(|| server);
            let stopped = stop.await;
            accept.cancel_with("the server is stopping");
            server.stop();
            // The first phase, for all that runs; the second comes when the deadline has passed, by hand.
            all.cancel_after_with(Duration::MAX, "the server is stopping");
            stopped
        })
        .await
    }));
    let end = poll_fn(|cx| {
        if let Poll::Ready(end) = serving.as_mut().poll(cx) {
            return Poll::Ready(Some(end));
        }
        shutdown.poll(cx).map(|()| None)
    })
    .await;
    let served = shutdown.shared.get().map(|shared| shared.counters.served()).unwrap_or_default();
    tracing::info!(%served, "the server has ended");
    match end {
        Some(Ok(Ok(stopped))) => stopped?,
        Some(Ok(Err(error))) => tracing::error!(%error, "the server's tasks failed"),
        Some(Err(_)) => {}
        None => tracing::error!(
            cut = served.cut,
            "requests that were cancelled still clean up; the server does not wait for them any longer"
        ),
    }
    Ok(served)
}

/// The deadlines of a server that was told to stop.
struct Shutdown {
    shared: Arc<OnceLock<Arc<Shared>>>,
    scope: ScopeHandle,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Shutdown {
    /// Ready when nothing is waited for any longer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = self.shared.get() else { return Poll::Pending };
        if !shared.is_stopping() {
            return Poll::Pending;
        }
        loop {
            let limits = &shared.limits;
            let limit = if shared.is_cancelling() { limits.teardown } else { limits.shutdown };
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(anyrt::sleep(limit)));
            ready!(waiting.as_mut().poll(cx));
            if shared.is_cancelling() {
                return Poll::Ready(());
            }
            tracing::warn!("the shutdown's deadline passed: requests that are still running are cancelled");
            shared.cancel();
            self.waiting = None;
            self.scope.cancel_with("the deadline of the server's shutdown");
        }
    }
}
