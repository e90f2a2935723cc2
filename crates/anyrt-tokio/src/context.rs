//! Awaiting tokio's futures where no tokio runtime is entered.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::runtime::Handle;

/// Awaits `future` with `handle` entered during each poll.
///
/// tokio registers a new socket with the runtime that is entered, and panics without one; but the
/// future may be polled by a foreign executor or thread.
pub(crate) async fn within<F: Future>(handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = handle.enter();
        future.as_mut().poll(cx)
    })
    .await
}
