//! The task-locals of a request, in whatever task it goes on.

use std::future::{Future, poll_fn};
use std::pin::pin;

use anyrt::task::TaskContext;

/// The future, with the task-locals of its request in whatever task it goes on.
pub(crate) async fn keeping<F: Future>(mut locals: TaskContext, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| locals.run(|| future.as_mut().poll(cx))).await
}
