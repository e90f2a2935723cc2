//! A job that ends late, so that its end is a wake-up and no answer to a first question.

use std::future::IntoFuture as _;
use std::sync::mpsc;

use anyrt_core::{join, run_blocking};

/// Waits for a job that ends when its caller is pending for certain. The cases about blocking jobs end
/// with it: on a runtime that loses the wake-up all of them hang, and not only those whose jobs
/// happened to be slow.
pub(crate) async fn a_job_ends_late() {
    let (go, wait) = mpsc::channel::<()>();
    join(run_blocking(move || wait.recv().is_err()).into_future(), async move { drop(go) }).await;
}
